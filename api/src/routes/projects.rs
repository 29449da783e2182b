//! `/api/v1/projects`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use loggia_types::api::{CreateProject, CreatedProject, Page, Project, UpdateProject};
use loggia_types::{OrganizationSlug, ProjectId, ProjectSlug, SurrogateKey, Timestamp};
use serde::Deserialize;

use crate::access::{Caller, InProject, Permission, Via};
use crate::app::App;
use crate::audit::{self, Change};
use crate::db;
use crate::db::organizations::OrganizationRow;
use crate::db::projects::{ListFilter, ProjectRow, SLUG_IS_UNIQUE};
use crate::error::ApiError;
use crate::extract::{Json, Query};
use crate::vault::random_token;
use crate::{names, views};

pub(super) const PAGE_LEN: i64 = 50;
const WEBHOOK_SECRET_LEN: std::ops::RangeInclusive<usize> = 16..=256;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
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

/// The projects that the caller has a role in, in the order of creation. Operators see all.
#[utoipa::path(get, path = "/api/v1/projects", tag = "Projects", params(PageQuery),
    responses((status = 200, body = Page<Project>)))]
pub(crate) async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<Project>>, ApiError> {
    let after = query.after.unwrap_or_default();
    let user = caller.user_id().filter(|_| !caller.is_operator());
    let filter = match caller.via {
        Via::Token { organization_id, project_id, .. } => {
            ListFilter { user, organization: organization_id, project: project_id }
        }
        Via::Session(_) | Via::Link => ListFilter { user, ..ListFilter::default() },
    };
    let rows = db::projects::list(&app.db().await?, filter, &after, PAGE_LEN).await?;
    let next = next(&rows, |row| row.id.to_string());
    let items = rows.into_iter().map(|row| views::project(&app.config, row)).collect();
    Ok(axum::Json(Page { items, next }))
}

/// Makes a project: of a repository, or an empty one to upload to.
#[utoipa::path(post, path = "/api/v1/projects", tag = "Projects", request_body = CreateProject,
    responses((status = 201, body = CreatedProject), (status = 409, description = "The slug is taken")))]
pub(crate) async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<CreateProject>,
) -> Result<impl IntoResponse, ApiError> {
    let organization = owner(&app, &caller, body.organization.as_ref()).await?;
    let name = body.name.unwrap_or_else(|| body.slug.to_string());
    names::check("name", &name)?;
    let webhook_secret = match body.webhook_secret {
        Some(secret) if WEBHOOK_SECRET_LEN.contains(&secret.len()) => secret,
        Some(_) => {
            let message = "webhook_secret has 16 to 256 characters; leave it out and one is made";
            return Err(ApiError::invalid("webhook_secret", "invalid_webhook_secret", message));
        }
        None => random_token(""),
    };
    let row = ProjectRow {
        id: ProjectId::generate(),
        organization_id: organization.id,
        organization_slug: organization.slug,
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
    insert(&app, &caller, &row).await?;
    let created = CreatedProject {
        webhook_url: format!("{}/api/v1/webhooks/github", app.config.public_url),
        webhook_secret: row.webhook_secret.clone(),
        project: views::project(&app.config, row),
    };
    Ok((StatusCode::CREATED, axum::Json(created)))
}

/// The organization that shall own a new project.
async fn owner(
    app: &App,
    caller: &Caller,
    named: Option<&OrganizationSlug>,
) -> Result<OrganizationRow, ApiError> {
    let client = app.db().await?;
    let home = match named {
        Some(slug) => slug.clone(),
        None => match db::organizations::find_home(&client, caller.user_id()).await? {
            Some(home) => home.slug,
            None => {
                let message = "you belong to no organization that you may make projects in; name one";
                return Err(ApiError::invalid("organization", "no_organization", message));
            }
        },
    };
    let inside = caller.organization(&client, &home, Permission::Manage).await?;
    Ok(OrganizationRow::clone(&inside.organization))
}

/// The event makes edges forget that they knew nobody of this name.
async fn insert(app: &App, caller: &Caller, row: &ProjectRow) -> Result<(), ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::projects::insert(&transaction, row).await.map_err(|error| match error.constraint() {
        Some(SLUG_IS_UNIQUE) => {
            let message = format!("the slug {} is taken; choose another", row.slug);
            ApiError::conflict("slug_taken", message).about("slug")
        }
        _ => error.into(),
    })?;
    db::events::publish(&transaction, row.id, &[app.config.base_domain.production(&row.slug)], &[]).await?;
    let change = Change { after: summary(app, row), ..Change::new("project.create", row.slug.as_str()) };
    audit::insert(&transaction, caller, Some(row.organization_id), Some(row.id), change).await?;
    transaction.commit().await?;
    Ok(())
}

/// A project as the audit log keeps it.
fn summary(app: &App, row: &ProjectRow) -> serde_json::Value {
    db::to_json(&views::project(&app.config, row.clone()))
}

/// A project.
#[utoipa::path(get, path = "/api/v1/projects/{slug}", tag = "Projects", params(("slug" = ProjectSlug, Path)),
    responses((status = 200, body = Project)))]
pub(crate) async fn get(inside: InProject, State(app): State<App>) -> axum::Json<Project> {
    axum::Json(views::project(&app.config, ProjectRow::clone(&inside.project)))
}

/// Changes what is named and leaves the rest.
#[utoipa::path(patch, path = "/api/v1/projects/{slug}", tag = "Projects", params(("slug" = ProjectSlug, Path)),
    request_body = UpdateProject, responses((status = 200, body = Project)))]
pub(crate) async fn update(
    inside: InProject,
    State(app): State<App>,
    Json(change): Json<UpdateProject>,
) -> Result<axum::Json<Project>, ApiError> {
    if let Some(name) = &change.name {
        names::check("name", name)?;
    }
    let project = &inside.project;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::projects::update(&transaction, project.id, &change).await?;
    let changed = db::projects::get(&transaction, project.id).await?;
    db::events::publish(&transaction, project.id, &[], &[SurrogateKey::project(project.id)]).await?;
    let change = Change {
        before: summary(&app, project),
        after: summary(&app, &changed),
        ..Change::new("project.update", project.slug.as_str())
    };
    audit::record_in_project(&transaction, &inside, change).await?;
    transaction.commit().await?;
    Ok(axum::Json(views::project(&app.config, changed)))
}

/// The files stay in the bucket until they are collected; its own hostnames are free at once, and its domains are kept for
/// the organization for a while.
#[utoipa::path(delete, path = "/api/v1/projects/{slug}", tag = "Projects", params(("slug" = ProjectSlug, Path)),
    responses((status = 204)))]
pub(crate) async fn delete(inside: InProject, State(app): State<App>) -> Result<StatusCode, ApiError> {
    let project = &inside.project;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::projects::delete(&transaction, project.id).await?;
    db::events::publish(&transaction, project.id, &[], &[SurrogateKey::project(project.id)]).await?;
    let change =
        Change { before: summary(&app, project), ..Change::new("project.delete", project.slug.as_str()) };
    audit::record_in_project(&transaction, &inside, change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
