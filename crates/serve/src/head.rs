//! Status and headers of an answer. Whatever the store sends, only these reach a client.

use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, LAST_MODIFIED, LINK, LOCATION, REFERRER_POLICY, SERVER, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use loggia_types::Manifest;
use loggia_types::route::RedirectStatus;

use crate::decide::{Answer, Content, Decision, Extent, Role, Validators};
use crate::matching::Answered;
use crate::multipart::Multipart;
use crate::request::{Asked, Policy};
use crate::site::Site;

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const NOINDEX: HeaderValue = HeaderValue::from_static("noindex");
const RULE: HeaderName = HeaderName::from_static("x-loggia-rule");
const DEPLOYMENT: HeaderName = HeaderName::from_static("x-loggia-deployment");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// The methods that reach files.
pub const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// RFC 7617 §2. One realm: a browser asks once for all of a hostname.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"protected\", charset=\"UTF-8\"");

/// Whether the shell or a 404 answers depends on these (see `not_found`).
const SHELL_VARY: &str = "Accept, Sec-Fetch-Dest, Sec-Fetch-Mode";
const CODING_VARY: &str = "Accept-Encoding";

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// `Content-Type` and `Content-Length` are there when a file is the body.
    pub parts: Parts,
    /// How the body is put together when it holds several ranges.
    pub multipart: Option<Multipart>,
}

/// An answer of the platform itself, without a site: never stored, never indexed.
pub fn platform(status: StatusCode) -> Parts {
    let mut parts = blank(status);
    parts.headers.insert(CACHE_CONTROL, NO_STORE);
    parts.headers.insert(ROBOTS, NOINDEX);
    parts
}

/// A hostname leads to another one. A browser asks again each time, so that the choice can be taken back.
pub fn of_host_redirect(redirect: RedirectStatus, location: &str, rule: &str) -> Parts {
    let mut parts = blank(status_of(redirect.code()));
    let headers = &mut parts.headers;
    headers.insert(CACHE_CONTROL, REVALIDATE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    insert(headers, LOCATION, location.as_bytes());
    insert(headers, RULE, rule.as_bytes());
    parts
}

/// Status and headers of a decision: the system's, then what the site's own rules say, then what no rule may change.
pub fn of_decision(site: &Site, policy: &Policy<'_>, asked: &Asked<'_>, decision: &Decision<'_>) -> Head {
    let mut parts = blank(status(&decision.answer));
    if !policy.is_primary {
        parts.headers.insert(ROBOTS, NOINDEX);
    }
    describe(&mut parts.headers, decision, site.manifest());
    let answered = Answered {
        environment: policy.environment,
        status: parts.status.as_u16(),
        file: content(decision).map(|content| content.entry.path()),
        is_platform_host: policy.is_platform_host,
    };
    site.headers().apply(&decision.matches, &answered, &asked.for_rules(), &mut parts.headers);
    let multipart = settle(&mut parts.headers, decision, policy);
    Head { parts, multipart }
}

fn content<'d, 's>(decision: &'d Decision<'s>) -> Option<&'d Content<'s>> {
    match &decision.answer {
        Answer::Content(content) => Some(content),
        _ => None,
    }
}

fn status(answer: &Answer<'_>) -> StatusCode {
    let code = match answer {
        Answer::Content(Content { role: Role::StandIn(status), .. }) | Answer::Nothing(status) => {
            status.code()
        }
        Answer::Content(content) => match content.extent {
            Extent::Whole => 200,
            Extent::Part(_) => 206,
            Extent::NotModified => 304,
            Extent::NotSatisfiable => 416,
        },
        Answer::Redirect { status, .. } => *status,
        Answer::Unauthorized => 401,
        Answer::MethodNotAllowed => 405,
        Answer::NotAcceptable => 406,
        Answer::PreconditionFailed => 412,
        Answer::Options => 204,
    };
    status_of(code)
}

fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
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

/// What the platform says of its own accord.
fn describe(headers: &mut HeaderMap, decision: &Decision<'_>, manifest: &Manifest) {
    match &decision.answer {
        Answer::Content(content) => describe_content(headers, content, manifest),
        Answer::Redirect { location, .. } => {
            headers.insert(CACHE_CONTROL, REVALIDATE);
            insert(headers, LOCATION, location.as_bytes());
        }
        Answer::Unauthorized => drop(headers.insert(WWW_AUTHENTICATE, CHALLENGE)),
        Answer::MethodNotAllowed | Answer::Options => drop(headers.insert(ALLOW, ALLOWED)),
        Answer::NotAcceptable => drop(headers.insert(VARY, HeaderValue::from_static(CODING_VARY))),
        Answer::Nothing(_) => drop(headers.insert(CACHE_CONTROL, NO_STORE)),
        Answer::PreconditionFailed => {}
    }
}

/// Type, caching and validators of a file.
fn describe_content(headers: &mut HeaderMap, content: &Content<'_>, manifest: &Manifest) {
    let entry = &content.entry;
    headers.insert(CACHE_CONTROL, caching(content));
    if content.extent == Extent::NotSatisfiable {
        return;
    }
    if content.extent != Extent::NotModified {
        insert(headers, CONTENT_TYPE, entry.content_type().as_bytes());
    }
    if matches!(content.role, Role::StandIn(_)) {
        return;
    }
    let validators = Validators::of(manifest, entry, content.variant.map(|variant| variant.coding));
    insert(headers, ETAG, validators.etag.as_bytes());
    insert(headers, LAST_MODIFIED, httpdate::fmt_http_date(validators.last_modified).as_bytes());
    if let Some(link) = entry.link() {
        insert(headers, LINK, link.as_bytes());
    }
}

fn caching(content: &Content<'_>) -> HeaderValue {
    match content.role {
        Role::StandIn(_) => NO_STORE,
        Role::File | Role::Retired(_) if content.entry.is_immutable() => IMMUTABLE,
        // What a rewrite shows can be something else after the next deploy, whatever the file is called.
        Role::File | Role::Retired(_) | Role::Rewritten | Role::Shell => REVALIDATE,
    }
}

/// What no rule of a site may change, because clients and caches would misunderstand the bytes that follow.
fn settle(headers: &mut HeaderMap, decision: &Decision<'_>, policy: &Policy<'_>) -> Option<Multipart> {
    if is_about_the_request(&decision.answer) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    }
    if decision.is_protected {
        headers.insert(CACHE_CONTROL, PRIVATE);
    }
    if !policy.is_primary {
        // Copies of a site do not compete with it, whatever its rules say.
        keep_from_indexes(headers);
        if let Some(rule) = decision.rule {
            insert(headers, RULE, rule.to_string().as_bytes());
        }
    }
    match &decision.answer {
        Answer::Content(content) => settle_content(headers, content),
        Answer::Redirect { .. } => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            None
        }
        _ => None,
    }
}

/// Whether it answers what was odd about this one request: stored, it would answer everybody's (RFC 9111 §3).
fn is_about_the_request(answer: &Answer<'_>) -> bool {
    match answer {
        Answer::PreconditionFailed | Answer::NotAcceptable | Answer::MethodNotAllowed => true,
        Answer::Content(content) => content.extent == Extent::NotSatisfiable,
        Answer::Redirect { .. } | Answer::Unauthorized | Answer::Options | Answer::Nothing(_) => false,
    }
}

fn keep_from_indexes(headers: &mut HeaderMap) {
    let present = headers.get(ROBOTS).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_kept = |word: &str| ["noindex", "none"].iter().any(|kept| word.trim().eq_ignore_ascii_case(kept));
    if present.is_empty() {
        headers.insert(ROBOTS, NOINDEX);
    } else if !present.split(',').any(is_kept) {
        let joined = format!("{present}, noindex");
        insert(headers, ROBOTS, joined.as_bytes());
    }
}

fn settle_content(headers: &mut HeaderMap, content: &Content<'_>) -> Option<Multipart> {
    let entry = &content.entry;
    if entry.is_compressible() {
        add_vary(headers, CODING_VARY);
    }
    if content.role == Role::Shell {
        add_vary(headers, SHELL_VARY);
    }
    if let Role::Retired(deployment_id) = content.role {
        insert(headers, DEPLOYMENT, deployment_id.as_str().as_bytes());
    }
    if !matches!(content.role, Role::StandIn(_)) && content.extent != Extent::NotModified {
        headers.insert(ACCEPT_RANGES, BYTES);
    }
    match content.extent {
        Extent::NotModified => {}
        Extent::NotSatisfiable => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            insert(headers, CONTENT_RANGE, format!("bytes */{}", entry.size()).as_bytes());
        }
        Extent::Whole => {
            let size = content.variant.map_or(entry.size(), |variant| variant.size);
            headers.insert(CONTENT_LENGTH, size.into());
            if let Some(variant) = content.variant {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(variant.coding.as_str()));
            }
        }
        Extent::Part(ranges) => match ranges.as_slice() {
            [range] => {
                let text = format!("bytes {}-{}/{}", range.first, range.last, entry.size());
                insert(headers, CONTENT_RANGE, text.as_bytes());
                headers.insert(CONTENT_LENGTH, range.size_bytes().into());
            }
            _ => {
                let multipart = Multipart::new(entry, ranges, headers.get(CONTENT_TYPE));
                insert(headers, CONTENT_TYPE, multipart.content_type().as_bytes());
                headers.insert(CONTENT_LENGTH, multipart.size_bytes().into());
                return Some(multipart);
            }
        },
    }
    None
}

/// Rules may set `Vary` as well; what the answer depends on is added to it.
fn add_vary(headers: &mut HeaderMap, names: &'static str) {
    match headers.get(VARY).map(|value| value.to_str().unwrap_or_default()) {
        None => drop(headers.insert(VARY, HeaderValue::from_static(names))),
        Some("*") => {}
        Some(present) => {
            let is_there =
                |name: &str| present.split(',').any(|known| known.trim().eq_ignore_ascii_case(name));
            let missing: Vec<&str> = names.split(", ").filter(|name| !is_there(name)).collect();
            let joined = [&[present], missing.as_slice()].concat().join(", ");
            insert(headers, VARY, joined.as_bytes());
        }
    }
}

/// Content types come from a manifest that a builder wrote: one that is no header value is left out, and
/// `nosniff` then makes it a download.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}
