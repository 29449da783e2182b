//! `/api/v1/organizations/{organization}/variables`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use loggia_types::api::{CreateVariable, ImportedVariables, Page, SetVariable, Variable};
use loggia_types::{OrganizationSlug, VariableName};

use super::{ContextQuery, ImportQuery, Inside, PlainText, VariablePath};
use crate::access::InOrganization;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Json, Path, Query};

/// The variables of all projects of an organization, by name. Secrets are named, and never shown.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}/variables", tag = "Organization variables",
    params(("organization" = OrganizationSlug, Path)),
    responses((status = 200, body = Page<Variable>)))]
pub(crate) async fn list(
    inside: InOrganization,
    State(app): State<App>,
) -> Result<axum::Json<Page<Variable>>, ApiError> {
    Inside::Organization(inside).list(&app).await
}

/// Sets a variable that is not there yet. It counts for builds that begin from now on.
#[utoipa::path(post, path = "/api/v1/organizations/{organization}/variables", tag = "Organization variables",
    params(("organization" = OrganizationSlug, Path)),
    request_body = CreateVariable,
    responses((status = 201, body = Variable), (status = 409, description = "It is there already, for this context")))]
pub(crate) async fn create(
    inside: InOrganization,
    State(app): State<App>,
    Json(body): Json<CreateVariable>,
) -> Result<Response, ApiError> {
    Inside::Organization(inside).create(&app, body).await
}

/// Sets a variable, whether or not it is there.
#[utoipa::path(put, path = "/api/v1/organizations/{organization}/variables/{name}", tag = "Organization variables",
    params(("organization" = OrganizationSlug, Path), ("name" = VariableName, Path)), request_body = SetVariable,
    responses((status = 200, body = Variable)))]
pub(crate) async fn set(
    inside: InOrganization,
    State(app): State<App>,
    Path(VariablePath { name }): Path<VariablePath>,
    Json(body): Json<SetVariable>,
) -> Result<axum::Json<Variable>, ApiError> {
    Inside::Organization(inside).set(&app, &name, body).await
}

/// Takes a variable away, for one context.
#[utoipa::path(delete, path = "/api/v1/organizations/{organization}/variables/{name}", tag = "Organization variables",
    params(("organization" = OrganizationSlug, Path), ("name" = VariableName, Path), ContextQuery), responses((status = 204)))]
pub(crate) async fn delete(
    inside: InOrganization,
    State(app): State<App>,
    Path(VariablePath { name }): Path<VariablePath>,
    Query(query): Query<ContextQuery>,
) -> Result<StatusCode, ApiError> {
    Inside::Organization(inside).delete(&app, &name, &query.context).await
}

/// Sets all variables of a `.env` file, or none of them if a line is wrong.
#[utoipa::path(post, path = "/api/v1/organizations/{organization}/variables/import", tag = "Organization variables",
    params(("organization" = OrganizationSlug, Path), ImportQuery), request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = ImportedVariables)))]
pub(crate) async fn import(
    inside: InOrganization,
    State(app): State<App>,
    Query(query): Query<ImportQuery>,
    PlainText(file): PlainText,
) -> Result<axum::Json<ImportedVariables>, ApiError> {
    Inside::Organization(inside).import(&app, query, &file).await
}

/// The variables of one context as a `.env` file; secrets are named in comments.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}/variables/export", tag = "Organization variables",
    params(("organization" = OrganizationSlug, Path), ContextQuery), responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn export(
    inside: InOrganization,
    State(app): State<App>,
    Query(query): Query<ContextQuery>,
) -> Result<Response, ApiError> {
    Inside::Organization(inside).export(&app, &query.context).await
}
