//! `/api/v1/session`: signing in and out.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use loggia_types::Timestamp;
use loggia_types::api::{SecondFactor, SignIn, SignedIn};

use super::cookies;
use crate::access::{Caller, Origin, SESSION_COOKIE, Via, cookie, hash};
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::one_time_tokens::{self, Purpose};
use crate::db::{sessions, users};
use crate::error::ApiError;
use crate::extract::Json;
use crate::ops::{people, second_factor};

/// Signs in with a password. Who has a second factor is asked for it.
#[utoipa::path(post, path = "/api/v1/session", tag = "Sign in", request_body = SignIn,
    responses((status = 200, body = SignedIn), (status = 401, description = "The address or the password is wrong")))]
pub(crate) async fn create(
    origin: Origin,
    State(app): State<App>,
    headers: HeaderMap,
    Json(body): Json<SignIn>,
) -> Result<impl IntoResponse, ApiError> {
    let user = people::try_password(&app, &origin, &body.email, body.password).await?;
    let (answer, new_cookie) = people::admit(&app, &origin, &user).await?;
    end_earlier(&app, &headers, new_cookie.as_deref()).await?;
    let headers = new_cookie.map(|value| cookies::set(&value)).unwrap_or_default();
    Ok((headers, axum::Json(answer)))
}

/// Answers the question for the second factor.
#[utoipa::path(post, path = "/api/v1/session/second-factor", tag = "Sign in", request_body = SecondFactor,
    responses((status = 200, body = SignedIn), (status = 401, description = "The code is wrong, or the challenge is over")))]
pub(crate) async fn second_factor(
    origin: Origin,
    State(app): State<App>,
    headers: HeaderMap,
    Json(body): Json<SecondFactor>,
) -> Result<impl IntoResponse, ApiError> {
    let challenge = hash(&body.challenge);
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let found = one_time_tokens::find(&transaction, &challenge, Purpose::SecondFactor).await?;
    let user_id = found.and_then(|token| token.user_id).ok_or_else(challenge_is_over)?;
    second_factor::take(&app, &transaction, user_id, &body.code, Timestamp::now()).await?;
    if one_time_tokens::take(&transaction, &challenge, Purpose::SecondFactor).await?.is_none() {
        return Err(challenge_is_over());
    }
    let new_cookie = people::begin_session(&transaction, &origin, user_id).await?;
    let user = users::get(&transaction, user_id).await?;
    if user.is_disabled {
        return Err(challenge_is_over());
    }
    transaction.commit().await?;
    end_earlier(&app, &headers, Some(&new_cookie)).await?;
    Ok((cookies::set(&new_cookie), axum::Json(SignedIn::SignedIn { user: user.view() })))
}

fn challenge_is_over() -> ApiError {
    let message = "this sign-in took too long; begin again with your password".to_owned();
    ApiError::rejection(StatusCode::UNAUTHORIZED, "challenge_over", message)
}

/// A browser that signs in again leaves no session behind.
async fn end_earlier(app: &App, headers: &HeaderMap, new_cookie: Option<&str>) -> Result<(), ApiError> {
    if let (Some(_), Some(old)) = (new_cookie, cookie(headers, SESSION_COOKIE)) {
        sessions::delete_by_hash(&app.db().await?, &hash(old)).await?;
    }
    Ok(())
}

/// Signs out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "Sign in", responses((status = 204)))]
pub(crate) async fn delete(caller: Caller, State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    if let (Via::Session(id), Some(user)) = (caller.via, caller.user_id()) {
        sessions::delete(&transaction, user, id).await?;
        audit::record(&transaction, &caller, Change::new("session.end", id.as_str())).await?;
    }
    transaction.commit().await?;
    Ok((StatusCode::NO_CONTENT, cookies::clear()))
}
