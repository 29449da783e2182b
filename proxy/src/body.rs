//! Request bodies: a site takes none, and none may be left behind an answer.
//!
//! Those of HTTP/1 are here already, whole and small (`connection/body.rs`); those of HTTP/2 come on their stream.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, HeaderValue};
use pingora::protocols::http::ServerSession;

use loggia_serve::pages::Page;

use crate::connection::BODY_BYTES_MAX;
use crate::connection::framing::{self, Framing};
use crate::request::Refusal;

/// For the whole body. It holds no connection up, so a stream has less patience than a connection.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads and drops the body, so that an answer is not taken for a reset of it.
pub(crate) async fn discard(session: &mut ServerSession) -> Result<(), Page> {
    let declared = declared_bytes(session).map_err(Refusal::page)?;
    if session.is_body_empty() {
        return Ok(());
    }
    if declared > BODY_BYTES_MAX as u64 {
        return Err(Refusal::BodyTooLarge.page());
    }
    match tokio::time::timeout(DISCARD_TIMEOUT, read_all(session)).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::BodyTooLarge.page()),
        Err(_) => Err(Refusal::Slow.page()),
    }
}

/// What the request says about its body, as strictly as on HTTP/1.
fn declared_bytes(session: &ServerSession) -> Result<u64, Refusal> {
    let lengths = session.req_header().headers.get_all(CONTENT_LENGTH).into_iter();
    match framing::of(lengths.map(HeaderValue::as_bytes), std::iter::empty(), false)? {
        Framing::Length(bytes) => Ok(bytes),
        Framing::Nothing | Framing::Chunked => Ok(0),
    }
}

/// Whether the body ended within the limit.
async fn read_all(session: &mut ServerSession) -> bool {
    let mut read = 0;
    loop {
        match session.read_request_body().await {
            Ok(Some(piece)) => read += piece.len(),
            Ok(None) => return true,
            Err(_) => return false,
        }
        if read > BODY_BYTES_MAX {
            return false;
        }
    }
}
