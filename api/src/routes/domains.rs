//! `/api/v1/projects/{slug}/domains`

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use loggia_types::api::{AddDomain, AddedDomain, Domain, Page, UpdateDomain};
use loggia_types::{DomainId, DomainName, ProjectSlug};
use serde::Deserialize;

use crate::access::{Caller, InProject, Permission};
use crate::app::App;
use crate::db;
use crate::domains::check;
use crate::error::ApiError;
use crate::extract::{Json, Path};
use crate::{ops, views};

/// Each look is some ten questions to somebody's name servers.
const VERIFY_PAUSE: Duration = Duration::from_secs(3);

#[derive(Debug, Deserialize)]
pub(crate) struct DomainPath {
    id: DomainId,
}

/// All of a project's domains, the primary one first. There is one page.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/domains", tag = "Domains",
    params(("slug" = ProjectSlug, Path)), responses((status = 200, body = Page<Domain>)))]
pub(crate) async fn list(
    inside: InProject,
    State(app): State<App>,
) -> Result<axum::Json<Page<Domain>>, ApiError> {
    Ok(axum::Json(Page { items: all(&app, &inside).await?, next: None }))
}

/// A domain: what has to be in its zone, and what was found there.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/domains/{id}", tag = "Domains",
    params(("slug" = ProjectSlug, Path), ("id" = DomainId, Path)), responses((status = 200, body = Domain)))]
pub(crate) async fn get(
    inside: InProject,
    State(app): State<App>,
    Path(DomainPath { id }): Path<DomainPath>,
) -> Result<axum::Json<Domain>, ApiError> {
    Ok(axum::Json(one(&app, &inside, id).await?))
}

/// Adds a hostname, or a wildcard. It is served once its zone proves it, which is looked for at once and then again and again.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/domains", tag = "Domains",
    params(("slug" = ProjectSlug, Path)), request_body = AddDomain,
    responses((status = 201, body = AddedDomain),
        (status = 409, description = "The project has it already, or somebody else has a right to it")))]
pub(crate) async fn add(
    inside: InProject,
    State(app): State<App>,
    Json(body): Json<AddDomain>,
) -> Result<impl IntoResponse, ApiError> {
    let (id, counterpart) = ops::domains::add(&app, &inside, &body).await?;
    let all = all(&app, &inside).await?;
    let of = |id: DomainId| all.iter().find(|domain| domain.id == id).cloned();
    let domain = of(id).ok_or_else(|| ApiError::not_found(format!("domain {id}")))?;
    Ok((StatusCode::CREATED, axum::Json(AddedDomain { domain, with_www: counterpart.and_then(of) })))
}

/// Looks at the zone now. The diagnosis says what was seen and what to do.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/domains/{id}/verify", tag = "Domains",
    params(("slug" = ProjectSlug, Path), ("id" = DomainId, Path)), responses((status = 200, body = Domain)))]
pub(crate) async fn verify(
    inside: InProject,
    State(app): State<App>,
    Path(DomainPath { id }): Path<DomainPath>,
) -> Result<axum::Json<Domain>, ApiError> {
    let row = {
        let client = app.db().await?;
        let row = db::domains::find(&client, inside.project.id, id).await?;
        let row = row.ok_or_else(|| ApiError::not_found(format!("domain {id}")))?;
        if !db::domains::note_asked(&client, id, VERIFY_PAUSE).await? {
            let what = format!(
                "{} was looked at a moment ago, and what was found is in its diagnosis",
                row.hostname
            );
            return Err(ApiError::too_many("checked_just_now", &what, VERIFY_PAUSE));
        }
        row
    };
    Box::pin(check::check(&app, &row)).await?;
    Ok(axum::Json(one(&app, &inside, id).await?))
}

/// Makes it the domain that search engines list. The one before leads to it from now on, and so do those that lead to the
/// primary one.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/domains/{id}/primary", tag = "Domains",
    params(("slug" = ProjectSlug, Path), ("id" = DomainId, Path)),
    responses((status = 200, body = Domain), (status = 409, description = "It is not proven, or a wildcard")))]
pub(crate) async fn make_primary(
    inside: InProject,
    State(app): State<App>,
    Path(DomainPath { id }): Path<DomainPath>,
) -> Result<axum::Json<Domain>, ApiError> {
    ops::domains::make_primary(&app, &inside, id).await?;
    Ok(axum::Json(one(&app, &inside, id).await?))
}

/// Changes what visitors of it get.
#[utoipa::path(patch, path = "/api/v1/projects/{slug}/domains/{id}", tag = "Domains",
    params(("slug" = ProjectSlug, Path), ("id" = DomainId, Path)), request_body = UpdateDomain,
    responses((status = 200, body = Domain), (status = 409, description = "It is the primary one")))]
pub(crate) async fn update(
    inside: InProject,
    State(app): State<App>,
    Path(DomainPath { id }): Path<DomainPath>,
    Json(body): Json<UpdateDomain>,
) -> Result<axum::Json<Domain>, ApiError> {
    ops::domains::update(&app, &inside, id, &body.role).await?;
    Ok(axum::Json(one(&app, &inside, id).await?))
}

/// It is no longer served. For 30 days only this organization can add it again.
#[utoipa::path(delete, path = "/api/v1/projects/{slug}/domains/{id}", tag = "Domains",
    params(("slug" = ProjectSlug, Path), ("id" = DomainId, Path)), responses((status = 204)))]
pub(crate) async fn remove(
    inside: InProject,
    State(app): State<App>,
    Path(DomainPath { id }): Path<DomainPath>,
) -> Result<StatusCode, ApiError> {
    ops::domains::remove(&app, &inside, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
pub(crate) struct ReleasedPath {
    hostname: DomainName,
}

/// Ends the quarantine of a hostname that an organization gave up or lost: another one can prove it at once.
#[utoipa::path(delete, path = "/api/v1/released-hostnames/{hostname}", tag = "Domains",
    params(("hostname" = DomainName, Path)), responses((status = 204)))]
pub(crate) async fn hand_over(
    caller: Caller,
    State(app): State<App>,
    Path(ReleasedPath { hostname }): Path<ReleasedPath>,
) -> Result<StatusCode, ApiError> {
    ops::domains::hand_over(&app, &caller, &hostname).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn all(app: &App, inside: &InProject) -> Result<Vec<Domain>, ApiError> {
    let rows = db::domains::list(&app.db().await?, inside.project.id).await?;
    let target = app.platform.target(&inside.project.slug, &app.resolver).await;
    let may_manage = inside.role >= Permission::Manage.role();
    let names: Vec<DomainName> = rows.iter().map(|row| row.hostname.clone()).collect();
    Ok(rows.into_iter().map(|row| views::domain(row, &target, &names, may_manage)).collect())
}

async fn one(app: &App, inside: &InProject, id: DomainId) -> Result<Domain, ApiError> {
    let found = all(app, inside).await?.into_iter().find(|domain| domain.id == id);
    found.ok_or_else(|| ApiError::not_found(format!("domain {id}")))
}
