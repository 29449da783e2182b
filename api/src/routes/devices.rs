//! `/api/v1/device`: a program is let in from a browser (RFC 8628), so that no password is typed into it.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use loggia_types::ApiTokenId;
use loggia_types::api::{BeginDevice, DecideDevice, DeviceCode, DeviceToken, PollDevice, WaitingDevice};
use serde::Deserialize;
use serde_json::json;

use crate::access::{Caller, Origin, Via, Who, hash};
use crate::app::App;
use crate::attempts::{self, SIGN_IN};
use crate::audit::{self, Change};
use crate::db::device_codes::{self, NewDevice, Polled};
use crate::db::tokens::{self, NewToken};
use crate::db::users;
use crate::error::ApiError;
use crate::extract::{Json, Query};
use crate::names;
use crate::vault::random_token;

const GOOD_FOR: Duration = Duration::from_secs(15 * 60);
const INTERVAL: Duration = Duration::from_secs(5);
const TOKEN_DAYS: i32 = 90;

/// Begins: the program shows the code, and asks for its token until somebody decided.
#[utoipa::path(post, path = "/api/v1/device/code", tag = "Sign in", request_body = BeginDevice,
    responses((status = 201, body = DeviceCode)))]
pub(crate) async fn begin_device(
    origin: Origin,
    State(app): State<App>,
    Json(body): Json<BeginDevice>,
) -> Result<(StatusCode, axum::Json<DeviceCode>), ApiError> {
    let client_name = body.client.trim();
    names::check("client", client_name)?;
    let device_code = random_token("");
    let client = app.db().await?;
    // Of 20^8 codes two are hardly ever the same at a time.
    let user_code = loop {
        let user_code = user_code();
        let new = NewDevice {
            hash: &hash(&device_code),
            user_code: &user_code,
            client: client_name,
            scope: body.scope,
            address: origin.address,
            good_for: GOOD_FOR,
        };
        if device_codes::insert(&client, &new).await? {
            break user_code;
        }
    };
    let verification_uri = format!("{}/device", app.config.public_url);
    let code = DeviceCode {
        device_code,
        verification_uri_complete: format!("{verification_uri}#{user_code}"),
        verification_uri,
        user_code,
        expires_in: GOOD_FOR.as_secs(),
        interval: INTERVAL.as_secs(),
    };
    Ok((StatusCode::CREATED, axum::Json(code)))
}

/// No vowels, so that no words come out (RFC 8628, 6.1).
fn user_code() -> String {
    const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    let letter = || char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    let half = || (0..4).map(|_| letter()).collect::<String>();
    format!("{}-{}", half(), half())
}

/// Asks for the token. Until somebody decided: `authorization_pending`.
#[utoipa::path(post, path = "/api/v1/device/token", tag = "Sign in", request_body = PollDevice,
    responses((status = 200, body = DeviceToken),
              (status = 400, description = "`authorization_pending`, `slow_down`, `access_denied` or `expired_token`")))]
pub(crate) async fn poll_device(
    origin: Origin,
    State(app): State<App>,
    Json(body): Json<PollDevice>,
) -> Result<axum::Json<DeviceToken>, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let polled = device_codes::poll(&transaction, &hash(&body.device_code), INTERVAL).await?;
    let (user_id, name, scope) = match polled {
        Polled::Approved { user_id, client, scope } => (user_id, client, scope),
        other => {
            transaction.commit().await?;
            return Err(match other {
                Polled::Pending => {
                    ApiError::bad_request("authorization_pending", "nobody decided yet; ask again")
                }
                Polled::TooSoon => {
                    ApiError::bad_request("slow_down", "you ask too often; wait 5 s longer between two")
                }
                Polled::Denied => ApiError::bad_request("access_denied", "the person said no"),
                _ => ApiError::bad_request("expired_token", "this took too long; begin again"),
            });
        }
    };
    let (id, token) = (ApiTokenId::generate(), random_token("loggia_user_"));
    let new = NewToken {
        id,
        hash: &hash(&token),
        name: &name,
        scope,
        user_id,
        organization_id: None,
        project_id: None,
        hint: &token[token.len() - 4..],
        days: Some(TOKEN_DAYS),
    };
    tokens::insert(&transaction, &new).await?;
    let is_operator = users::get(&transaction, user_id).await?.is_operator;
    let via = Via::Token { id, scope, organization_id: None, project_id: None };
    let caller = Caller { who: Who::Person { user_id, is_operator }, via, origin };
    let change =
        Change { after: json!({"scope": scope, "by": "device"}), ..Change::new("token.create", &name) };
    audit::record(&transaction, &caller, change).await?;
    let made = tokens::list_of_user(&transaction, user_id, Some(id)).await?.pop();
    let expires_at = made.and_then(|token| token.expires_at);
    let expires_at = expires_at.ok_or_else(|| ApiError::internal("a token that was just made is gone"))?;
    transaction.commit().await?;
    Ok(axum::Json(DeviceToken { token, expires_at }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeviceQuery {
    user_code: String,
}

/// The program that waits with a code, for its person to look at.
#[utoipa::path(get, path = "/api/v1/device", tag = "Sign in", params(DeviceQuery),
    responses((status = 200, body = WaitingDevice)))]
pub(crate) async fn look_at_device(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<DeviceQuery>,
) -> Result<axum::Json<WaitingDevice>, ApiError> {
    let client = app.db().await?;
    count(&client, &caller).await?;
    let found = device_codes::find_waiting(&client, &typed(&query.user_code)).await?;
    let found = found.ok_or_else(|| ApiError::not_found("program that waits with this code"))?;
    forgive(&client, &caller).await?;
    Ok(axum::Json(found))
}

/// Lets a program in, with a token that is called like it, or turns it away.
#[utoipa::path(post, path = "/api/v1/device/decide", tag = "Sign in", request_body = DecideDevice,
    responses((status = 204)))]
pub(crate) async fn decide_device(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<DecideDevice>,
) -> Result<StatusCode, ApiError> {
    let user = caller.require_person()?;
    let mut client = app.db().await?;
    count(&client, &caller).await?;
    let transaction = client.transaction().await?;
    let name = device_codes::decide(&transaction, &typed(&body.user_code), user, body.approve).await?;
    let name = name.ok_or_else(|| ApiError::not_found("program that waits with this code"))?;
    let action = if body.approve { "device.approve" } else { "device.deny" };
    audit::record(&transaction, &caller, Change::new(action, &name)).await?;
    transaction.commit().await?;
    forgive(&client, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Codes are short: guessing them is slowed down.
async fn count(db: &impl crate::db::GenericClient, caller: &Caller) -> Result<(), ApiError> {
    attempts::count(db, &format!("device {}", caller.require_person()?), SIGN_IN).await
}

async fn forgive(db: &impl crate::db::GenericClient, caller: &Caller) -> Result<(), ApiError> {
    Ok(attempts::clear(db, &format!("device {}", caller.require_person()?)).await?)
}

/// In small letters, or without the hyphen: it is the same.
fn typed(code: &str) -> String {
    let letters: String =
        code.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_uppercase();
    match letters.split_at_checked(4) {
        Some((first, second)) => format!("{first}-{second}"),
        None => letters,
    }
}
