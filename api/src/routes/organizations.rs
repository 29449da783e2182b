//! `/api/v1/organizations`

use axum::extract::State;
use axum::http::StatusCode;
use loggia_types::api::{CreateOrganization, Organization, Role, UpdateOrganization};
use loggia_types::{OrganizationId, OrganizationSlug};
use serde_json::json;

use crate::access::{Caller, InOrganization};
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::organizations::{self, OrganizationRow, SLUG_IS_UNIQUE};
use crate::db::{DbError, members};
use crate::error::ApiError;
use crate::extract::Json;
use crate::names;

fn view(row: OrganizationRow, role: Role) -> Organization {
    Organization { id: row.id, slug: row.slug, name: row.name, is_personal: row.personal_of.is_some(), role }
}

fn slug_taken(error: DbError, slug: &OrganizationSlug) -> ApiError {
    match error.constraint() {
        Some(SLUG_IS_UNIQUE) => {
            ApiError::conflict("slug_taken", format!("there is an organization {slug}; choose another slug"))
                .about("slug")
        }
        _ => error.into(),
    }
}

/// What the caller belongs to. Operators see all.
#[utoipa::path(get, path = "/api/v1/organizations", tag = "Organizations",
    responses((status = 200, body = Vec<Organization>)))]
pub(crate) async fn list(
    caller: Caller,
    State(app): State<App>,
) -> Result<axum::Json<Vec<Organization>>, ApiError> {
    let everybody = caller.is_operator() && !caller.is_narrow();
    let user = if everybody { None } else { caller.user_id() };
    let rows = organizations::list(&app.db().await?, user).await?;
    let own_role = |role: Option<Role>| if everybody { Role::Owner } else { role.unwrap_or(Role::Viewer) };
    let visible = rows.into_iter().filter(|(row, _)| caller.reaches_organization(row.id));
    Ok(axum::Json(visible.map(|(row, role)| view(row, own_role(role))).collect()))
}

/// Makes an organization that the caller owns.
#[utoipa::path(post, path = "/api/v1/organizations", tag = "Organizations", request_body = CreateOrganization,
    responses((status = 201, body = Organization), (status = 409, description = "The slug is taken")))]
pub(crate) async fn create(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<CreateOrganization>,
) -> Result<(StatusCode, axum::Json<Organization>), ApiError> {
    caller.require_wide()?;
    let name = body.name.unwrap_or_else(|| body.slug.to_string());
    names::check("name", &name)?;
    let id = OrganizationId::generate();
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    organizations::insert(&transaction, id, &body.slug, name.trim())
        .await
        .map_err(|error| slug_taken(error, &body.slug))?;
    if let Some(user) = caller.user_id() {
        members::insert(&transaction, id, user, Role::Owner).await?;
    }
    let change =
        Change { after: json!({"name": name}), ..Change::new("organization.create", body.slug.as_str()) };
    audit::insert(&transaction, &caller, Some(id), None, change).await?;
    transaction.commit().await?;
    let row = OrganizationRow { id, slug: body.slug, name, personal_of: None };
    Ok((StatusCode::CREATED, axum::Json(view(row, Role::Owner))))
}

/// An organization.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}", tag = "Organizations",
    params(("organization" = OrganizationSlug, Path)), responses((status = 200, body = Organization)))]
pub(crate) async fn get(inside: InOrganization) -> axum::Json<Organization> {
    axum::Json(view(OrganizationRow::clone(&inside.organization), inside.role))
}

/// Changes what is named and leaves the rest.
#[utoipa::path(patch, path = "/api/v1/organizations/{organization}", tag = "Organizations",
    params(("organization" = OrganizationSlug, Path)), request_body = UpdateOrganization,
    responses((status = 200, body = Organization), (status = 409, description = "The slug is taken")))]
pub(crate) async fn update(
    inside: InOrganization,
    State(app): State<App>,
    Json(body): Json<UpdateOrganization>,
) -> Result<axum::Json<Organization>, ApiError> {
    if let Some(name) = &body.name {
        names::check("name", name)?;
    }
    let before = &inside.organization;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let name = body.name.as_deref().map(str::trim);
    organizations::update(&transaction, before.id, body.slug.as_ref(), name)
        .await
        .map_err(|error| slug_taken(error, body.slug.as_ref().unwrap_or(&before.slug)))?;
    let after = OrganizationRow {
        slug: body.slug.clone().unwrap_or_else(|| before.slug.clone()),
        name: name.map_or_else(|| before.name.clone(), str::to_owned),
        ..OrganizationRow::clone(before)
    };
    let change = Change {
        before: json!({"slug": before.slug, "name": before.name}),
        after: json!({"slug": after.slug, "name": after.name}),
        ..Change::new("organization.update", before.slug.as_str())
    };
    audit::record_in_organization(&transaction, &inside, change).await?;
    transaction.commit().await?;
    Ok(axum::Json(view(after, inside.role)))
}

/// Ends an organization that has no projects.
#[utoipa::path(delete, path = "/api/v1/organizations/{organization}", tag = "Organizations",
    params(("organization" = OrganizationSlug, Path)),
    responses((status = 204), (status = 409, description = "It has projects, or is somebody's own")))]
pub(crate) async fn delete(inside: InOrganization, State(app): State<App>) -> Result<StatusCode, ApiError> {
    let row = &inside.organization;
    if row.personal_of.is_some() {
        let message = "a personal organization ends with its person's account";
        return Err(ApiError::conflict("personal_organization", message));
    }
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    members::lock(&transaction, row.id).await?;
    let projects = organizations::count_projects(&transaction, row.id).await?;
    if projects > 0 {
        let message = format!(
            "{} has {projects} projects (deleted ones stay for 7 days); move or delete them first",
            row.slug
        );
        return Err(ApiError::conflict("organization_has_projects", message));
    }
    audit::record_in_organization(
        &transaction,
        &inside,
        Change::new("organization.delete", row.slug.as_str()),
    )
    .await?;
    organizations::delete(&transaction, row.id).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
