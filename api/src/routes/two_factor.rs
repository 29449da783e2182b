//! `/api/v1/user/two-factor`

use axum::extract::State;
use axum::http::StatusCode;
use loggia_types::api::{Confirmation, RecoveryCodes, TwoFactorCode, TwoFactorStarted};
use loggia_types::{Timestamp, UserId};
use totp_rs::Secret;

use crate::access::Caller;
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::users::{self, UserRow};
use crate::db::{GenericClient, two_factors};
use crate::error::ApiError;
use crate::extract::Json;
use crate::mail::{self, letters};
use crate::ops::people;
use crate::ops::second_factor::{self, SECRET_LEN};

/// Begins with a new secret. It is in force once a code shows that it arrived.
#[utoipa::path(post, path = "/api/v1/user/two-factor", tag = "Account", request_body = Confirmation,
    responses((status = 201, body = TwoFactorStarted), (status = 409, description = "One is in force already")))]
pub(crate) async fn begin(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<Confirmation>,
) -> Result<(StatusCode, axum::Json<TwoFactorStarted>), ApiError> {
    let user = people::confirm(&app, &caller, body.current_password).await?;
    let secret: [u8; SECRET_LEN] = rand::random();
    let sealed = second_factor::seal(&app.vault, user.id, &secret);
    if !two_factors::begin(&app.db().await?, user.id, &sealed).await? {
        return Err(ApiError::conflict(
            "two_factor_on",
            "two-factor is on; switch it off before you begin anew",
        ));
    }
    let otpauth_url = second_factor::totp(&secret, user.email.as_str())?.to_url();
    let otpauth_url = otpauth_url.map_err(|error| ApiError::internal(format!("{error:?}")))?;
    let secret = Secret::from(secret.to_vec()).to_base32();
    Ok((StatusCode::CREATED, axum::Json(TwoFactorStarted { secret, otpauth_url })))
}

/// Switches it on with a first code, and shows the recovery codes.
#[utoipa::path(post, path = "/api/v1/user/two-factor/confirm", tag = "Account", request_body = TwoFactorCode,
    responses((status = 200, body = RecoveryCodes), (status = 409, description = "Nothing was begun, or it is on already")))]
pub(crate) async fn confirm(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<TwoFactorCode>,
) -> Result<axum::Json<RecoveryCodes>, ApiError> {
    let user = caller.require_person()?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let begun = two_factors::find(&transaction, user).await?.is_some_and(|row| !row.is_confirmed);
    if !begun {
        return Err(ApiError::conflict("two_factor_not_begun", "begin two-factor first"));
    }
    take(&app, &transaction, user, &body.code).await?;
    two_factors::confirm(&transaction, user).await?;
    let recovery_codes = second_factor::make_recovery_codes(&transaction, user).await?;
    audit::record(&transaction, &caller, Change::new("user.two_factor_on", user.as_str())).await?;
    let row = users::get(&transaction, user).await?;
    tell(&app, &transaction, &row, "Two-factor was switched on", "Two-factor sign-in of your account is on.")
        .await?;
    transaction.commit().await?;
    Ok(axum::Json(RecoveryCodes { recovery_codes }))
}

/// Makes new recovery codes; those of before are worth nothing.
#[utoipa::path(post, path = "/api/v1/user/two-factor/recovery-codes", tag = "Account", request_body = TwoFactorCode,
    responses((status = 200, body = RecoveryCodes), (status = 409, description = "Two-factor is off")))]
pub(crate) async fn renew_codes(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<TwoFactorCode>,
) -> Result<axum::Json<RecoveryCodes>, ApiError> {
    let user = caller.require_person()?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    take_in_force(&app, &transaction, user, &body.code).await?;
    let recovery_codes = second_factor::make_recovery_codes(&transaction, user).await?;
    audit::record(&transaction, &caller, Change::new("user.recovery_codes", user.as_str())).await?;
    transaction.commit().await?;
    Ok(axum::Json(RecoveryCodes { recovery_codes }))
}

/// Switches it off, with a code or a recovery code.
#[utoipa::path(post, path = "/api/v1/user/two-factor/off", tag = "Account", request_body = TwoFactorCode,
    responses((status = 204), (status = 409, description = "It is off")))]
pub(crate) async fn off(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<TwoFactorCode>,
) -> Result<StatusCode, ApiError> {
    let user = caller.require_person()?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    take_in_force(&app, &transaction, user, &body.code).await?;
    two_factors::delete(&transaction, user).await?;
    audit::record(&transaction, &caller, Change::new("user.two_factor_off", user.as_str())).await?;
    let row = users::get(&transaction, user).await?;
    tell(
        &app,
        &transaction,
        &row,
        "Two-factor was switched off",
        "Your account opens with a password alone again.",
    )
    .await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A code of what is in force.
async fn take_in_force(app: &App, db: &impl GenericClient, user: UserId, code: &str) -> Result<(), ApiError> {
    if !two_factors::find(db, user).await?.is_some_and(|row| row.is_confirmed) {
        return Err(ApiError::conflict("two_factor_off", "two-factor is off"));
    }
    take(app, db, user, code).await
}

/// Who is signed in is told that a field is wrong, not to sign in.
async fn take(app: &App, db: &impl GenericClient, user: UserId, code: &str) -> Result<(), ApiError> {
    let taken = second_factor::take(app, db, user, code, Timestamp::now()).await;
    taken.map_err(|error| match error.code() {
        "wrong_code" => {
            let message = "this code is wrong, or was used before; wait for the next one";
            ApiError::invalid("code", "wrong_code", message)
        }
        _ => error,
    })
}

async fn tell(
    app: &App,
    db: &impl GenericClient,
    user: &UserRow,
    subject: &str,
    what: &str,
) -> Result<(), ApiError> {
    let letter = letters::security(&user.name, subject, what, &format!("{}/settings", app.config.public_url));
    mail::enqueue(db, &user.email, &letter).await?;
    Ok(())
}
