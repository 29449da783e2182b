//! `/api/v1/projects/{slug}/purge`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use loggia_types::api::PurgeAnswer;
use loggia_types::purge::{InvalidPurge, PurgeRequest};
use loggia_types::{ProjectSlug, Purge};

use crate::access::InProject;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::Json;
use crate::ops;

/// Accepted: once this is answered, every edge and every configured CDN will be told.
#[utoipa::path(post, path = "/api/v1/projects/{slug}/purge", tag = "Caching", params(("slug" = ProjectSlug, Path)),
    request_body = PurgeRequest, responses((status = 202, body = PurgeAnswer)))]
pub(crate) async fn create(
    inside: InProject,
    State(app): State<App>,
    Json(body): Json<PurgeRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let purged = Purge::try_from(body).map_err(|error| refuse(&error))?;
    let position = ops::purges::purge(&app, &inside.project, &purged).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(PurgeAnswer { position, purged })))
}

fn refuse(error: &InvalidPurge) -> ApiError {
    let code = match error {
        InvalidPurge::Nothing => "nothing_to_purge",
        InvalidPurge::Several => "several_scopes",
        InvalidPurge::TooMany(_) => "too_many_purges",
        InvalidPurge::TooLarge(_) => "purge_too_large",
        InvalidPurge::Key(_) => "invalid_key",
        InvalidPurge::Url(_) => "invalid_url",
    };
    ApiError::unprocessable(code, error.to_string())
}
