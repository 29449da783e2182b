//! Status and headers of an answer (BEHAVIOR §6). Whatever the store sends, only these reach a client.

use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    HeaderValue, LAST_MODIFIED, LOCATION, REFERRER_POLICY, SERVER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::response::Parts;
use http::{Response, StatusCode};
use loggia_types::Manifest;

use super::{ByteRange, Decision, Role, Served, Validators};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// The methods that reach files.
pub const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// Whether the shell or a 404 answers depends on these (see `not_found`).
const SHELL_VARY: HeaderValue = HeaderValue::from_static("Accept, Sec-Fetch-Dest, Sec-Fetch-Mode");

/// An answer of the platform itself, without a site: never stored, never indexed.
pub fn platform(status: StatusCode) -> Parts {
    let mut parts = blank(status);
    parts.headers.insert(CACHE_CONTROL, NO_STORE);
    parts.headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
    parts
}

/// Status and headers of a decision. `Content-Type` and `Content-Length` are there when a file is the body.
pub fn of_decision(decision: &Decision<'_>, manifest: &Manifest, indexable: bool) -> Parts {
    let mut parts = blank(status(decision));
    let headers = &mut parts.headers;
    if !indexable {
        headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
    }
    match decision {
        Decision::Whole(served) => {
            describe(&mut parts, *served, manifest);
            parts.headers.insert(CONTENT_LENGTH, served.entry.size().into());
        }
        Decision::Part(served, range) => {
            describe(&mut parts, *served, manifest);
            describe_range(&mut parts, *range, served.entry.size());
        }
        Decision::NotModified(served) => {
            describe(&mut parts, *served, manifest);
            parts.headers.remove(CONTENT_TYPE);
        }
        Decision::RangeNotSatisfiable(served) => {
            headers.insert(CACHE_CONTROL, NO_STORE);
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            insert(&mut parts, CONTENT_RANGE, &format!("bytes */{}", served.entry.size()));
        }
        Decision::Redirect { location } => {
            headers.insert(CACHE_CONTROL, REVALIDATE);
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            insert(&mut parts, LOCATION, location);
        }
        Decision::Options => drop(headers.insert(ALLOW, ALLOWED)),
        Decision::MethodNotAllowed => {
            headers.insert(ALLOW, ALLOWED);
            headers.insert(CACHE_CONTROL, NO_STORE);
        }
        Decision::NotFound | Decision::BadRequest(_) => drop(headers.insert(CACHE_CONTROL, NO_STORE)),
    }
    parts
}

fn status(decision: &Decision<'_>) -> StatusCode {
    match decision {
        Decision::Whole(Served { role: Role::NotFoundPage, .. }) | Decision::NotFound => {
            StatusCode::NOT_FOUND
        }
        Decision::Whole(_) => StatusCode::OK,
        Decision::Part(..) => StatusCode::PARTIAL_CONTENT,
        Decision::NotModified(_) => StatusCode::NOT_MODIFIED,
        Decision::RangeNotSatisfiable(_) => StatusCode::RANGE_NOT_SATISFIABLE,
        Decision::Redirect { .. } => StatusCode::TEMPORARY_REDIRECT,
        Decision::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Decision::Options => StatusCode::NO_CONTENT,
        Decision::BadRequest(_) => StatusCode::BAD_REQUEST,
    }
}

/// What every answer carries.
fn blank(status: StatusCode) -> Parts {
    let mut parts = Response::new(()).into_parts().0;
    parts.status = status;
    parts.headers.insert(SERVER, HeaderValue::from_static("loggia"));
    parts.headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    parts.headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
    parts
}

/// Type, caching and validators of a file.
fn describe(parts: &mut Parts, served: Served<'_>, manifest: &Manifest) {
    let entry = served.entry;
    insert(parts, CONTENT_TYPE, entry.content_type());
    let caching = match served.role {
        Role::NotFoundPage => NO_STORE,
        Role::File if entry.is_immutable() => IMMUTABLE,
        Role::File | Role::Shell => REVALIDATE,
    };
    parts.headers.insert(CACHE_CONTROL, caching);
    if served.role == Role::NotFoundPage {
        return;
    }
    let validators = Validators::new(entry.hash().etag(), manifest.facts().created_at);
    insert(parts, ETAG, &validators.etag);
    insert(parts, LAST_MODIFIED, &httpdate::fmt_http_date(validators.last_modified));
    parts.headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if served.role == Role::Shell {
        parts.headers.insert(VARY, SHELL_VARY);
    }
}

fn describe_range(parts: &mut Parts, range: ByteRange, file_bytes: u64) {
    let text = format!("bytes {}-{}/{file_bytes}", range.first, range.last);
    insert(parts, CONTENT_RANGE, &text);
    parts.headers.insert(CONTENT_LENGTH, range.size_bytes().into());
}

/// Content types come from a manifest that a builder wrote: one that is no header value is left out, and
/// `nosniff` then makes it a download.
fn insert(parts: &mut Parts, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        parts.headers.insert(name, value);
    }
}
