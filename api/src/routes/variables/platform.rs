//! `/api/v1/platform/variables`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use loggia_types::VariableName;
use loggia_types::api::{CreateVariable, ImportedVariables, Page, SetVariable, Variable};

use super::{ContextQuery, ImportQuery, Inside, PlainText, VariablePath};
use crate::access::Caller;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Json, Path, Query};

/// The variables of all projects of the installation, by name. Secrets are named, and never shown.
#[utoipa::path(get, path = "/api/v1/platform/variables", tag = "Platform variables",
    responses((status = 200, body = Page<Variable>)))]
pub(crate) async fn list(
    inside: Caller,
    State(app): State<App>,
) -> Result<axum::Json<Page<Variable>>, ApiError> {
    Inside::Platform(inside).list(&app).await
}

/// Sets a variable that is not there yet. It counts for builds that begin from now on.
#[utoipa::path(post, path = "/api/v1/platform/variables", tag = "Platform variables",
    request_body = CreateVariable,
    responses((status = 201, body = Variable), (status = 409, description = "It is there already, for this context")))]
pub(crate) async fn create(
    inside: Caller,
    State(app): State<App>,
    Json(body): Json<CreateVariable>,
) -> Result<Response, ApiError> {
    Inside::Platform(inside).create(&app, body).await
}

/// Sets a variable, whether or not it is there.
#[utoipa::path(put, path = "/api/v1/platform/variables/{name}", tag = "Platform variables",
    params(("name" = VariableName, Path)), request_body = SetVariable,
    responses((status = 200, body = Variable)))]
pub(crate) async fn set(
    inside: Caller,
    State(app): State<App>,
    Path(VariablePath { name }): Path<VariablePath>,
    Json(body): Json<SetVariable>,
) -> Result<axum::Json<Variable>, ApiError> {
    Inside::Platform(inside).set(&app, &name, body).await
}

/// Takes a variable away, for one context.
#[utoipa::path(delete, path = "/api/v1/platform/variables/{name}", tag = "Platform variables",
    params(("name" = VariableName, Path), ContextQuery), responses((status = 204)))]
pub(crate) async fn delete(
    inside: Caller,
    State(app): State<App>,
    Path(VariablePath { name }): Path<VariablePath>,
    Query(query): Query<ContextQuery>,
) -> Result<StatusCode, ApiError> {
    Inside::Platform(inside).delete(&app, &name, &query.context).await
}

/// Sets all variables of a `.env` file, or none of them if a line is wrong.
#[utoipa::path(post, path = "/api/v1/platform/variables/import", tag = "Platform variables",
    params(ImportQuery), request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = ImportedVariables)))]
pub(crate) async fn import(
    inside: Caller,
    State(app): State<App>,
    Query(query): Query<ImportQuery>,
    PlainText(file): PlainText,
) -> Result<axum::Json<ImportedVariables>, ApiError> {
    Inside::Platform(inside).import(&app, query, &file).await
}

/// The variables of one context as a `.env` file; secrets are named in comments.
#[utoipa::path(get, path = "/api/v1/platform/variables/export", tag = "Platform variables",
    params(ContextQuery), responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn export(
    inside: Caller,
    State(app): State<App>,
    Query(query): Query<ContextQuery>,
) -> Result<Response, ApiError> {
    Inside::Platform(inside).export(&app, &query.context).await
}
