//! Pages that the platform itself answers with: short, without external resources, for people or programs.

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, RETRY_AFTER,
};
use http::response::Parts;
use http::{HeaderValue, StatusCode};
use loggia_types::{BaseDomain, Hostname};

use crate::decide::{BadTarget, headers};
use crate::request::Refusal;

/// The store and the api usually come back within seconds, and nothing is gained by hammering.
const RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("5");

/// The page has one inline style and needs nothing else.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    status: StatusCode,
    /// For programs; never changes.
    code: &'static str,
    title: &'static str,
    text: String,
}

impl Page {
    fn new(status: StatusCode, code: &'static str, title: &'static str, text: impl Into<String>) -> Self {
        Self { status, code, title, text: text.into() }
    }

    pub(crate) fn unknown_host(hostname: &Hostname, base: &BaseDomain) -> Self {
        let text = format!(
            "No project answers at {hostname}. If it should: a project's own address is its name followed by \
             .{base}; a domain of your own has to be added to the project and verified first, and its DNS record \
             has to point here."
        );
        Self::new(StatusCode::NOT_FOUND, "unknown_host", "Nobody lives here", text)
    }

    pub(crate) fn no_deployment(hostname: &Hostname) -> Self {
        let text = format!("{hostname} belongs to a project, but nothing has been deployed to it yet.");
        Self::new(StatusCode::NOT_FOUND, "no_deployment", "Nothing here yet", text)
    }

    pub(crate) fn routes_unavailable() -> Self {
        let text = "This site's address could not be looked up right now. Please try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "routes_unavailable", "Back in a moment", text)
    }

    pub(crate) fn store_unavailable() -> Self {
        let text = "This file could not be fetched right now. Please try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "Back in a moment", text)
    }

    pub(crate) fn deployment_missing() -> Self {
        let text = "The deployment that this address shows is not available. Its owner can deploy again or roll back.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "deployment_missing", "Not available", text)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", "There is nothing at this address.")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let text = "A static site is read with GET or HEAD.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", text)
    }

    pub(crate) fn body_too_large() -> Self {
        let text = "A static site takes no request bodies.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large", text)
    }

    pub(crate) fn bad_target(error: BadTarget) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_target",
            "Bad request",
            format!("The request was refused: {error}."),
        )
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        let text = format!("The request was refused: {refusal}.");
        Self::new(refusal.status(), "bad_request", "Bad request", text)
    }

    /// Status, headers and body of an answer without a site.
    pub(crate) fn into_answer(self, request: &HeaderMap) -> (Parts, Bytes) {
        let parts = headers::platform(self.status);
        self.into_body_of(parts, request)
    }

    /// As the body of an answer whose other headers are decided already.
    pub(crate) fn into_body_of(self, mut parts: Parts, request: &HeaderMap) -> (Parts, Bytes) {
        let (content_type, body) = if wants_json(request) {
            ("application/json", self.json())
        } else {
            parts.headers.insert(CONTENT_SECURITY_POLICY, POLICY);
            ("text/html; charset=utf-8", self.html())
        };
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        parts.headers.insert(CONTENT_LENGTH, body.len().into());
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => drop(parts.headers.insert(RETRY_AFTER, RETRY_AFTER_SECS)),
            StatusCode::METHOD_NOT_ALLOWED => drop(parts.headers.insert(ALLOW, headers::ALLOWED)),
            _ => {}
        }
        (parts, Bytes::from(body))
    }

    fn json(&self) -> String {
        serde_json::json!({ "code": self.code, "message": self.text }).to_string()
    }

    fn html(&self) -> String {
        let (status, title, text) = (self.status.as_u16(), escape(self.title), escape(&self.text));
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style>\
             </head><body><main><p class=\"status\">{status}</p><h1>{title}</h1><p>{text}</p></main></body></html>\n"
        )
    }
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;display:grid;\
min-height:90vh;place-items:center;margin:1rem}main{max-width:34rem}h1{margin:.2rem 0;font-size:1.5rem}\
.status{margin:0;opacity:.6}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// JSON for clients that ask for it and not for HTML.
fn wants_json(request: &HeaderMap) -> bool {
    let lines: Vec<_> = request.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok()).collect();
    let names = |media_type: &str| lines.iter().any(|line| line.to_ascii_lowercase().contains(media_type));
    names("application/json") && !names("text/html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_html_for_people_and_json_for_programs() {
        let page = Page::store_unavailable();
        let (parts, body) = page.clone().into_answer(&HeaderMap::new());
        assert_eq!(parts.headers[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(parts.headers[RETRY_AFTER], "5");
        assert_eq!(parts.headers["cache-control"], "no-store");
        assert!(body.starts_with(b"<!doctype html>"));

        let request = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let (parts, body) = page.into_answer(&request);
        assert_eq!(parts.headers[CONTENT_TYPE], "application/json");
        let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(json["code"], "store_unavailable");
    }

    #[test]
    fn what_a_visitor_sent_is_escaped() {
        assert_eq!(escape("<script>\"'&"), "&lt;script&gt;&quot;&#39;&amp;");
    }
}
