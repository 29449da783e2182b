//! `/api/v1/setup`: the first person.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use loggia_types::api::{Setup, SetupState, SignedIn};
use subtle::ConstantTimeEq;

use super::cookies;
use crate::access::Origin;
use crate::app::App;
use crate::attempts::{self, SIGN_IN};
use crate::db::users;
use crate::error::ApiError;
use crate::extract::Json;
use crate::ops::people::{self, NewPerson};
use crate::{names, passwords};

/// Whether anybody is there yet.
#[utoipa::path(get, path = "/api/v1/setup", tag = "Sign in", responses((status = 200, body = SetupState)))]
pub(crate) async fn setup_state(State(app): State<App>) -> Result<axum::Json<SetupState>, ApiError> {
    let needed = !users::is_anybody_there(&app.db().await?).await?;
    Ok(axum::Json(SetupState { needed }))
}

/// Makes the first person, with the token that was printed where Loggia was started. It works once.
#[utoipa::path(post, path = "/api/v1/setup", tag = "Sign in", request_body = Setup,
    responses((status = 201, body = SignedIn), (status = 409, description = "Somebody is there already")))]
pub(crate) async fn set_up(
    origin: Origin,
    State(app): State<App>,
    Json(body): Json<Setup>,
) -> Result<impl IntoResponse, ApiError> {
    names::check("name", &body.name)?;
    passwords::check(&body.password, &body.email, &body.name)?;
    attempts::count(&app.db().await?, &format!("setup {}", attempts::place(&origin)), SIGN_IN).await?;
    let wanted = app.config.setup_token.as_ref();
    let is_right = wanted.is_some_and(|token| token.reveal().as_bytes().ct_eq(body.token.as_bytes()).into());
    if !is_right {
        let message = "this is not the setup token; the link with it is printed where Loggia was started";
        return Err(ApiError::invalid("token", "wrong_setup_token", message));
    }
    let hash = passwords::hash(body.password).await?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    users::lock(&transaction).await?;
    if users::is_anybody_there(&transaction).await? {
        return Err(ApiError::conflict("already_set_up", "somebody is there already; sign in"));
    }
    let new =
        NewPerson { email: &body.email, name: &body.name, password_hash: Some(&hash), is_operator: true };
    let id = people::create(&transaction, &new).await?;
    users::join_first(&transaction, id).await?;
    let cookie = people::begin_session(&transaction, &origin, id).await?;
    let user = users::get(&transaction, id).await?.view();
    transaction.commit().await?;
    Ok((StatusCode::CREATED, cookies::set(&cookie), axum::Json(SignedIn::SignedIn { user })))
}
