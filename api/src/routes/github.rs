//! `POST /api/v1/webhooks/github`: GitHub's deliveries, turned into our own event at the door.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use hmac::{Hmac, KeyInit, Mac};
use loggia_types::api::WebhookAnswer;
use loggia_types::push::PushEvent;
use loggia_types::{BranchName, CommitSha, DeploymentId, RepositoryUrl};
use serde::Deserialize;
use sha2::Sha256;

use crate::app::App;
use crate::db;
use crate::db::projects::ProjectRow;
use crate::error::ApiError;
use crate::ops::pushes::{self, DeliveryKey, PushOutcome};

const EVENT: &str = "x-github-event";
const DELIVERY: &str = "x-github-delivery";
const SIGNATURE: &str = "x-hub-signature-256";
/// GitHub's are UUIDs of 36 characters.
const DELIVERY_ID_LEN_MAX: usize = 128;
/// Enough to recognise a commit by; the repository has the rest.
const MESSAGE_LEN_MAX: usize = 1000;

/// What every event carries.
#[derive(Debug, Deserialize)]
struct Envelope {
    repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    clone_url: String,
}

/// The fields of GitHub's `push` that we use (docs.github.com, «Webhook events and payloads», push).
#[derive(Debug, Deserialize)]
struct PushPayload {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    #[serde(default)]
    deleted: bool,
    head_commit: Option<HeadCommit>,
    repository: Repository,
}

#[derive(Debug, Deserialize)]
struct HeadCommit {
    #[serde(default)]
    message: String,
    author: Option<Author>,
}

#[derive(Debug, Deserialize)]
struct Author {
    #[serde(default)]
    name: String,
}

/// Takes what GitHub delivers.
#[utoipa::path(post, path = "/api/v1/webhooks/github", tag = "Webhooks", request_body = serde_json::Value,
    responses((status = 200, body = WebhookAnswer), (status = 202, body = WebhookAnswer),
              (status = 401, description = "No project of this repository has this signature")))]
pub(crate) async fn receive(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, ApiError> {
    let event = header(&headers, EVENT)?.to_owned();
    let delivery = header(&headers, DELIVERY)?.to_owned();
    if delivery.is_empty() || delivery.len() > DELIVERY_ID_LEN_MAX {
        return Err(ApiError::bad_request("invalid_delivery", format!("{DELIVERY} is not a delivery id")));
    }
    let projects = signed_for(&app, &headers, &body).await?;
    match event.as_str() {
        "ping" => Ok((StatusCode::OK, answer("pong", Vec::new()))),
        "push" => {
            let Some(push) = parse_push(&body)? else {
                return Ok((StatusCode::ACCEPTED, answer("ignored", Vec::new())));
            };
            let key = DeliveryKey { provider: "github", id: &delivery, event: &event };
            let (word, deployments) = deploy(&app, &projects, key, &push).await?;
            Ok((StatusCode::ACCEPTED, answer(word, deployments)))
        }
        _ => Ok((StatusCode::ACCEPTED, answer("ignored", Vec::new()))),
    }
}

fn answer(outcome: &str, deployments: Vec<DeploymentId>) -> axum::Json<WebhookAnswer> {
    axum::Json(WebhookAnswer { outcome: outcome.to_owned(), deployments })
}

async fn deploy(
    app: &App,
    projects: &[ProjectRow],
    key: DeliveryKey<'_>,
    push: &PushEvent,
) -> Result<(&'static str, Vec<DeploymentId>), ApiError> {
    let mut word = "duplicate";
    let mut deployments = Vec::new();
    for project in projects {
        match pushes::accept(app, project, key, push).await? {
            PushOutcome::Queued(id) => {
                word = "queued";
                deployments.push(id);
            }
            PushOutcome::Repointed(id) => {
                word = "repointed";
                deployments.push(id);
            }
            PushOutcome::Duplicate => {}
        }
    }
    Ok((word, deployments))
}

/// The projects of the repository whose secret made this signature.
///
/// An unknown repository and a wrong signature get the same answer: it must not tell which repositories
/// are deployed here.
async fn signed_for(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Vec<ProjectRow>, ApiError> {
    let signature = header(headers, SIGNATURE)?;
    let signature =
        signature.strip_prefix("sha256=").and_then(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).ok());
    let signature = signature.ok_or_else(|| {
        ApiError::bad_request("invalid_signature", format!("{SIGNATURE} looks like sha256=<64 hex digits>"))
    })?;
    // Nothing but the repository's name is believed before the signature is checked.
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let repository: Option<RepositoryUrl> =
        envelope.repository.and_then(|repository| repository.clone_url.parse().ok());
    let candidates = match repository {
        Some(url) => db::projects::list_by_repository(&app.db().await?, &url.identity()).await?,
        None => Vec::new(),
    };
    let signed: Vec<ProjectRow> = candidates
        .into_iter()
        .filter(|project| is_signed(&project.webhook_secret, body, &signature))
        .collect();
    if signed.is_empty() {
        let message = "no project with this repository accepts this signature; compare the project's \
                       repository URL and the webhook's secret";
        return Err(ApiError::unauthorized(message));
    }
    Ok(signed)
}

/// Compares in constant time.
fn is_signed(secret: &str, body: &[u8], signature: &[u8]) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    !secret.is_empty() && mac.verify_slice(signature).is_ok()
}

/// `None`: a push that builds nothing, of a tag or of a branch that was deleted.
fn parse_push(body: &[u8]) -> Result<Option<PushEvent>, ApiError> {
    let payload: PushPayload = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let Some(branch) = payload.reference.strip_prefix("refs/heads/") else {
        return Ok(None);
    };
    if payload.deleted {
        return Ok(None);
    }
    let invalid = |what: &str, error: &dyn std::fmt::Display| {
        ApiError::unprocessable("invalid_push", format!("the push's {what} cannot be used: {error}"))
    };
    let branch: BranchName = branch.parse().map_err(|error| invalid("ref", &error))?;
    let after: CommitSha = payload.after.parse().map_err(|error| invalid("after", &error))?;
    let repository_url =
        payload.repository.clone_url.parse().map_err(|error| invalid("repository", &error))?;
    let commit = payload.head_commit.unwrap_or(HeadCommit { message: String::new(), author: None });
    Ok(Some(PushEvent {
        repository_url,
        branch,
        // A branch that was just created comes from the zero commit.
        before: payload.before.parse().ok().filter(|sha: &CommitSha| sha.as_str().bytes().any(|b| b != b'0')),
        after,
        message: clean(&commit.message),
        author: clean(&commit.author.map(|author| author.name).unwrap_or_default()),
    }))
}

/// Postgres' text has no NUL, and nobody reads a novel in a list.
fn clean(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(MESSAGE_LEN_MAX).collect()
}

fn header<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, ApiError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| ApiError::bad_request("missing_header", format!("the header {name} is missing")))
}

fn not_json(error: &serde_json::Error) -> ApiError {
    let message = format!(
        "the body is not a GitHub payload: {error}; set the webhook's content type to application/json"
    );
    ApiError::bad_request("invalid_payload", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_githubs_documentation_verifies() {
        // docs.github.com, «Validating webhook deliveries», testing the validation.
        let secret = "It's a Secret to Everybody";
        let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let signature = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex");
        assert!(is_signed(secret, b"Hello, World!", &signature));
        assert!(!is_signed(secret, b"Hello, World?", &signature));
        assert!(!is_signed("another", b"Hello, World!", &signature));
        assert!(!is_signed("", b"Hello, World!", &signature));
    }

    #[test]
    fn pushes_become_events_and_what_builds_nothing_is_told_apart() {
        let payload = |reference: &str, deleted: bool| {
            serde_json::json!({
                "ref": reference, "deleted": deleted,
                "before": "0".repeat(40), "after": "a".repeat(40),
                "head_commit": {"message": "Hi\u{0}", "author": {"name": "Ada"}},
                "repository": {"clone_url": "https://github.com/acme/site.git", "pushed_at": 1_700_000_000}
            })
            .to_string()
        };
        let push =
            parse_push(payload("refs/heads/feature/x", false).as_bytes()).expect("valid").expect("a branch");
        assert_eq!(push.branch.as_str(), "feature/x");
        assert_eq!((push.before, push.message.as_str(), push.author.as_str()), (None, "Hi", "Ada"));
        assert!(parse_push(payload("refs/tags/v1", false).as_bytes()).expect("valid").is_none());
        assert!(parse_push(payload("refs/heads/main", true).as_bytes()).expect("valid").is_none());
        assert!(parse_push(payload("refs/heads/--upload-pack=x", false).as_bytes()).is_err());
        assert!(parse_push(b"payload=%7B%7D").is_err());
    }
}
