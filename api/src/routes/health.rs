//! `/healthz`: the process runs. `/readyz`: it can do its work.

use axum::extract::State;

use crate::app::App;
use crate::error::ApiError;

/// The process runs.
#[utoipa::path(get, path = "/healthz", tag = "Health", responses((status = 200, body = String)))]
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Postgres and the store answer.
#[utoipa::path(get, path = "/readyz", tag = "Health", responses((status = 200, body = String)))]
pub(crate) async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    app.db().await?.simple_query("select 1").await?;
    app.store.check().await?;
    Ok("ready\n")
}
