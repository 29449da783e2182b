//! `/healthz`: the process runs. `/readyz`: it can do its work.

use axum::extract::State;

use crate::app::App;
use crate::error::ApiError;

pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Needs Postgres and the store.
pub(crate) async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    app.db().await?.simple_query("select 1").await?;
    app.store.check().await?;
    Ok("ready\n")
}
