//! `/api/v1/projects`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use loggia_types::api::{CreateProject, CreatedProject, Page, Project, UpdateProject};
use loggia_types::{ProjectId, ProjectSlug, SurrogateKey, Timestamp};
use serde::Deserialize;

use crate::app::App;
use crate::auth::User;
use crate::db;
use crate::db::projects::{ProjectRow, SLUG_IS_UNIQUE};
use crate::error::ApiError;
use crate::extract::{Json, Path, Query};
use crate::views;

pub(super) const PAGE_LEN: i64 = 50;
const NAME_LEN_MAX: usize = 100;
const WEBHOOK_SECRET_LEN: std::ops::RangeInclusive<usize> = 16..=256;

#[derive(Debug, Deserialize)]
pub(super) struct PageQuery {
    /// The `next` of the page before.
    #[serde(default)]
    pub(super) after: Option<String>,
}

/// The cursor of the next page, if this one is full.
pub(super) fn next<T>(items: &[T], id: impl Fn(&T) -> String) -> Option<String> {
    let full = i64::try_from(items.len()).is_ok_and(|len| len == PAGE_LEN);
    items.last().filter(|_| full).map(id)
}

/// The project of a path, for all the routes below it.
pub(super) async fn find(app: &App, slug: &ProjectSlug) -> Result<ProjectRow, ApiError> {
    let row = db::projects::find_by_slug(&app.db().await?, slug).await?;
    row.ok_or_else(|| ApiError::not_found(format!("project {slug}")))
}

pub(crate) async fn list(
    _: User,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<Project>>, ApiError> {
    let after = query.after.unwrap_or_default();
    let rows = db::projects::list(&app.db().await?, &after, PAGE_LEN).await?;
    let next = next(&rows, |row| row.id.to_string());
    let items = rows.into_iter().map(|row| views::project(&app.config, row)).collect();
    Ok(axum::Json(Page { items, next }))
}

pub(crate) async fn create(
    _: User,
    State(app): State<App>,
    Json(body): Json<CreateProject>,
) -> Result<impl IntoResponse, ApiError> {
    let name = body.name.unwrap_or_else(|| body.slug.to_string());
    check_name(&name)?;
    let webhook_secret = match body.webhook_secret {
        Some(secret) if WEBHOOK_SECRET_LEN.contains(&secret.len()) => secret,
        Some(_) => {
            let message = "webhook_secret has 16 to 256 characters; leave it out and one is made";
            return Err(ApiError::unprocessable("invalid_webhook_secret", message));
        }
        None => random_secret(),
    };
    let row = ProjectRow {
        id: ProjectId::generate(),
        slug: body.slug,
        name,
        repository_url: body.repository_url,
        production_branch: body.production_branch.unwrap_or_else(|| "main".parse().expect("a valid branch")),
        build: body.build,
        not_found: body.not_found,
        webhook_secret,
        production_deployment_id: None,
        created_at: Timestamp::now(),
    };
    insert(&app, &row).await?;
    let created = CreatedProject {
        webhook_url: format!("{}/api/v1/webhooks/github", app.config.public_url),
        webhook_secret: row.webhook_secret.clone(),
        project: views::project(&app.config, row),
    };
    Ok((StatusCode::CREATED, axum::Json(created)))
}

/// The event makes edges forget that they knew nobody of this name.
async fn insert(app: &App, row: &ProjectRow) -> Result<(), ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::projects::insert(&transaction, row).await.map_err(|error| match error.constraint() {
        Some(SLUG_IS_UNIQUE) => {
            ApiError::conflict("slug_taken", format!("the slug {} is taken; choose another", row.slug))
        }
        _ => error.into(),
    })?;
    db::events::publish(&transaction, row.id, &[app.config.base_domain.production(&row.slug)], &[]).await?;
    transaction.commit().await?;
    Ok(())
}

pub(crate) async fn get(
    _: User,
    State(app): State<App>,
    Path(slug): Path<ProjectSlug>,
) -> Result<axum::Json<Project>, ApiError> {
    Ok(axum::Json(views::project(&app.config, find(&app, &slug).await?)))
}

pub(crate) async fn update(
    _: User,
    State(app): State<App>,
    Path(slug): Path<ProjectSlug>,
    Json(change): Json<UpdateProject>,
) -> Result<axum::Json<Project>, ApiError> {
    if let Some(name) = &change.name {
        check_name(name)?;
    }
    let project = find(&app, &slug).await?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::projects::update(&transaction, project.id, &change).await?;
    db::events::publish(&transaction, project.id, &[], &[SurrogateKey::project(project.id)]).await?;
    transaction.commit().await?;
    drop(client);
    Ok(axum::Json(views::project(&app.config, find(&app, &slug).await?)))
}

/// The files stay in the bucket until they are collected; the hostnames are free at once.
pub(crate) async fn delete(
    _: User,
    State(app): State<App>,
    Path(slug): Path<ProjectSlug>,
) -> Result<StatusCode, ApiError> {
    let project = find(&app, &slug).await?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::projects::delete(&transaction, project.id).await?;
    db::events::publish(&transaction, project.id, &[], &[SurrogateKey::project(project.id)]).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.trim().is_empty() || name.chars().count() > NAME_LEN_MAX || name.chars().any(char::is_control) {
        let message = format!("name has 1 to {NAME_LEN_MAX} characters, none of them a control character");
        return Err(ApiError::unprocessable("invalid_name", message));
    }
    Ok(())
}

/// 256 random bits.
pub(super) fn random_secret() -> String {
    data_encoding::BASE64URL_NOPAD.encode(&rand::random::<[u8; 32]>())
}
