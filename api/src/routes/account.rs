//! `/api/v1/user`: one's own account.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use loggia_types::SessionId;
use loggia_types::api::{
    ChangeEmail, ChangePassword, Confirmation, MailedToken, Session, UpdateUser, User, WhoAmI,
};
use serde::Deserialize;
use serde_json::Value;

use super::cookies;
use crate::access::{Caller, Origin, Via, hash};
use crate::app::App;
use crate::attempts::{self, MAILS};
use crate::audit::{self, Change};
use crate::db::one_time_tokens::{self, NewToken, Purpose};
use crate::db::users::EMAIL_IS_UNIQUE;
use crate::db::{sessions, users};
use crate::error::ApiError;
use crate::extract::{Json, Path};
use crate::mail::{self, letters};
use crate::ops::people;
use crate::vault::random_token;
use crate::{names, passwords};

const EMAIL_LINK_GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Who calls, and what they may do where.
#[utoipa::path(get, path = "/api/v1/user", tag = "Account", responses((status = 200, body = WhoAmI)))]
pub(crate) async fn get(caller: Caller, State(app): State<App>) -> Result<axum::Json<WhoAmI>, ApiError> {
    let scope = match caller.via {
        Via::Token { scope, .. } => Some(scope),
        Via::Session(_) | Via::Link => None,
    };
    let Some(id) = caller.user_id() else {
        return Ok(axum::Json(WhoAmI { user: None, organizations: Vec::new(), scope }));
    };
    let client = app.db().await?;
    let user = Some(users::get(&client, id).await?.view());
    let organizations = users::list_memberships(&client, id).await?;
    Ok(axum::Json(WhoAmI { user, organizations, scope }))
}

/// Changes how one is called.
#[utoipa::path(patch, path = "/api/v1/user", tag = "Account", request_body = UpdateUser,
    responses((status = 200, body = User)))]
pub(crate) async fn update(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<UpdateUser>,
) -> Result<axum::Json<User>, ApiError> {
    names::check("name", &body.name)?;
    caller.require_wide()?;
    let id = caller.require_person()?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let before = users::get(&transaction, id).await?;
    users::set_name(&transaction, id, body.name.trim()).await?;
    let change = Change {
        before: before.name.into(),
        after: body.name.trim().into(),
        ..Change::new("user.rename", id.as_str())
    };
    audit::record(&transaction, &caller, change).await?;
    transaction.commit().await?;
    drop(client);
    people::view(&app, &caller).await.map(axum::Json)
}

/// Ends the account. What one owns alone has to be given to somebody before.
#[utoipa::path(delete, path = "/api/v1/user", tag = "Account", request_body = Confirmation,
    responses((status = 204), (status = 409, description = "An organization would be without an owner")))]
pub(crate) async fn delete(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<Confirmation>,
) -> Result<impl IntoResponse, ApiError> {
    let user = people::confirm(&app, &caller, body.current_password).await?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let owned = users::sole_owner_of(&transaction, user.id).await?;
    if !owned.is_empty() {
        let names = owned.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let message =
            format!("you alone own {names}; make somebody else an owner, or delete it and its projects");
        return Err(ApiError::conflict("sole_owner", message));
    }
    audit::record(&transaction, &caller, Change::new("user.delete", user.id.as_str())).await?;
    users::delete(&transaction, user.id).await?;
    transaction.commit().await?;
    Ok((StatusCode::NO_CONTENT, cookies::clear()))
}

/// Chooses another password. All other sessions end.
#[utoipa::path(put, path = "/api/v1/user/password", tag = "Account", request_body = ChangePassword,
    responses((status = 204)))]
pub(crate) async fn set_password(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<ChangePassword>,
) -> Result<StatusCode, ApiError> {
    let user = people::confirm(&app, &caller, body.current_password).await?;
    passwords::check_field("new_password", &body.new_password, &user.email, &user.name)?;
    let hash = passwords::hash(body.new_password).await?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    users::set_password(&transaction, user.id, &hash).await?;
    sessions::delete_others(&transaction, user.id, Some(caller.require_session()?)).await?;
    one_time_tokens::drop_of_user(&transaction, user.id).await?;
    audit::record(&transaction, &caller, Change::new("user.password", user.id.as_str())).await?;
    let url = format!("{}/settings", app.config.public_url);
    let what = "The password of your account was changed, and your other sessions have ended.";
    let letter = letters::security(&user.name, "Your password was changed", what, &url);
    mail::enqueue(&transaction, &user.email, &letter).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks for another address: a link goes there, and nothing changes until it is opened.
#[utoipa::path(post, path = "/api/v1/user/email", tag = "Account", request_body = ChangeEmail,
    responses((status = 202, description = "A mail is on its way, unless the address is somebody else's")))]
pub(crate) async fn change_email(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<ChangeEmail>,
) -> Result<StatusCode, ApiError> {
    let user = people::confirm(&app, &caller, body.current_password).await?;
    let mut client = app.db().await?;
    attempts::count(&client, &format!("email_change {}", user.id), MAILS).await?;
    let transaction = client.transaction().await?;
    // Whether somebody has this address is told to nobody: they get no mail.
    if users::find_by_email(&transaction, &body.email).await?.is_none() {
        let token = random_token("");
        let row = NewToken {
            hash: &hash(&token),
            purpose: Purpose::EmailChange,
            user_id: Some(user.id),
            email: Some(&body.email),
            details: &Value::Null,
            good_for: EMAIL_LINK_GOOD_FOR,
        };
        one_time_tokens::insert(&transaction, &row).await?;
        let url = format!("{}/verify-email#{token}", app.config.public_url);
        let letter = letters::email_verification(&user.name, &url);
        mail::enqueue(&transaction, &body.email, &letter).await?;
    }
    transaction.commit().await?;
    Ok(StatusCode::ACCEPTED)
}

/// Opens the link: the address is another one now, and the one before is told.
#[utoipa::path(post, path = "/api/v1/email-change/confirm", tag = "Account", request_body = MailedToken,
    responses((status = 204), (status = 409, description = "Somebody else has the address by now")))]
pub(crate) async fn confirm_email(
    origin: Origin,
    State(app): State<App>,
    Json(body): Json<MailedToken>,
) -> Result<StatusCode, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let taken = one_time_tokens::take(&transaction, &hash(&body.token), Purpose::EmailChange).await?;
    let (user_id, email) =
        taken.and_then(|row| row.user_id.zip(row.email)).ok_or_else(super::reset::link_is_over)?;
    let user = users::get(&transaction, user_id).await?;
    users::set_email(&transaction, user_id, &email).await.map_err(|error| match error.constraint() {
        Some(EMAIL_IS_UNIQUE) => {
            ApiError::conflict("email_taken", "there is another account with this address by now")
        }
        _ => error.into(),
    })?;
    let caller = Caller::by_link(user_id, origin);
    audit::record(&transaction, &caller, Change::new("user.email", user_id.as_str())).await?;
    let url = format!("{}/settings", app.config.public_url);
    let what = format!("The address of your account is {} from now on.", email.masked());
    let letter = letters::security(&user.name, "Your mail address was changed", &what, &url);
    mail::enqueue(&transaction, &user.email, &letter).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The browsers that one is signed in with.
#[utoipa::path(get, path = "/api/v1/user/sessions", tag = "Account", responses((status = 200, body = Vec<Session>)))]
pub(crate) async fn list_sessions(
    caller: Caller,
    State(app): State<App>,
) -> Result<axum::Json<Vec<Session>>, ApiError> {
    let this = caller.require_session()?;
    let user = caller.require_person()?;
    Ok(axum::Json(sessions::list(&app.db().await?, user, Some(this)).await?))
}

#[derive(Debug, Deserialize)]
pub(crate) struct SessionPath {
    id: SessionId,
}

/// Signs a browser out.
#[utoipa::path(delete, path = "/api/v1/user/sessions/{id}", tag = "Account", params(("id" = SessionId, Path)),
    responses((status = 204)))]
pub(crate) async fn end_session(
    caller: Caller,
    State(app): State<App>,
    Path(SessionPath { id }): Path<SessionPath>,
) -> Result<StatusCode, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    if !sessions::delete(&transaction, caller.require_person()?, id).await? {
        return Err(ApiError::not_found(format!("session {id}")));
    }
    audit::record(&transaction, &caller, Change::new("session.end", id.as_str())).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs all other browsers out.
#[utoipa::path(delete, path = "/api/v1/user/sessions", tag = "Account", responses((status = 204)))]
pub(crate) async fn end_other_sessions(
    caller: Caller,
    State(app): State<App>,
) -> Result<StatusCode, ApiError> {
    let (user, this) = (caller.require_person()?, caller.require_session()?);
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    sessions::delete_others(&transaction, user, Some(this)).await?;
    audit::record(&transaction, &caller, Change::new("session.end_others", user.as_str())).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
