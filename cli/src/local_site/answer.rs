//! An answer of the engine, cut loose from the site it was made from.

use bytes::Bytes;
use http::response::Parts;
use loggia_serve::decide::{self, Content, Extent};
use loggia_serve::pages::Page;
use loggia_serve::respond::{Body, Response};
use loggia_serve::{Asked, Policy, RequestHead, Site, Target, respond};
use loggia_types::ContentHash;
use loggia_types::manifest::Coding;

#[derive(Debug)]
pub(crate) struct Answer {
    pub parts: Parts,
    /// The redirect rule that fired.
    pub rule: Option<String>,
    /// The file that the answer is about, also when none of its bytes are sent.
    pub file: Option<AnsweredFile>,
    pub body: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AnsweredFile {
    pub path: String,
    pub coding: Option<Coding>,
}

/// One after the other they are the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Bytes(Bytes),
    /// Of a file as it was built.
    File {
        path: String,
        first: u64,
        len: u64,
    },
    /// The compressed bytes with this hash.
    Variant {
        path: String,
        hash: ContentHash,
    },
}

/// What the edge would answer.
pub(super) fn of(site: &Site, policy: &Policy<'_>, request: RequestHead<'_>) -> Answer {
    if Target::parse(request.target).is_ok_and(|target| target.is_reserved()) {
        return Answer::page(Page::not_found(), request);
    }
    let file = content(site, policy, request).map(|content| AnsweredFile {
        path: content.entry.path().to_owned(),
        coding: content.variant.map(|variant| variant.coding),
    });
    let Response { parts, body, rule, .. } = respond(site, policy, request);
    Answer { parts, rule, file, body: pieces(body) }
}

/// The file that answers a request, whichever of its variants.
pub(super) fn file_of<'s>(
    site: &'s Site,
    policy: &Policy<'_>,
    request: RequestHead<'_>,
) -> Option<Content<'s>> {
    content(site, policy, request).or_else(|| {
        // A client that refuses the identity gets no file as long as no variant is known.
        let mut headers = request.headers.clone();
        headers.remove(http::header::ACCEPT_ENCODING)?;
        content(site, policy, RequestHead { headers: &headers, ..request })
    })
}

fn content<'s>(site: &'s Site, policy: &Policy<'_>, request: RequestHead<'_>) -> Option<Content<'s>> {
    let asked = Asked::parse(request).ok()?;
    match decide::decide(site, policy, &asked).answer {
        decide::Answer::Content(content) => Some(content),
        _ => None,
    }
}

fn pieces(body: Body<'_>) -> Vec<Piece> {
    let file = |content: &Content<'_>, first, len| {
        let path = content.entry.path().to_owned();
        Piece::File { path, first, len }
    };
    match body {
        Body::Inline(bytes) if bytes.is_empty() => Vec::new(),
        Body::Inline(bytes) => vec![Piece::Bytes(bytes)],
        Body::File(content) => vec![match (content.variant, &content.extent) {
            (Some(variant), _) => {
                Piece::Variant { path: content.entry.path().to_owned(), hash: variant.hash }
            }
            (None, Extent::Part(ranges)) => {
                let range = ranges.as_slice().first();
                let (first, len) = range.map_or((0, 0), |range| (range.first, range.size_bytes()));
                file(&content, first, len)
            }
            (None, _) => file(&content, 0, content.entry.size()),
        }],
        Body::Parts(content, multipart) => {
            let part = |range: &decide::ByteRange| {
                let head = Piece::Bytes(multipart.part_head(*range).into());
                [head, file(&content, range.first, range.size_bytes())]
            };
            let parts = multipart.ranges().iter().flat_map(part);
            parts.chain([Piece::Bytes(multipart.end().into())]).collect()
        }
    }
}

impl Answer {
    /// Of the platform's own.
    pub(crate) fn page(page: Page, request: RequestHead<'_>) -> Self {
        let Response { parts, body, rule, .. } = Response::page(page, request);
        Self { parts, rule, file: None, body: pieces(body) }
    }
}
