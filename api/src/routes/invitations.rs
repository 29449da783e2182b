//! `/api/v1/organizations/{organization}/invitations`, and what one does with the link of one.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use loggia_types::api::{
    AcceptAsNewPerson, CreateInvitation, Invitation, InvitationPreview, MailedToken, Membership, Role,
    SignedIn,
};
use loggia_types::{InvitationId, OrganizationSlug, UserId};
use serde::Deserialize;
use serde_json::json;

use super::cookies;
use super::reset::link_is_over;
use crate::access::{Caller, InOrganization, Origin, hash};
use crate::app::App;
use crate::attempts::{self, Pace};
use crate::audit::{self, Change};
use crate::db::invitations::{self, NewInvitation, OpenedRow};
use crate::db::{GenericClient, members, users};
use crate::error::ApiError;
use crate::extract::{Json, Path};
use crate::mail::{self, letters};
use crate::ops::people::{self, NewPerson};
use crate::vault::random_token;
use crate::{names, passwords};

const GOOD_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Nobody sends more mails than this to strangers in our name.
const INVITATIONS: Pace = Pace { free: 100, wait: Duration::from_secs(60) };

#[derive(Debug, Deserialize)]
pub(crate) struct InvitationPath {
    id: InvitationId,
}

/// Who was invited and has not come yet.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}/invitations", tag = "Organizations",
    params(("organization" = OrganizationSlug, Path)), responses((status = 200, body = Vec<Invitation>)))]
pub(crate) async fn list_invitations(
    inside: InOrganization,
    State(app): State<App>,
) -> Result<axum::Json<Vec<Invitation>>, ApiError> {
    Ok(axum::Json(invitations::list(&app.db().await?, inside.organization.id).await?))
}

/// Invites somebody by mail. A second time for an address is a new link.
#[utoipa::path(post, path = "/api/v1/organizations/{organization}/invitations", tag = "Organizations",
    params(("organization" = OrganizationSlug, Path)), request_body = CreateInvitation,
    responses((status = 201, body = Invitation), (status = 409, description = "They belong to it already")))]
pub(crate) async fn invite(
    inside: InOrganization,
    State(app): State<App>,
    Json(body): Json<CreateInvitation>,
) -> Result<(StatusCode, axum::Json<Invitation>), ApiError> {
    if body.role > inside.role {
        let message = format!("role is at most your own, which is {}", inside.role.as_str());
        return Err(ApiError::invalid("role", "role_too_high", message));
    }
    let organization = &inside.organization;
    let mut client = app.db().await?;
    attempts::count(&client, &format!("invite {}", organization.id), INVITATIONS).await?;
    let transaction = client.transaction().await?;
    let known = users::find_by_email(&transaction, &body.email).await?;
    if let Some(user) = &known
        && members::find_role(&transaction, organization.id, user.id).await?.is_some()
    {
        let message = format!("{} belongs to {} already", body.email, organization.slug);
        return Err(ApiError::conflict("member_already", message).about("email"));
    }
    let token = random_token("");
    let new = NewInvitation {
        organization_id: organization.id,
        email: &body.email,
        role: body.role,
        token_hash: &hash(&token),
        invited_by: inside.caller.user_id(),
        good_for: GOOD_FOR,
    };
    let invitation = invitations::put(&transaction, &new).await?;
    let inviter = match inside.caller.user_id() {
        Some(id) => users::get(&transaction, id).await?.name,
        None => "An operator".to_owned(),
    };
    let url = format!("{}/invitation#{token}", app.config.public_url);
    let letter = letters::invitation(&inviter, &organization.name, body.role.as_str(), &url);
    mail::enqueue(&transaction, &body.email, &letter).await?;
    let change = Change { after: json!(body.role), ..Change::new("invitation.create", body.email.as_str()) };
    audit::record_in_organization(&transaction, &inside, change).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, axum::Json(invitation)))
}

/// Takes an invitation back: its link is worth nothing.
#[utoipa::path(delete, path = "/api/v1/organizations/{organization}/invitations/{id}", tag = "Organizations",
    params(("organization" = OrganizationSlug, Path), ("id" = InvitationId, Path)), responses((status = 204)))]
pub(crate) async fn revoke_invitation(
    inside: InOrganization,
    State(app): State<App>,
    Path(InvitationPath { id }): Path<InvitationPath>,
) -> Result<StatusCode, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let email = invitations::delete(&transaction, inside.organization.id, id).await?;
    let email = email.ok_or_else(|| ApiError::not_found(format!("invitation {id}")))?;
    audit::record_in_organization(&transaction, &inside, Change::new("invitation.revoke", email.as_str()))
        .await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a link is for, before one signs in.
#[utoipa::path(post, path = "/api/v1/invitations/preview", tag = "Sign in", request_body = MailedToken,
    responses((status = 200, body = InvitationPreview), (status = 410, description = "The link was used, or is too old")))]
pub(crate) async fn preview_invitation(
    State(app): State<App>,
    Json(body): Json<MailedToken>,
) -> Result<axum::Json<InvitationPreview>, ApiError> {
    let client = app.db().await?;
    let opened = open(&client, &body.token).await?;
    let has_account = users::find_by_email(&client, &opened.email).await?.is_some();
    Ok(axum::Json(InvitationPreview {
        organization: opened.organization_name,
        role: opened.role,
        email: opened.email.masked(),
        has_account,
    }))
}

/// Accepts an invitation to the address of one's account.
#[utoipa::path(post, path = "/api/v1/invitations/accept", tag = "Organizations", request_body = MailedToken,
    responses((status = 200, body = Vec<Membership>), (status = 403, description = "It is for another address"),
              (status = 410, description = "The link was used, or is too old")))]
pub(crate) async fn accept_invitation(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<MailedToken>,
) -> Result<axum::Json<Vec<Membership>>, ApiError> {
    let user_id = caller.require_person()?;
    caller.require_wide()?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let opened = open(&transaction, &body.token).await?;
    if users::get(&transaction, user_id).await?.email != opened.email {
        let message = format!("this invitation is for {}; sign in with that address", opened.email.masked());
        return Err(ApiError::forbidden("another_address", message));
    }
    join(&transaction, &caller, &opened, user_id, &body.token).await?;
    let memberships = users::list_memberships(&transaction, user_id).await?;
    transaction.commit().await?;
    Ok(axum::Json(memberships))
}

/// Makes an account by an invitation, which proves the address, and signs in.
#[utoipa::path(post, path = "/api/v1/invitations/accept-new", tag = "Sign in", request_body = AcceptAsNewPerson,
    responses((status = 201, body = SignedIn), (status = 409, description = "There is an account with this address"),
              (status = 410, description = "The link was used, or is too old")))]
pub(crate) async fn accept_as_new_person(
    origin: Origin,
    State(app): State<App>,
    Json(body): Json<AcceptAsNewPerson>,
) -> Result<impl IntoResponse, ApiError> {
    let opened = open(&app.db().await?, &body.token).await?;
    names::check("name", &body.name)?;
    passwords::check(&body.password, &opened.email, &body.name)?;
    let password_hash = passwords::hash(body.password).await?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let new = NewPerson {
        email: &opened.email,
        name: &body.name,
        password_hash: Some(&password_hash),
        is_operator: false,
    };
    let id = people::create(&transaction, &new).await?;
    let caller = Caller::by_link(id, origin.clone());
    join(&transaction, &caller, &opened, id, &body.token).await?;
    let cookie = people::begin_session(&transaction, &origin, id).await?;
    let user = users::get(&transaction, id).await?.view();
    transaction.commit().await?;
    Ok((StatusCode::CREATED, cookies::set(&cookie), axum::Json(SignedIn::SignedIn { user })))
}

async fn open(db: &impl GenericClient, token: &str) -> Result<OpenedRow, ApiError> {
    invitations::find(db, &hash(token)).await?.ok_or_else(link_is_over)
}

async fn join(
    db: &impl GenericClient,
    caller: &Caller,
    opened: &OpenedRow,
    user: UserId,
    token: &str,
) -> Result<(), ApiError> {
    if !invitations::take(db, &hash(token)).await? {
        return Err(link_is_over());
    }
    let role: Role = opened.role;
    members::insert(db, opened.organization_id, user, role).await?;
    let change = Change { after: json!(role), ..Change::new("invitation.accept", opened.email.as_str()) };
    audit::insert(db, caller, Some(opened.organization_id), None, change).await?;
    Ok(())
}
