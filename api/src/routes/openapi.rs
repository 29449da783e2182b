//! `/api/openapi.json`: what the api is, from its code. `api/openapi.json` is its snapshot.

mod complete;
mod examples;

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::Components;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::access::SESSION_COOKIE;
use crate::table::{SESSION, TOKEN};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Loggia",
        description = "Static sites on your own machines. Refusals are problem details (RFC 9457) with a stable `code`. \
                       A POST with an `Idempotency-Key` is done once, however often it is sent.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/"))
)]
struct Api;

/// The whole document, without the internal routes of builders and edges.
fn document() -> Value {
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
    let mut document = serde_json::to_value(document).expect("our own shapes have only string keys");
    complete::complete(&mut document);
    examples::add(&mut document);
    document
}

fn text() -> String {
    format!("{:#}\n", document())
}

/// This document (OpenAPI 3.1).
#[utoipa::path(get, path = "/api/openapi.json", tag = "Platform", responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn get() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(text);
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The dashboard's client is made from the snapshot. Write it anew with `LOGGIA_UPDATE=1 cargo test -p loggia-api openapi`.
    #[test]
    fn the_snapshot_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let now = text();
        if std::env::var_os("LOGGIA_UPDATE").is_some() {
            std::fs::write(path, &now).expect("writes the snapshot");
        }
        let snapshot = std::fs::read_to_string(path).expect("api/openapi.json");
        assert!(
            snapshot == now,
            "api/openapi.json is out of date: LOGGIA_UPDATE=1 cargo test -p loggia-api openapi"
        );
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_a_summary_and_examples() {
        let document = document();
        let mut names = BTreeSet::new();
        let mut lacking = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let name = operation["operationId"].as_str().expect("a name").to_owned();
                if !names.insert(name.clone()) {
                    lacking.push(format!("{method} {path}: another operation is called {name}"));
                }
                if operation["summary"].as_str().is_none_or(str::is_empty) {
                    lacking.push(format!("{method} {path} has no summary: write a doc comment"));
                }
                let shown = operation.to_string();
                if shown.contains(&format!("\"{}\"", examples::PLACEHOLDER)) {
                    lacking.push(format!(
                        "{method} {path}: an example holds a placeholder: give the field an example"
                    ));
                }
            }
        }
        assert!(lacking.is_empty(), "{}", lacking.join("\n"));
    }
}
