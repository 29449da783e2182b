//! The fast way for a stream: an answer that is at hand is queued at once, without a task and the proxy's phases.

use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{AGE, CONTENT_LENGTH, DATE, HOST, LINK, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, Request, Response};
use pingora::protocols::http::date::get_cached_date;

use crate::admission::FASTLY_DEBUG;
use crate::answers::{Fields, Hit};
use crate::at_hand::{Peer, Plain};
use crate::cache_headers::X_CACHE_HITS;
use crate::hints;
use crate::record::{REQUEST_ID, RequestId};
use crate::request::{HEADERS_MAX, TARGET_BYTES_MAX};
use crate::service::EdgeService;

/// A larger body has to be sent at the client's pace, which takes a task. All streams of a connection may have 1.6 MiB
/// waiting so.
const QUEUED_BYTES_MAX: usize = 16 * 1024;

/// Answers a stream; `false` when that is left to the phases.
pub(super) fn answer(
    edge: &EdgeService,
    peer: &Peer,
    request: &Request<RecvStream>,
    respond: &mut SendResponse<Bytes>,
    buffer: &mut Vec<u8>,
) -> bool {
    let started = Instant::now();
    let Some(plain) = plain(request) else { return false };
    // A navigation gets the links of a page ahead of it.
    let wants_hints = !peer.is_hop && hints::act_on_them(request.headers());
    let found = edge.at_hand(&plain, peer, started, buffer).filter(|(hit, _)| {
        hit.body.len() <= QUEUED_BYTES_MAX && !(wants_hints && hit.answer.headers.contains_key(LINK))
    });
    let Some((hit, client)) = found else { return false };
    let id = RequestId::random();
    let is_whole = send(respond, &hit, id).is_ok();
    edge.observer.finish_hit(&plain, &hit, client, id, started, is_whole);
    true
}

fn send(respond: &mut SendResponse<Bytes>, hit: &Hit, id: RequestId) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    *response.status_mut() = hit.answer.status;
    let mut headers = HeaderMap::with_capacity(hit.answer.headers.len() + 4);
    headers.clone_from(&hit.answer.headers);
    headers.insert(DATE, get_cached_date());
    headers.extend(id.header().map(|id| (REQUEST_ID, id)));
    headers.extend(hit.extra.age_secs.map(|age| (AGE, age.into())));
    headers.extend(hit.extra.hits.map(|hits| (X_CACHE_HITS, hits.into())));
    *response.headers_mut() = headers;
    let ends = hit.body.is_empty();
    let mut stream = respond.send_response(response, ends)?;
    if !ends && let Err(error) = stream.send_data(hit.body.clone(), true) {
        stream.send_reset(Reason::INTERNAL_ERROR);
        return Err(error);
    }
    Ok(())
}

/// As `head::plain` of HTTP/1: nothing is refused, and whatever needs a closer look is left to the phases.
fn plain(request: &Request<RecvStream>) -> Option<Plain<'_>> {
    let (head, body) = (request, request.body());
    let headers = head.headers();
    let is_plain = *head.method() == Method::GET
        && body.is_end_stream()
        && headers.len() <= HEADERS_MAX
        && [HOST, CONTENT_LENGTH, FASTLY_DEBUG].iter().all(|name| !headers.contains_key(name));
    let target = head.uri().path_and_query()?.as_str().as_bytes();
    if !is_plain || target.len() > TARGET_BYTES_MAX {
        return None;
    }
    Some(Plain {
        protocol: "HTTP/2",
        host: head.uri().authority()?.as_str().as_bytes(),
        target,
        fields: Fields::of(headers),
        user_agent: headers.get(USER_AGENT).map(http::HeaderValue::as_bytes),
        referer: headers.get(REFERER).map(http::HeaderValue::as_bytes),
        forwarded_for: only(headers, "x-forwarded-for")?,
        forwarded_proto: only(headers, "x-forwarded-proto")?,
    })
}

/// The one line of a header, or that there is none; `None` when there are several.
fn only<'h>(headers: &'h HeaderMap, name: &'static str) -> Option<Option<&'h [u8]>> {
    let mut lines = headers.get_all(HeaderName::from_static(name)).into_iter();
    let first = lines.next().map(http::HeaderValue::as_bytes);
    lines.next().is_none().then_some(first)
}
