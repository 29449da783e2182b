//! The whole URL table.

mod cdn;
mod deployments;
mod domains;
mod github;
mod health;
mod internal;
mod projects;
mod purges;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{delete, get, post, put};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;

use crate::app::App;
use crate::error::{self, ApiError};

/// Nothing that people send as JSON comes near it.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// 100,000 files at up to 1,100 bytes a row, and some air.
const FILE_LIST_BYTES_MAX: usize = 128 * 1024 * 1024;
/// GitHub sends at most 25 MB (docs.github.com, «Webhook events and payloads»).
const WEBHOOK_BYTES_MAX: usize = 25 * 1024 * 1024;
/// Longer than any statement may take; uploads and streams are exempt.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn router(app: App) -> Router {
    let quick = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/api/v1/projects", get(projects::list).post(projects::create))
        .route("/api/v1/projects/{slug}", get(projects::get).patch(projects::update).delete(projects::delete))
        .route("/api/v1/projects/{slug}/deployments/{id}", get(deployments::get))
        .route("/api/v1/projects/{slug}/deployments/{id}/log", get(deployments::log))
        .route("/api/v1/projects/{slug}/deployments/{id}/cancel", post(deployments::cancel))
        .route("/api/v1/projects/{slug}/promote", post(deployments::promote))
        .route("/api/v1/projects/{slug}/rollback", post(deployments::roll_back))
        .route("/api/v1/projects/{slug}/purge", post(purges::create))
        .route("/api/v1/projects/{slug}/domains", get(domains::list).post(domains::add))
        .route("/api/v1/projects/{slug}/domains/{id}", delete(domains::remove))
        .route("/api/v1/projects/{slug}/domains/{id}/verify", post(domains::verify))
        .route("/api/v1/cdn", get(cdn::list))
        .route("/internal/v1/routes/{hostname}", get(internal::route))
        .route("/internal/v1/builds/{id}/heartbeat", post(internal::heartbeat))
        .route("/internal/v1/builds/{id}/report", post(internal::report))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .merge(
            Router::new()
                .route("/api/v1/webhooks/github", post(github::receive))
                .layer(DefaultBodyLimit::max(WEBHOOK_BYTES_MAX)),
        )
        .merge(
            Router::new()
                .route("/internal/v1/builds/{id}/log", post(internal::log))
                .layer(DefaultBodyLimit::max(4 * BODY_BYTES_MAX)),
        )
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT));

    let patient = Router::new()
        .route("/api/v1/projects/{slug}/deployments", get(deployments::list).post(deployments::create))
        .layer(DefaultBodyLimit::max(FILE_LIST_BYTES_MAX))
        .route("/api/v1/projects/{slug}/deployments/{id}/finish", post(deployments::finish_upload))
        // Its size is what the announcement said; `ops::uploads` counts.
        .route(
            "/api/v1/projects/{slug}/deployments/{id}/files/{hash}",
            put(deployments::upload_file).layer(DefaultBodyLimit::disable()),
        )
        .route("/internal/v1/builds/claim", post(internal::claim))
        .route("/internal/v1/events", get(internal::events));

    quick
        .merge(patient)
        .fallback(|| async { ApiError::not_found("such address in this api") })
        .method_not_allowed_fallback(|| async {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            ApiError::rejection(status, "method_not_allowed", "this address takes other methods".to_owned())
        })
        .layer(middleware::from_fn(error::render))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .with_state(app)
}
