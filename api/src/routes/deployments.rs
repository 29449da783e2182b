//! `/api/v1/projects/{slug}/deployments`, promote and roll back.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use loggia_types::alias::AliasName;
use loggia_types::api::{CreateDeployment, CreatedDeployment, Deployment, Page, Promote};
use loggia_types::build::LogLine;
use loggia_types::{ContentHash, DeploymentId, ProjectSlug};
use serde::Deserialize;

use super::projects::{self, PAGE_LEN, PageQuery};
use crate::access::InProject;
use crate::app::App;

use crate::db;
use crate::db::projects::ProjectRow;
use crate::error::ApiError;
use crate::extract::{Json, Path, Query};
use crate::ops;
use crate::views;

const MESSAGE_LEN_MAX: usize = 4096;
const LOG_LINES_MAX: i64 = 10_000;
/// Sorts behind every id.
const BEFORE_ALL: &str = "~";

#[derive(Debug, Deserialize)]
pub(crate) struct DeploymentPath {
    id: DeploymentId,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FilePath {
    id: DeploymentId,
    hash: ContentHash,
}

/// The deployments of a project, newest first.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/deployments", tag = "Deployments",
    params(("slug" = ProjectSlug, Path), PageQuery), responses((status = 200, body = Page<Deployment>)))]
pub(crate) async fn list(
    inside: InProject,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<Deployment>>, ApiError> {
    let project = &inside.project;
    let before = query.after.unwrap_or_else(|| BEFORE_ALL.to_owned());
    let rows = db::deployments::list(&app.db().await?, project.id, &before, PAGE_LEN).await?;
    let next = projects::next(&rows, |row| row.id.to_string());
    let items = rows.into_iter().map(|row| views::deployment(&app.config, &project.slug, row)).collect();
    Ok(axum::Json(Page { items, next }))
}

/// A deployment.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/deployments/{id}", tag = "Deployments",
    params(("slug" = ProjectSlug, Path), ("id" = DeploymentId, Path)), responses((status = 200, body = Deployment)))]
pub(crate) async fn get(
    inside: InProject,
    State(app): State<App>,
    Path(path): Path<DeploymentPath>,
) -> Result<axum::Json<Deployment>, ApiError> {
    let project = &inside.project;
    let row = ops::deployments::get(&app.db().await?, project.id, path.id).await?;
    Ok(axum::Json(views::deployment(&app.config, &project.slug, row)))
}

/// Builds a commit, or announces the files of an upload.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/deployments", tag = "Deployments",
    params(("slug" = ProjectSlug, Path)), request_body = CreateDeployment,
    responses((status = 201, body = CreatedDeployment), (status = 409, description = "This commit has a deployment, or there is no repository")))]
pub(crate) async fn create(
    inside: InProject,
    State(app): State<App>,
    Json(body): Json<CreateDeployment>,
) -> Result<Response, ApiError> {
    let project = &inside.project;
    match body {
        CreateDeployment::Git { branch, commit, message } => {
            check_message(&message)?;
            if project.repository_url.is_none() {
                let message = format!("project {} has no repository; set repository_url first", project.slug);
                return Err(ApiError::conflict("no_repository", message));
            }
            let new =
                db::deployments::NewDeployment { message, ..ops::pushes::of_commit(project, branch, commit) };
            trigger(&app, project, &new).await
        }
        CreateDeployment::Upload { files, alias, message } => {
            check_message(&message)?;
            let alias = alias.unwrap_or(AliasName::Production);
            let started = ops::uploads::start(&app, project, files, alias, message).await?;
            Ok((StatusCode::CREATED, axum::Json(started)).into_response())
        }
    }
}

async fn trigger(
    app: &App,
    project: &ProjectRow,
    new: &db::deployments::NewDeployment,
) -> Result<Response, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    if !ops::pushes::queue(&transaction, new).await? {
        let message = "this commit of this branch has a deployment already; promote that one";
        return Err(ApiError::conflict("already_deployed", message));
    }
    transaction.commit().await?;
    let row = ops::deployments::get(&client, project.id, new.id).await?;
    Ok((StatusCode::CREATED, axum::Json(views::deployment(&app.config, &project.slug, row))).into_response())
}

/// Takes a file that was announced, by the SHA-256 of its content. Sending one twice is fine.
#[utoipa::path(put, path = "/api/v1/projects/{slug}/deployments/{id}/files/{hash}", tag = "Deployments",
    params(("slug" = ProjectSlug, Path), ("id" = DeploymentId, Path), ("hash" = ContentHash, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204, description = "It is there"), (status = 409, description = "The deployment takes no files")))]
pub(crate) async fn upload_file(
    inside: InProject,
    State(app): State<App>,
    Path(path): Path<FilePath>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let project = &inside.project;
    ops::uploads::receive(&app, project, path.id, path.hash, body.into_data_stream()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets an upload whose files are all there go live. Finishing twice is answered alike.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/deployments/{id}/finish", tag = "Deployments",
    params(("slug" = ProjectSlug, Path), ("id" = DeploymentId, Path)),
    responses((status = 200, body = Deployment), (status = 409, description = "Files are missing, or the deployment has ended")))]
pub(crate) async fn finish_upload(
    inside: InProject,
    State(app): State<App>,
    Path(path): Path<DeploymentPath>,
) -> Result<axum::Json<Deployment>, ApiError> {
    let project = &inside.project;
    let row = ops::uploads::finish(&app, project, path.id).await?;
    Ok(axum::Json(views::deployment(&app.config, &project.slug, row)))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// The first line wanted, counted from 0.
    #[serde(default)]
    from: i32,
}

/// The log of the latest attempt.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/deployments/{id}/log", tag = "Deployments",
    params(("slug" = ProjectSlug, Path), ("id" = DeploymentId, Path), LogQuery), responses((status = 200, body = Vec<LogLine>)))]
pub(crate) async fn log(
    inside: InProject,
    State(app): State<App>,
    Path(path): Path<DeploymentPath>,
    Query(query): Query<LogQuery>,
) -> Result<axum::Json<Vec<LogLine>>, ApiError> {
    let project = &inside.project;
    let client = app.db().await?;
    ops::deployments::get(&client, project.id, path.id).await?;
    let lines = match db::builds::find_by_deployment(&client, path.id).await? {
        Some((build_id, attempt)) => {
            db::log_lines::list(&client, build_id, attempt, query.from, LOG_LINES_MAX).await?
        }
        None => Vec::new(),
    };
    Ok(axum::Json(lines))
}

/// Ends a deployment that is under way.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/deployments/{id}/cancel", tag = "Deployments",
    params(("slug" = ProjectSlug, Path), ("id" = DeploymentId, Path)),
    responses((status = 200, body = Deployment), (status = 409, description = "It has ended")))]
pub(crate) async fn cancel(
    inside: InProject,
    State(app): State<App>,
    Path(path): Path<DeploymentPath>,
) -> Result<axum::Json<Deployment>, ApiError> {
    let project = &inside.project;
    let row = ops::deployments::cancel(&app, &inside, path.id).await?;
    Ok(axum::Json(views::deployment(&app.config, &project.slug, row)))
}

/// Points production, or another alias, at a deployment.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/promote", tag = "Deployments",
    params(("slug" = ProjectSlug, Path)), request_body = Promote,
    responses((status = 200, body = Deployment), (status = 409, description = "It is not finished")))]
pub(crate) async fn promote(
    inside: InProject,
    State(app): State<App>,
    Json(body): Json<Promote>,
) -> Result<axum::Json<Deployment>, ApiError> {
    let project = &inside.project;
    let alias = body.alias.unwrap_or(AliasName::Production);
    let row = ops::deployments::promote(&app, &inside, body.deployment_id, &alias).await?;
    Ok(axum::Json(views::deployment(&app.config, &project.slug, row)))
}

/// Points production at what it showed before.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/rollback", tag = "Deployments",
    params(("slug" = ProjectSlug, Path)),
    responses((status = 200, body = Deployment), (status = 409, description = "There is nothing to go back to")))]
pub(crate) async fn roll_back(
    inside: InProject,
    State(app): State<App>,
) -> Result<axum::Json<Deployment>, ApiError> {
    let project = &inside.project;
    let row = ops::deployments::roll_back(&app, &inside).await?;
    Ok(axum::Json(views::deployment(&app.config, &project.slug, row)))
}

fn check_message(message: &str) -> Result<(), ApiError> {
    if message.len() > MESSAGE_LEN_MAX {
        let text = format!("message has at most {MESSAGE_LEN_MAX} bytes");
        return Err(ApiError::unprocessable("message_too_long", text));
    }
    Ok(())
}
