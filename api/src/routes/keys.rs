//! `/api/v1/platform/keys`: the keys that seal secrets. Only their names: the keys themselves are in the configuration.

use axum::extract::State;
use loggia_types::api::{KeyRotation, SecretsKey};
use serde_json::json;

use crate::access::Caller;
use crate::app::App;
use crate::audit::{self, Change};
use crate::error::ApiError;
use crate::ops;

/// The keys of this api, the active one first, and those that are missing here, with how many secrets each of them seals.
#[utoipa::path(get, path = "/api/v1/platform/keys", tag = "Keys", responses((status = 200, body = Vec<SecretsKey>)))]
pub(crate) async fn list(State(app): State<App>) -> Result<axum::Json<Vec<SecretsKey>>, ApiError> {
    Ok(axum::Json(ops::keys::list(&app, &app.db().await?).await?))
}

/// Seals secrets anew with the active key, for some seconds. Call it again for as long as some remain.
#[utoipa::path(post, path = "/api/v1/platform/keys/rotate", tag = "Keys",
    responses((status = 200, body = KeyRotation)))]
pub(crate) async fn rotate(
    caller: Caller,
    State(app): State<App>,
) -> Result<axum::Json<KeyRotation>, ApiError> {
    let rotation = ops::keys::rotate(&app).await?;
    let after = json!({ "resealed": rotation.resealed, "remaining": rotation.remaining });
    let change = Change { after, ..Change::new("secrets_key.rotate", &rotation.active) };
    audit::record(&app.db().await?, &caller, change).await?;
    Ok(axum::Json(rotation))
}
