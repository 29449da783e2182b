//! `/api/v1/projects/{slug}/deployments`, promote and roll back.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use loggia_types::alias::AliasName;
use loggia_types::api::{CreateDeployment, Deployment, Page, Promote};
use loggia_types::build::LogLine;
use loggia_types::{ContentHash, DeploymentId, ProjectSlug};
use serde::Deserialize;

use super::projects::{self, PAGE_LEN, PageQuery};
use crate::app::App;
use crate::auth::User;
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

pub(crate) async fn list(
    _: User,
    State(app): State<App>,
    Path(slug): Path<ProjectSlug>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<Deployment>>, ApiError> {
    let project = projects::find(&app, &slug).await?;
    let before = query.after.unwrap_or_else(|| BEFORE_ALL.to_owned());
    let rows = db::deployments::list(&app.db().await?, project.id, &before, PAGE_LEN).await?;
    let next = projects::next(&rows, |row| row.id.to_string());
    let items = rows.into_iter().map(|row| views::deployment(&app.config, &slug, row)).collect();
    Ok(axum::Json(Page { items, next }))
}

pub(crate) async fn get(
    _: User,
    State(app): State<App>,
    Path((slug, id)): Path<(ProjectSlug, DeploymentId)>,
) -> Result<axum::Json<Deployment>, ApiError> {
    let project = projects::find(&app, &slug).await?;
    let row = ops::deployments::get(&app.db().await?, project.id, id).await?;
    Ok(axum::Json(views::deployment(&app.config, &slug, row)))
}

pub(crate) async fn create(
    _: User,
    State(app): State<App>,
    Path(slug): Path<ProjectSlug>,
    Json(body): Json<CreateDeployment>,
) -> Result<Response, ApiError> {
    let project = projects::find(&app, &slug).await?;
    match body {
        CreateDeployment::Git { branch, commit, message } => {
            check_message(&message)?;
            if project.repository_url.is_none() {
                let message = format!("project {slug} has no repository; set repository_url first");
                return Err(ApiError::conflict("no_repository", message));
            }
            let new = db::deployments::NewDeployment {
                message,
                ..ops::pushes::of_commit(&project, branch, commit)
            };
            trigger(&app, &project, &new).await
        }
        CreateDeployment::Upload { files, alias, message } => {
            check_message(&message)?;
            let alias = alias.unwrap_or(AliasName::Production);
            let started = ops::uploads::start(&app, &project, files, alias, message).await?;
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

pub(crate) async fn upload_file(
    _: User,
    State(app): State<App>,
    Path((slug, id, hash)): Path<(ProjectSlug, DeploymentId, ContentHash)>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let project = projects::find(&app, &slug).await?;
    ops::uploads::receive(&app, &project, id, hash, body.into_data_stream()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn finish_upload(
    _: User,
    State(app): State<App>,
    Path((slug, id)): Path<(ProjectSlug, DeploymentId)>,
) -> Result<axum::Json<Deployment>, ApiError> {
    let project = projects::find(&app, &slug).await?;
    let row = ops::uploads::finish(&app, &project, id).await?;
    Ok(axum::Json(views::deployment(&app.config, &slug, row)))
}

#[derive(Debug, Deserialize)]
pub(crate) struct LogQuery {
    /// The first line wanted, counted from 0.
    #[serde(default)]
    from: i32,
}

/// The log of the latest attempt.
pub(crate) async fn log(
    _: User,
    State(app): State<App>,
    Path((slug, id)): Path<(ProjectSlug, DeploymentId)>,
    Query(query): Query<LogQuery>,
) -> Result<axum::Json<Vec<LogLine>>, ApiError> {
    let project = projects::find(&app, &slug).await?;
    let client = app.db().await?;
    ops::deployments::get(&client, project.id, id).await?;
    let lines = match db::builds::find_by_deployment(&client, id).await? {
        Some((build_id, attempt)) => {
            db::log_lines::list(&client, build_id, attempt, query.from, LOG_LINES_MAX).await?
        }
        None => Vec::new(),
    };
    Ok(axum::Json(lines))
}

pub(crate) async fn cancel(
    _: User,
    State(app): State<App>,
    Path((slug, id)): Path<(ProjectSlug, DeploymentId)>,
) -> Result<axum::Json<Deployment>, ApiError> {
    let project = projects::find(&app, &slug).await?;
    let row = ops::deployments::cancel(&app, project.id, id).await?;
    Ok(axum::Json(views::deployment(&app.config, &slug, row)))
}

pub(crate) async fn promote(
    _: User,
    State(app): State<App>,
    Path(slug): Path<ProjectSlug>,
    Json(body): Json<Promote>,
) -> Result<axum::Json<Deployment>, ApiError> {
    let project = projects::find(&app, &slug).await?;
    let alias = body.alias.unwrap_or(AliasName::Production);
    let row = ops::deployments::promote(&app, &project, body.deployment_id, &alias).await?;
    Ok(axum::Json(views::deployment(&app.config, &slug, row)))
}

pub(crate) async fn roll_back(
    _: User,
    State(app): State<App>,
    Path(slug): Path<ProjectSlug>,
) -> Result<axum::Json<Deployment>, ApiError> {
    let project = projects::find(&app, &slug).await?;
    let row = ops::deployments::roll_back(&app, &project).await?;
    Ok(axum::Json(views::deployment(&app.config, &slug, row)))
}

fn check_message(message: &str) -> Result<(), ApiError> {
    if message.len() > MESSAGE_LEN_MAX {
        let text = format!("message has at most {MESSAGE_LEN_MAX} bytes");
        return Err(ApiError::unprocessable("message_too_long", text));
    }
    Ok(())
}
