//! `/api/v1/organizations/{organization}/members` and `/api/v1/projects/{slug}/collaborators`

use axum::extract::State;
use axum::http::StatusCode;
use loggia_types::api::{Member, Role, SetCollaborator, TokenScope, UpdateMember};
use loggia_types::{OrganizationSlug, ProjectSlug, UserId};
use serde::Deserialize;
use serde_json::json;

use crate::access::{InOrganization, InProject, Permission};
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::{GenericClient, members, users};
use crate::error::ApiError;
use crate::extract::{Json, Path};

#[derive(Debug, Deserialize)]
pub(crate) struct MemberPath {
    user: UserId,
}

/// Who belongs to an organization.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}/members", tag = "Organizations",
    params(("organization" = OrganizationSlug, Path)), responses((status = 200, body = Vec<Member>)))]
pub(crate) async fn list_members(
    inside: InOrganization,
    State(app): State<App>,
) -> Result<axum::Json<Vec<Member>>, ApiError> {
    Ok(axum::Json(members::list(&app.db().await?, inside.organization.id).await?))
}

/// Gives a member another role. Owners are made and unmade by owners, and one always stays.
#[utoipa::path(patch, path = "/api/v1/organizations/{organization}/members/{user}", tag = "Organizations",
    params(("organization" = OrganizationSlug, Path), ("user" = UserId, Path)), request_body = UpdateMember,
    responses((status = 204), (status = 409, description = "It is the last owner")))]
pub(crate) async fn set_role(
    inside: InOrganization,
    State(app): State<App>,
    Path(MemberPath { user }): Path<MemberPath>,
    Json(body): Json<UpdateMember>,
) -> Result<StatusCode, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let before = may_change(&transaction, &inside, user, Some(body.role)).await?;
    members::set_role(&transaction, inside.organization.id, user, body.role).await?;
    let email = users::get(&transaction, user).await?.email;
    let change = Change {
        before: json!(before),
        after: json!(body.role),
        ..Change::new("member.update", email.as_str())
    };
    audit::record_in_organization(&transaction, &inside, change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a member out; everybody may take themselves out.
#[utoipa::path(delete, path = "/api/v1/organizations/{organization}/members/{user}", tag = "Organizations",
    params(("organization" = OrganizationSlug, Path), ("user" = UserId, Path)),
    responses((status = 204), (status = 409, description = "It is the last owner")))]
pub(crate) async fn remove_member(
    inside: InOrganization,
    State(app): State<App>,
    Path(MemberPath { user }): Path<MemberPath>,
) -> Result<StatusCode, ApiError> {
    // Leaving is a change, too.
    inside.caller.require_scope(TokenScope::Admin)?;
    if inside.caller.user_id() != Some(user) {
        inside.require(Permission::ManageMembers)?;
    }
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let before = may_change(&transaction, &inside, user, None).await?;
    members::delete(&transaction, inside.organization.id, user).await?;
    let email = users::get(&transaction, user).await?.email;
    let change = Change { before: json!(before), ..Change::new("member.remove", email.as_str()) };
    audit::record_in_organization(&transaction, &inside, change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The member's role of before, if the caller may make it `after`, or nothing.
async fn may_change(
    db: &impl GenericClient,
    inside: &InOrganization,
    user: UserId,
    after: Option<Role>,
) -> Result<Role, ApiError> {
    let organization = &inside.organization;
    members::lock(db, organization.id).await?;
    let before = members::find_role(db, organization.id, user).await?;
    let before = before.ok_or_else(|| ApiError::not_found(format!("member {user}")))?;
    if organization.personal_of == Some(user) {
        let message = "a personal organization stays its person's";
        return Err(ApiError::conflict("personal_organization", message));
    }
    let touches_owners = before == Role::Owner || after == Some(Role::Owner);
    if touches_owners && inside.role < Role::Owner {
        return Err(ApiError::forbidden("owners_only", "only an owner makes or unmakes owners"));
    }
    let is_last = before == Role::Owner && after != Some(Role::Owner);
    if is_last && members::count_owners(db, organization.id).await? == 1 {
        let message =
            format!("{} would be without an owner; make somebody else one first", organization.slug);
        return Err(ApiError::conflict("last_owner", message));
    }
    Ok(before)
}

/// Who works on a project without belonging to its organization.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/collaborators", tag = "Projects",
    params(("slug" = ProjectSlug, Path)), responses((status = 200, body = Vec<Member>)))]
pub(crate) async fn list_collaborators(
    inside: InProject,
    State(app): State<App>,
) -> Result<axum::Json<Vec<Member>>, ApiError> {
    Ok(axum::Json(members::list_collaborators(&app.db().await?, inside.project.id).await?))
}

/// Lets somebody who has an account work on a project, or gives them another role there.
#[utoipa::path(put, path = "/api/v1/projects/{slug}/collaborators", tag = "Projects",
    params(("slug" = ProjectSlug, Path)), request_body = SetCollaborator,
    responses((status = 204)))]
pub(crate) async fn set_collaborator(
    inside: InProject,
    State(app): State<App>,
    Json(body): Json<SetCollaborator>,
) -> Result<StatusCode, ApiError> {
    if body.role > inside.role {
        let message = format!("role is at most your own, which is {}", inside.role.as_str());
        return Err(ApiError::invalid("role", "role_too_high", message));
    }
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let user = users::find_by_email(&transaction, &body.email).await?.ok_or_else(|| {
        let message =
            format!("nobody with the address {} has an account; invite them to the organization", body.email);
        ApiError::invalid("email", "unknown_person", message)
    })?;
    members::set_collaborator(&transaction, inside.project.id, user.id, body.role).await?;
    let change = Change { after: json!(body.role), ..Change::new("collaborator.set", body.email.as_str()) };
    audit::record_in_project(&transaction, &inside, change).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a collaborator off; everybody may take themselves off.
#[utoipa::path(delete, path = "/api/v1/projects/{slug}/collaborators/{user}", tag = "Projects",
    params(("slug" = ProjectSlug, Path), ("user" = UserId, Path)), responses((status = 204)))]
pub(crate) async fn remove_collaborator(
    inside: InProject,
    State(app): State<App>,
    Path(MemberPath { user }): Path<MemberPath>,
) -> Result<StatusCode, ApiError> {
    // Leaving is a change, too.
    inside.caller.require_scope(TokenScope::Admin)?;
    if inside.caller.user_id() != Some(user) {
        inside.require(Permission::ManageMembers)?;
    }
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    if !members::delete_collaborator(&transaction, inside.project.id, user).await? {
        return Err(ApiError::not_found(format!("collaborator {user}")));
    }
    audit::record_in_project(&transaction, &inside, Change::new("collaborator.remove", user.as_str()))
        .await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
