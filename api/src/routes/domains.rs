//! `/api/v1/projects/{slug}/domains`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use loggia_types::api::{AddDomain, Domain, Page};
use loggia_types::hostname::HostnameKind;
use loggia_types::{DomainId, Hostname, ProjectSlug, SurrogateKey};
use serde::Deserialize;

use super::projects;
use crate::access::InProject;
use crate::app::App;
use crate::audit::{self, Change};

use crate::db;
use crate::db::domains::{DomainRow, HOSTNAME_IS_UNIQUE, ONCE_PER_PROJECT};
use crate::db::projects::ProjectRow;
use crate::db::{DbError, GenericClient};
use crate::dns::{self, TxtAnswer};
use crate::error::ApiError;
use crate::extract::{Json, Path};
use crate::views;

#[derive(Debug, Deserialize)]
pub(crate) struct DomainPath {
    id: DomainId,
}

/// The domains of a project.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/domains", tag = "Domains",
    params(("slug" = ProjectSlug, Path)), responses((status = 200, body = Page<Domain>)))]
pub(crate) async fn list(
    inside: InProject,
    State(app): State<App>,
) -> Result<axum::Json<Page<Domain>>, ApiError> {
    let project = &inside.project;
    let rows = db::domains::list(&app.db().await?, project.id).await?;
    Ok(axum::Json(Page { items: rows.into_iter().map(views::domain).collect(), next: None }))
}

/// Anybody may name a hostname; it is served only once its zone proves it.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/domains", tag = "Domains",
    params(("slug" = ProjectSlug, Path)), request_body = AddDomain,
    responses((status = 201, body = Domain), (status = 409, description = "The project has it already")))]
pub(crate) async fn add(
    inside: InProject,
    State(app): State<App>,
    Json(body): Json<AddDomain>,
) -> Result<impl IntoResponse, ApiError> {
    check_hostname(&app, &body.hostname)?;
    let project = &inside.project;
    let token = projects::random_secret();
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let row =
        db::domains::insert(&transaction, DomainId::generate(), project.id, &body.hostname, &token).await;
    let row = row.map_err(|error| match error.constraint() {
        Some(ONCE_PER_PROJECT) => ApiError::conflict(
            "domain_exists",
            format!("{} is a domain of this project already", body.hostname),
        ),
        _ => error.into(),
    })?;
    let change = Change::new("domain.add", body.hostname.as_str());
    audit::record_in_project(&transaction, &inside, change).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, axum::Json(views::domain(row))))
}

/// Looks for the TXT record now, and says what was seen when it is not right.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/domains/{id}/verify", tag = "Domains",
    params(("slug" = ProjectSlug, Path), ("id" = DomainId, Path)),
    responses((status = 200, body = Domain), (status = 409, description = "The record is not right, or it is taken")))]
pub(crate) async fn verify(
    inside: InProject,
    State(app): State<App>,
    Path(DomainPath { id }): Path<DomainPath>,
) -> Result<axum::Json<Domain>, ApiError> {
    let project = &inside.project;
    let domain = find(&app, project, id).await?;
    let name = dns::record_name(&domain.hostname);
    let expected = dns::record_value(&domain.verification_token);
    let answer = app.resolver.txt(&name).await;
    let seen = match answer {
        TxtAnswer::Found(values) if values.iter().any(|value| value.trim() == expected) => {
            mark_verified(&app, project, &domain).await?;
            return Ok(axum::Json(views::domain(find(&app, project, id).await?)));
        }
        TxtAnswer::Found(values) => format!("the record holds {values:?}"),
        TxtAnswer::Nothing => "there is no such record yet".to_owned(),
        TxtAnswer::Failed(cause) => {
            let message = format!("the name servers of {} could not be asked; try again", domain.hostname);
            return Err(ApiError::unavailable("dns_unavailable", message, cause));
        }
    };
    db::domains::mark_checked(&app.db().await?, id).await?;
    let message = format!("expected a TXT record {name} with the value {expected}, but {seen}");
    Err(ApiError::conflict("domain_not_verified", message))
}

async fn mark_verified(app: &App, project: &ProjectRow, domain: &DomainRow) -> Result<(), ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::domains::mark_verified(&transaction, domain.id).await.map_err(|error| match error.constraint() {
        Some(HOSTNAME_IS_UNIQUE) => {
            ApiError::conflict("domain_taken", format!("{} is served for another project", domain.hostname))
        }
        _ => error.into(),
    })?;
    publish(&transaction, project, &domain.hostname).await?;
    transaction.commit().await?;
    Ok(())
}

/// The whole project is stale in caches: with its first domain the project's own name asks search engines to stay
/// away, and what was served at a domain that is gone must be.
async fn publish(db: &impl GenericClient, project: &ProjectRow, domain: &Hostname) -> Result<(), DbError> {
    let stale = [SurrogateKey::project(project.id)];
    db::events::publish(db, project.id, std::slice::from_ref(domain), &stale).await?;
    Ok(())
}

/// Takes a domain off the project.
#[utoipa::path(delete, path = "/api/v1/projects/{slug}/domains/{id}", tag = "Domains",
    params(("slug" = ProjectSlug, Path), ("id" = DomainId, Path)), responses((status = 204)))]
pub(crate) async fn remove(
    inside: InProject,
    State(app): State<App>,
    Path(DomainPath { id }): Path<DomainPath>,
) -> Result<StatusCode, ApiError> {
    let project = &inside.project;
    let domain = find(&app, project, id).await?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::domains::delete(&transaction, domain.id).await?;
    publish(&transaction, project, &domain.hostname).await?;
    let change = Change::new("domain.remove", domain.hostname.as_str());
    audit::record_in_project(&transaction, &inside, change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(app: &App, project: &ProjectRow, id: DomainId) -> Result<DomainRow, ApiError> {
    let row = db::domains::find(&app.db().await?, project.id, id).await?;
    row.ok_or_else(|| ApiError::not_found(format!("domain {id}")))
}

fn check_hostname(app: &App, hostname: &Hostname) -> Result<(), ApiError> {
    let name = hostname.as_str();
    if app.config.base_domain.classify(hostname) != HostnameKind::Domain {
        let message = format!(
            "{name} belongs to the platform; projects have names below {} already",
            app.config.base_domain
        );
        return Err(ApiError::unprocessable("domain_of_the_platform", message));
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    // A numeric last label is an IPv4 address to a browser (WHATWG URL, «ends in a number»).
    if !name.contains('.') || last.bytes().all(|b| b.is_ascii_digit()) {
        let message = format!("{name} is not a public name; it looks like www.example.com");
        return Err(ApiError::unprocessable("invalid_domain", message));
    }
    Ok(())
}
