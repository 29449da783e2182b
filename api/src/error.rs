//! The one place where errors become answers.
//!
//! An answer is a problem of RFC 9457; it carries a stable `code`, a sentence for a person, and the request's id. Internal causes are
//! logged here, once, and never sent.

use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use loggia_storage::StoreError;
use loggia_types::api::ErrorBody;
use tower_http::request_id::RequestId;

use crate::db::DbError;

#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// What of the body or the query it is about.
    field: Option<String>,
    /// When to come again.
    retry_after: Option<Duration>,
    /// For our log only.
    cause: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None, retry_after: None, cause: None }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn token_expired() -> Self {
        let message = "this token has expired; make a new one";
        Self::new(StatusCode::UNAUTHORIZED, "token_expired", message)
    }

    pub(crate) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// `what` in words, e.g. `project blog`.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}"))
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// A value of the body or the query that is not what it has to be.
    pub(crate) fn invalid(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::unprocessable(code, message).about(field)
    }

    /// Names the field that it is about.
    pub(crate) fn about(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// `what` was too much, and when there may be more.
    pub(crate) fn too_many(code: &'static str, what: &str, wait: Duration) -> Self {
        let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let message = format!("{what}; come again in {secs} s");
        Self { retry_after: Some(wait), ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, message) }
    }

    pub(crate) fn unavailable(
        code: &'static str,
        message: impl Into<String>,
        cause: impl std::fmt::Display,
    ) -> Self {
        let cause = Some(cause.to_string());
        Self { cause, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message) }
    }

    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        let message = "something went wrong on our side; the log has the details under this request id";
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        }
    }

    /// A refusal that axum made itself, e.g. of JSON that does not parse.
    pub(crate) fn rejection(status: StatusCode, code: &'static str, message: String) -> Self {
        Self::new(status, code, message)
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Pool(_) => {
                Self::unavailable("database_unavailable", "the database does not answer; try again", error)
            }
            other => Self::internal(other),
        }
    }
}

impl From<tokio_postgres::Error> for ApiError {
    fn from(error: tokio_postgres::Error) -> Self {
        DbError::from(error).into()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => {
                Self::unavailable("store_unavailable", "the object store does not answer; try again", error)
            }
            other => Self::internal(other),
        }
    }
}

impl IntoResponse for ApiError {
    /// The body is written by [`render`], which knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Of the database or the store. They come back within seconds, or somebody has to look.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(5);

/// RFC 9457, 6.1.
const PROBLEM: &str = "application/problem+json";

/// Outermost layer: writes the body of every refusal, and logs what was our fault.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok())
        .map(str::to_owned);
    let request_id = id.unwrap_or_default();
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<ApiError>() else {
        return response;
    };
    if let Some(cause) = &error.cause {
        tracing::error!(%request_id, code = error.code, "Request {request_id} failed: {cause}");
    }
    let body = ErrorBody {
        kind: ErrorBody::kind_of(error.code),
        title: error.status.canonical_reason().unwrap_or_default().to_owned(),
        status: error.status.as_u16(),
        detail: error.message,
        code: error.code.to_owned(),
        field: error.field,
        request_id,
    };
    let mut rendered = (error.status, Json(body)).into_response();
    rendered.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
    if error.status == StatusCode::UNAUTHORIZED {
        rendered.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let unavailable = (error.status == StatusCode::SERVICE_UNAVAILABLE).then_some(UNAVAILABLE_FOR);
    if let Some(wait) = error.retry_after.or(unavailable) {
        // Whole seconds, upwards: who comes at that time is let in.
        let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        rendered.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    rendered
}
