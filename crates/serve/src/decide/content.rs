//! How a file is sent: conditions, then coding, then ranges (RFC 9110 §13.2.2).

use http::Method;
use http::header::RANGE;
use loggia_types::Manifest;
use loggia_types::manifest::{Entry, Variant};

use super::coding::{Negotiated, negotiate, refuses_identity};
use super::range::{self, RangeRequest};
use super::{Answer, Content, Extent, Role, Validators};
use crate::request::RequestHead;

/// What a GET or HEAD gets of a file that stands for itself.
pub(super) fn choose<'s>(
    manifest: &Manifest,
    entry: Entry<'s>,
    role: Role,
    request: RequestHead<'_>,
) -> Answer<'s> {
    let content = |variant, extent| Answer::Content(Content { entry, role, variant, extent });
    let identity = Validators::of(manifest, &entry, None);
    let range = requested_range(&entry, &identity, request);
    let variant = match negotiate(request.headers, &entry) {
        // Ranges are taken out of the file as it was built, whatever else the client would take.
        _ if range != RangeRequest::Whole => None,
        Negotiated::Identity => None,
        Negotiated::Variant(variant) => Some(variant),
        Negotiated::Nothing => return Answer::NotAcceptable,
    };
    let validators = match variant {
        None => identity,
        Some(variant) => Validators::of(manifest, &entry, Some(variant.coding)),
    };
    if !validators.are_as_demanded(request.headers) {
        return Answer::PreconditionFailed;
    }
    if validators.are_met_by(request.headers) {
        return content(variant, Extent::NotModified);
    }
    match range {
        RangeRequest::Whole => content(variant, Extent::Whole),
        RangeRequest::Part(ranges) => content(None, Extent::Part(ranges)),
        RangeRequest::NotSatisfiable => content(None, Extent::NotSatisfiable),
    }
}

/// A page that stands in for something else: no conditions and no ranges, which apply to what would be a 200
/// (RFC 9110 §13.2.1), and never a refusal for its coding, since the status is what matters.
pub(super) fn whole<'s>(entry: Entry<'s>, role: Role, request: RequestHead<'_>) -> Content<'s> {
    let variant: Option<Variant> = match negotiate(request.headers, &entry) {
        Negotiated::Variant(variant) => Some(variant),
        Negotiated::Identity | Negotiated::Nothing => None,
    };
    Content { entry, role, variant, extent: Extent::Whole }
}

/// RFC 9110 §14.2: only GET has ranges, and who refuses the identity gets none.
fn requested_range(entry: &Entry<'_>, identity: &Validators, request: RequestHead<'_>) -> RangeRequest {
    let has_range = request.method == Method::GET && request.headers.contains_key(RANGE);
    if !has_range || !identity.allow_range(request.headers) || refuses_identity(request.headers) {
        return RangeRequest::Whole;
    }
    range::requested(request.headers, entry.size())
}
