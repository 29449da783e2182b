//! `/api/v1/password-reset` and `/api/v1/sign-up`: what begins with a mail to somebody who is not signed in.
//!
//! Both are answered alike, and as quickly, whether or not there is an account: what is found out is found out after
//! the answer, and told by mail.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use loggia_types::EmailAddress;
use loggia_types::api::{ForgotPassword, MailedToken, ResetPassword, SignUp, SignedIn};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cookies;
use crate::access::{Caller, Origin, hash};
use crate::app::App;
use crate::attempts::{self, MAILS};
use crate::audit::{self, Change};
use crate::db::one_time_tokens::{self, NewToken, Purpose};
use crate::db::{sessions, to_json, users};
use crate::error::ApiError;
use crate::extract::Json;
use crate::mail::{self, letters};
use crate::ops::people::{self, NewPerson};
use crate::vault::random_token;
use crate::{names, passwords};

const RESET_GOOD_FOR: Duration = Duration::from_secs(60 * 60);
const SIGN_UP_GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Sends a link to choose a new password, if there is an account with this address.
#[utoipa::path(post, path = "/api/v1/password-reset", tag = "Sign in", request_body = ForgotPassword,
    responses((status = 202, description = "A mail is on its way, if there is an account")))]
pub(crate) async fn forgot(State(app): State<App>, Json(body): Json<ForgotPassword>) -> StatusCode {
    afterwards("sending a reset link", async move { send_reset(&app, &body.email).await });
    StatusCode::ACCEPTED
}

async fn send_reset(app: &App, email: &EmailAddress) -> Result<(), ApiError> {
    let mut client = app.db().await?;
    let Some(user) = users::find_by_email(&client, email).await?.filter(|user| !user.is_disabled) else {
        return Ok(());
    };
    if attempts::count(&client, &format!("reset {email}"), MAILS).await.is_err() {
        return Ok(());
    }
    let token = random_token("");
    let transaction = client.transaction().await?;
    let row = NewToken {
        hash: &hash(&token),
        purpose: Purpose::PasswordReset,
        user_id: Some(user.id),
        email: None,
        details: &Value::Null,
        good_for: RESET_GOOD_FOR,
    };
    one_time_tokens::insert(&transaction, &row).await?;
    let url = format!("{}/reset#{token}", app.config.public_url);
    mail::enqueue(&transaction, email, &letters::password_reset(&user.name, &url)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Chooses a new password by the link. All sessions end; two-factor stays.
#[utoipa::path(post, path = "/api/v1/password-reset/confirm", tag = "Sign in", request_body = ResetPassword,
    responses((status = 204), (status = 410, description = "The link was used, or is too old")))]
pub(crate) async fn reset(
    origin: Origin,
    State(app): State<App>,
    Json(body): Json<ResetPassword>,
) -> Result<StatusCode, ApiError> {
    let token = hash(&body.token);
    let found = one_time_tokens::find(&app.db().await?, &token, Purpose::PasswordReset).await?;
    let user_id = found.and_then(|row| row.user_id).ok_or_else(link_is_over)?;
    let user = users::get(&app.db().await?, user_id).await?;
    passwords::check(&body.password, &user.email, &user.name)?;
    let new_hash = passwords::hash(body.password).await?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    if one_time_tokens::take(&transaction, &token, Purpose::PasswordReset).await?.is_none() {
        return Err(link_is_over());
    }
    users::set_password(&transaction, user_id, &new_hash).await?;
    one_time_tokens::drop_of_user(&transaction, user_id).await?;
    sessions::delete_others(&transaction, user_id, None).await?;
    let caller = Caller::by_link(user_id, origin);
    audit::record(&transaction, &caller, Change::new("user.password_reset", user_id.as_str())).await?;
    let url = format!("{}/settings", app.config.public_url);
    let what = "The password of your account was changed by a link that we sent to this address.";
    let letter = letters::security(&user.name, "Your password was changed", what, &url);
    mail::enqueue(&transaction, &user.email, &letter).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn link_is_over() -> ApiError {
    let message = "this link was used before, or is too old; ask for a new one".to_owned();
    ApiError::rejection(StatusCode::GONE, "link_over", message)
}

/// What waits for its link.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    name: String,
    password_hash: String,
}

/// Asks for an account, where the installation is open to the address. A link goes to it.
#[utoipa::path(post, path = "/api/v1/sign-up", tag = "Sign in", request_body = SignUp,
    responses((status = 202, description = "A mail is on its way"), (status = 403, description = "Accounts are made by invitation")))]
pub(crate) async fn sign_up(
    State(app): State<App>,
    Json(body): Json<SignUp>,
) -> Result<StatusCode, ApiError> {
    if !app.config.sign_up.admits(&body.email) {
        let message = "accounts are made by invitation here; ask somebody who has one";
        return Err(ApiError::forbidden("invitation_needed", message));
    }
    // The first person comes by the setup link, and by nothing else.
    if !users::is_anybody_there(&app.db().await?).await? {
        return Err(ApiError::forbidden(
            "not_set_up",
            "nobody runs this installation yet; open its setup link first",
        ));
    }
    names::check("name", &body.name)?;
    passwords::check(&body.password, &body.email, &body.name)?;
    afterwards("sending a sign-up link", async move { send_sign_up(&app, body).await });
    Ok(StatusCode::ACCEPTED)
}

async fn send_sign_up(app: &App, body: SignUp) -> Result<(), ApiError> {
    let mut client = app.db().await?;
    if attempts::count(&client, &format!("sign_up {}", body.email), MAILS).await.is_err() {
        return Ok(());
    }
    if let Some(user) = users::find_by_email(&client, &body.email).await? {
        let transaction = client.transaction().await?;
        let url = format!("{}/sign-in", app.config.public_url);
        let what = "Somebody, perhaps you, asked for an account with this address. You have one: sign in with it, or choose \
                    a new password.";
        let letter = letters::security(&user.name, "You have an account already", what, &url);
        mail::enqueue(&transaction, &body.email, &letter).await?;
        transaction.commit().await?;
        return Ok(());
    }
    let waiting = Waiting { name: body.name, password_hash: passwords::hash(body.password).await? };
    let token = random_token("");
    let transaction = client.transaction().await?;
    let row = NewToken {
        hash: &hash(&token),
        purpose: Purpose::SignUp,
        user_id: None,
        email: Some(&body.email),
        details: &to_json(&waiting),
        good_for: SIGN_UP_GOOD_FOR,
    };
    one_time_tokens::insert(&transaction, &row).await?;
    let url = format!("{}/sign-up#{token}", app.config.public_url);
    mail::enqueue(&transaction, &body.email, &letters::email_verification(&waiting.name, &url)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Makes the account by the link, and signs in.
#[utoipa::path(post, path = "/api/v1/sign-up/confirm", tag = "Sign in", request_body = MailedToken,
    responses((status = 201, body = SignedIn), (status = 410, description = "The link was used, or is too old")))]
pub(crate) async fn confirm_sign_up(
    origin: Origin,
    State(app): State<App>,
    Json(body): Json<MailedToken>,
) -> Result<impl IntoResponse, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let taken = one_time_tokens::take(&transaction, &hash(&body.token), Purpose::SignUp).await?;
    let (email, details) = taken.and_then(|row| Some((row.email?, row.details))).ok_or_else(link_is_over)?;
    let waiting: Waiting = serde_json::from_value(details).map_err(ApiError::internal)?;
    let new = NewPerson {
        email: &email,
        name: &waiting.name,
        password_hash: Some(&waiting.password_hash),
        is_operator: false,
    };
    let id = people::create(&transaction, &new).await?;
    let cookie = people::begin_session(&transaction, &origin, id).await?;
    let user = users::get(&transaction, id).await?.view();
    transaction.commit().await?;
    Ok((StatusCode::CREATED, cookies::set(&cookie), axum::Json(SignedIn::SignedIn { user })))
}

/// Goes on after the answer.
fn afterwards(what: &'static str, work: impl Future<Output = Result<(), ApiError>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = work.await {
            tracing::warn!("{what} failed: {error:?}");
        }
    });
}
