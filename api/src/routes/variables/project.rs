//! `/api/v1/projects/{slug}/variables`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use loggia_types::api::{CreateVariable, EffectiveVariable, ImportedVariables, Page, SetVariable, Variable};
use loggia_types::build::Environment;
use loggia_types::{BranchName, ProjectSlug, VariableName};
use serde::Deserialize;

use super::{ContextQuery, ImportQuery, Inside, PlainText, VariablePath};
use crate::access::InProject;
use crate::app::App;
use crate::db;
use crate::error::ApiError;
use crate::extract::{Json, Path, Query};
use crate::variables::{Target, resolve};

/// The variables of a project itself, without those of its organization and the platform, by name. Secrets are named, and never shown.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/variables", tag = "Variables",
    params(("slug" = ProjectSlug, Path)),
    responses((status = 200, body = Page<Variable>)))]
pub(crate) async fn list(
    inside: InProject,
    State(app): State<App>,
) -> Result<axum::Json<Page<Variable>>, ApiError> {
    Inside::Project(inside).list(&app).await
}

/// Sets a variable that is not there yet. It counts for builds that begin from now on.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/variables", tag = "Variables",
    params(("slug" = ProjectSlug, Path)),
    request_body = CreateVariable,
    responses((status = 201, body = Variable), (status = 409, description = "It is there already, for this context")))]
pub(crate) async fn create(
    inside: InProject,
    State(app): State<App>,
    Json(body): Json<CreateVariable>,
) -> Result<Response, ApiError> {
    Inside::Project(inside).create(&app, body).await
}

/// Sets a variable, whether or not it is there.
#[utoipa::path(put, path = "/api/v1/projects/{slug}/variables/{name}", tag = "Variables",
    params(("slug" = ProjectSlug, Path), ("name" = VariableName, Path)), request_body = SetVariable,
    responses((status = 200, body = Variable)))]
pub(crate) async fn set(
    inside: InProject,
    State(app): State<App>,
    Path(VariablePath { name }): Path<VariablePath>,
    Json(body): Json<SetVariable>,
) -> Result<axum::Json<Variable>, ApiError> {
    Inside::Project(inside).set(&app, &name, body).await
}

/// Takes a variable away, for one context.
#[utoipa::path(delete, path = "/api/v1/projects/{slug}/variables/{name}", tag = "Variables",
    params(("slug" = ProjectSlug, Path), ("name" = VariableName, Path), ContextQuery), responses((status = 204)))]
pub(crate) async fn delete(
    inside: InProject,
    State(app): State<App>,
    Path(VariablePath { name }): Path<VariablePath>,
    Query(query): Query<ContextQuery>,
) -> Result<StatusCode, ApiError> {
    Inside::Project(inside).delete(&app, &name, &query.context).await
}

/// Sets all variables of a `.env` file, or none of them if a line is wrong.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/variables/import", tag = "Variables",
    params(("slug" = ProjectSlug, Path), ImportQuery), request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = ImportedVariables)))]
pub(crate) async fn import(
    inside: InProject,
    State(app): State<App>,
    Query(query): Query<ImportQuery>,
    PlainText(file): PlainText,
) -> Result<axum::Json<ImportedVariables>, ApiError> {
    Inside::Project(inside).import(&app, query, &file).await
}

/// The variables of one context as a `.env` file; secrets are named in comments.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/variables/export", tag = "Variables",
    params(("slug" = ProjectSlug, Path), ContextQuery), responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn export(
    inside: InProject,
    State(app): State<App>,
    Query(query): Query<ContextQuery>,
) -> Result<Response, ApiError> {
    Inside::Project(inside).export(&app, &query.context).await
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EffectiveQuery {
    /// The environment that is built for.
    context: Environment,
    /// The branch that is built; in production its own when absent.
    #[serde(default)]
    branch: Option<BranchName>,
    /// False for code from outside, such as a fork's pull request.
    #[serde(default = "trusted")]
    #[param(value_type = Option<bool>)]
    trusted: bool,
}

fn trusted() -> bool {
    true
}

/// The variables that a build would get, where each of them comes from, and what it overrides.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/variables/effective", tag = "Variables",
    params(("slug" = ProjectSlug, Path), EffectiveQuery), responses((status = 200, body = Vec<EffectiveVariable>)))]
pub(crate) async fn effective(
    inside: InProject,
    State(app): State<App>,
    Query(query): Query<EffectiveQuery>,
) -> Result<axum::Json<Vec<EffectiveVariable>>, ApiError> {
    let rows = db::variables::list_for_project(&app.db().await?, inside.project.id).await?;
    let production_branch =
        Some(&inside.project.production_branch).filter(|_| query.context == Environment::Production);
    let target = Target {
        environment: query.context,
        branch: query.branch.as_ref().or(production_branch),
        is_trusted: query.trusted,
    };
    let effective = resolve(rows, target);
    let inside = Inside::Project(inside);
    Ok(axum::Json(effective.into_iter().map(|variable| inside.view_effective(variable)).collect()))
}
