//! `/api/v1/cdn`

use axum::extract::State;
use loggia_types::api::CdnHook;

use crate::app::App;
use crate::cdn::Hook;
use crate::db;
use crate::error::ApiError;

/// The CDNs that this api is configured for, and how far each of them was told.
#[utoipa::path(get, path = "/api/v1/cdn", tag = "Caching", responses((status = 200, body = Vec<CdnHook>)))]
pub(crate) async fn list(State(app): State<App>) -> Result<axum::Json<Vec<CdnHook>>, ApiError> {
    let names: Vec<String> = Hook::all(&app.config).iter().map(Hook::name).collect();
    Ok(axum::Json(db::cdn_hooks::list(&app.db().await?, &names).await?))
}
