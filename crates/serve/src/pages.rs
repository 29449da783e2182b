//! Pages that the platform itself answers with: short, without external resources, for people or programs.

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, RETRY_AFTER,
};
use http::response::Parts;
use http::{HeaderValue, StatusCode};
use loggia_types::rules::RewriteStatus;
use loggia_types::{BaseDomain, Hostname};

use crate::head;
use crate::target::BadTarget;

/// The store and the api usually come back within seconds, and nothing is gained by hammering.
const RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("5");

/// Rates are counted by the second.
const RATE_RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("1");

/// The page has one inline style and needs nothing else.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");

/// A page of the platform's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
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

    pub fn unknown_host(hostname: &Hostname, base: &BaseDomain) -> Self {
        let text = format!(
            "No project answers at {hostname}. If it should: a project's own address is its name followed by \
             .{base}; a domain of your own has to be added to the project and verified first, and its DNS record \
             has to point here."
        );
        Self::new(StatusCode::NOT_FOUND, "unknown_host", "Nobody lives here", text)
    }

    pub fn no_deployment(hostname: &Hostname) -> Self {
        let text = format!("{hostname} belongs to a project, but nothing has been deployed to it yet.");
        Self::new(StatusCode::NOT_FOUND, "no_deployment", "Nothing here yet", text)
    }

    pub fn routes_unavailable() -> Self {
        let text = "This site's address could not be looked up right now. Please try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "routes_unavailable", "Back in a moment", text)
    }

    pub fn store_unavailable() -> Self {
        let text = "This file could not be fetched right now. Please try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "Back in a moment", text)
    }

    pub fn deployment_missing() -> Self {
        let text = "The deployment that this address shows is not available. Its owner can deploy again or roll back.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "deployment_missing", "Not available", text)
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", "There is nothing at this address.")
    }

    /// Where nothing of the site answers.
    pub fn nothing(status: RewriteStatus) -> Self {
        match status {
            RewriteStatus::Ok | RewriteStatus::NotFound => Self::not_found(),
            RewriteStatus::Gone => {
                let text = "What was at this address is gone, and will not come back.";
                Self::new(StatusCode::GONE, "gone", "Gone", text)
            }
            RewriteStatus::UnavailableForLegalReasons => {
                let text = "What was at this address may not be shown.";
                let status = StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS;
                Self::new(status, "unavailable_for_legal_reasons", "Unavailable for legal reasons", text)
            }
        }
    }

    pub fn unauthorized() -> Self {
        let text = "This part of the site asks for a name and a password.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Please sign in", text)
    }

    pub fn not_acceptable() -> Self {
        let text = "The request refuses every form in which this file can be sent. Its Accept-Encoding header has to \
                    allow identity, or a coding that the file has.";
        Self::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "Not acceptable", text)
    }

    pub fn precondition_failed() -> Self {
        let text = "The request asks for a version of this file that is not the one at this address.";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", "Precondition failed", text)
    }

    pub fn method_not_allowed() -> Self {
        let text = "A static site is read with GET or HEAD.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", text)
    }

    pub fn body_too_large() -> Self {
        let text = "A static site takes no request bodies.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large", text)
    }

    pub fn bad_target(error: BadTarget) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_target",
            "Bad request",
            format!("The request was refused: {error}."),
        )
    }

    /// A request that is refused before anything looks at its site.
    pub fn refused(status: StatusCode, reason: impl std::fmt::Display) -> Self {
        let text = format!("The request was refused: {reason}.");
        let (code, title) = match status {
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "Method not allowed"),
            StatusCode::REQUEST_TIMEOUT => ("request_timeout", "Too slow"),
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "Body too large"),
            _ => ("bad_request", "Bad request"),
        };
        Self::new(status, code, title, text)
    }

    pub fn too_many_requests() -> Self {
        let text = "Your address asks for more than this server lets one address ask. Please wait a moment.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests", text)
    }

    pub fn misdirected(hostname: &Hostname) -> Self {
        let text = format!("This connection was opened for another name than {hostname}.");
        Self::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", "Wrong connection", text)
    }

    /// Status, headers and body of an answer without a site.
    pub fn into_answer(self, request: &HeaderMap) -> (Parts, Bytes) {
        let parts = head::platform(self.status);
        self.into_body_of(parts, request)
    }

    /// As the body of an answer whose other headers are decided already.
    pub fn into_body_of(self, mut parts: Parts, request: &HeaderMap) -> (Parts, Bytes) {
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
            StatusCode::METHOD_NOT_ALLOWED => drop(parts.headers.insert(ALLOW, head::ALLOWED)),
            StatusCode::TOO_MANY_REQUESTS => drop(parts.headers.insert(RETRY_AFTER, RATE_RETRY_AFTER_SECS)),
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
