//! `/api/v1/projects/{slug}/domains`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use loggia_types::api::{AddDomain, Domain, Page};
use loggia_types::hostname::HostnameKind;
use loggia_types::{DomainId, Hostname, ProjectSlug, SurrogateKey};

use super::projects;
use crate::app::App;
use crate::auth::User;
use crate::db;
use crate::db::domains::{DomainRow, HOSTNAME_IS_UNIQUE, ONCE_PER_PROJECT};
use crate::db::projects::ProjectRow;
use crate::db::{DbError, GenericClient};
use crate::dns::{self, TxtAnswer};
use crate::error::ApiError;
use crate::extract::{Json, Path};
use crate::views;

pub(crate) async fn list(
    _: User,
    State(app): State<App>,
    Path(slug): Path<ProjectSlug>,
) -> Result<axum::Json<Page<Domain>>, ApiError> {
    let project = projects::find(&app, &slug).await?;
    let rows = db::domains::list(&app.db().await?, project.id).await?;
    Ok(axum::Json(Page { items: rows.into_iter().map(views::domain).collect(), next: None }))
}

/// Anybody may name a hostname; it is served only once its zone proves it.
pub(crate) async fn add(
    _: User,
    State(app): State<App>,
    Path(slug): Path<ProjectSlug>,
    Json(body): Json<AddDomain>,
) -> Result<impl IntoResponse, ApiError> {
    check_hostname(&app, &body.hostname)?;
    let project = projects::find(&app, &slug).await?;
    let token = projects::random_secret();
    let client = app.db().await?;
    let row = db::domains::insert(&client, DomainId::generate(), project.id, &body.hostname, &token).await;
    let row = row.map_err(|error| match error.constraint() {
        Some(ONCE_PER_PROJECT) => ApiError::conflict(
            "domain_exists",
            format!("{} is a domain of this project already", body.hostname),
        ),
        _ => error.into(),
    })?;
    Ok((StatusCode::CREATED, axum::Json(views::domain(row))))
}

/// Looks for the TXT record now, and says what was seen when it is not right.
pub(crate) async fn verify(
    _: User,
    State(app): State<App>,
    Path((slug, id)): Path<(ProjectSlug, DomainId)>,
) -> Result<axum::Json<Domain>, ApiError> {
    let project = projects::find(&app, &slug).await?;
    let domain = find(&app, &project, id).await?;
    let name = dns::record_name(&domain.hostname);
    let expected = dns::record_value(&domain.verification_token);
    let answer = app.resolver.txt(&name).await;
    let seen = match answer {
        TxtAnswer::Found(values) if values.iter().any(|value| value.trim() == expected) => {
            mark_verified(&app, &project, &domain).await?;
            return Ok(axum::Json(views::domain(find(&app, &project, id).await?)));
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

pub(crate) async fn remove(
    _: User,
    State(app): State<App>,
    Path((slug, id)): Path<(ProjectSlug, DomainId)>,
) -> Result<StatusCode, ApiError> {
    let project = projects::find(&app, &slug).await?;
    let domain = find(&app, &project, id).await?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::domains::delete(&transaction, domain.id).await?;
    publish(&transaction, &project, &domain.hostname).await?;
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
