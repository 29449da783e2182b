//! `/api/openapi.json`: what the api is, from its code. `api/openapi.json` is its snapshot.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Document};

use crate::access::SESSION_COOKIE;
use crate::table::{SESSION, TOKEN};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Loggia",
        description = "Static sites on your own machines. Refusals are problem details (RFC 9457) with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/"))
)]
struct Api;

/// The whole document, without the internal routes of builders and edges.
pub(crate) fn document() -> Document {
    let mut document = super::table().describe(Api::openapi());
    document.paths.paths.retain(|path, _| !path.starts_with("/internal/"));
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of a person's program, or the one of the configuration"))
        .build();
    let session = ApiKey::Cookie(ApiKeyValue::with_description(SESSION_COOKIE, "The session of a browser"));
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(TOKEN, SecurityScheme::Http(token));
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(session));
    document
}

/// This document (OpenAPI 3.1).
#[utoipa::path(get, path = "/api/openapi.json", tag = "Platform", responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn get() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/json")],
        document().to_pretty_json().expect("our own shapes have only string keys"),
    )
}

#[cfg(test)]
mod tests {
    /// The dashboard's client is made from the snapshot. Write it anew with `LOGGIA_UPDATE=1 cargo test -p loggia-api openapi`.
    #[test]
    fn the_snapshot_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let now = format!("{}\n", super::document().to_pretty_json().expect("serialises"));
        if std::env::var_os("LOGGIA_UPDATE").is_some() {
            std::fs::write(path, &now).expect("writes the snapshot");
        }
        let snapshot = std::fs::read_to_string(path).expect("api/openapi.json");
        assert!(
            snapshot == now,
            "api/openapi.json is out of date: LOGGIA_UPDATE=1 cargo test -p loggia-api openapi"
        );
    }
}
