//! A site's whole answer: status, headers, and what the body is. What both the edge and `loggia dev` obey.

use bytes::Bytes;
use http::Method;
use http::response::Parts;

use crate::decide::{Answer, Content, Extent, decide};
use crate::head;
use crate::multipart::Multipart;
use crate::pages::Page;
use crate::request::{Asked, Policy, RequestHead};
use crate::site::Site;

/// What follows the head.
#[derive(Debug)]
pub enum Body<'s> {
    /// These bytes, perhaps none. A HEAD gets none of them, whatever `Content-Length` says.
    Inline(Bytes),
    /// A file's bytes, all of them or one range.
    File(Content<'s>),
    /// Several ranges of a file.
    Parts(Content<'s>, Multipart),
}

#[derive(Debug)]
pub struct Response<'s> {
    pub parts: Parts,
    pub body: Body<'s>,
    /// The redirect rule that fired, as `_redirects:12`.
    pub rule: Option<String>,
    /// Only people with credentials may see it, so nothing may keep it.
    pub is_protected: bool,
    /// Whoever asks for this address with the same [`DEPENDS_ON`] gets the same answer, for as long as the hostname shows
    /// this deployment.
    pub is_repeatable: bool,
}

/// The request headers that an answer depends on, unless rules ask who the visitor is. `Sec-Fetch-*` stands for the names
/// that begin so: any of them says that the client is a browser.
pub const DEPENDS_ON: [&str; 11] = [
    "accept",
    "accept-encoding",
    "authorization",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "sec-fetch-dest",
    "sec-fetch-mode",
];

/// Answers a request to a site.
pub fn respond<'s>(site: &'s Site, policy: &Policy<'_>, request: RequestHead<'_>) -> Response<'s> {
    let asked = match Asked::parse(request) {
        Ok(asked) => asked,
        Err(error) => return Response::page(Page::bad_target(error), request),
    };
    let decision = decide(site, policy, &asked);
    let head = head::of_decision(site, policy, &asked, &decision);
    let rule = decision.rule.map(ToString::to_string);
    let is_protected = decision.is_protected;
    let is_repeatable = !is_protected && !site.redirects().may_ask_visitor(asked.target.path());
    let page = |page: Page, parts| {
        let (parts, body) = page.into_body_of(parts, request.headers);
        (parts, Body::Inline(body))
    };
    let (parts, body) = match decision.answer {
        Answer::Content(content) => {
            let body = body_of(content, request.method, head.multipart);
            (head.parts, body)
        }
        Answer::Nothing(status) => page(Page::nothing(status), head.parts),
        Answer::Unauthorized => page(Page::unauthorized(), head.parts),
        Answer::PreconditionFailed => page(Page::precondition_failed(), head.parts),
        Answer::MethodNotAllowed => page(Page::method_not_allowed(), head.parts),
        Answer::NotAcceptable => page(Page::not_acceptable(), head.parts),
        Answer::Redirect { .. } | Answer::Options => (head.parts, Body::Inline(Bytes::new())),
    };
    Response { parts, body, rule, is_protected, is_repeatable }
}

fn body_of<'s>(content: Content<'s>, method: &Method, multipart: Option<Multipart>) -> Body<'s> {
    let has_bytes = match content.extent {
        Extent::Whole => content.entry.size() > 0,
        Extent::Part(_) => true,
        Extent::NotModified | Extent::NotSatisfiable => false,
    };
    match multipart {
        _ if !has_bytes || *method == Method::HEAD => Body::Inline(Bytes::new()),
        Some(multipart) => Body::Parts(content, multipart),
        None => Body::File(content),
    }
}

impl Response<'_> {
    /// An answer of the platform's own.
    pub fn page(page: Page, request: RequestHead<'_>) -> Self {
        let (parts, body) = page.into_answer(request.headers);
        Self { parts, body: Body::Inline(body), rule: None, is_protected: false, is_repeatable: false }
    }
}
