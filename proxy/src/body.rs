//! Request bodies: a site takes none, and none may be left on a connection that is used again.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, EXPECT};
use pingora::protocols::http::ServerSession;

use crate::pages::Page;

/// What a stray form or JSON body has. Reading it keeps the connection; more is refused and the connection closed.
const DISCARD_BYTES_MAX: usize = 64 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads and drops the body, so that what follows it can't be taken for part of it, nor it for a request.
pub(crate) async fn discard(session: &mut ServerSession) -> Result<(), Page> {
    if session.is_body_empty() {
        return Ok(());
    }
    if declared_bytes(session).is_some_and(|bytes| bytes > DISCARD_BYTES_MAX) {
        return Err(Page::body_too_large());
    }
    if session.get_header(EXPECT).is_some() {
        // The client waits for our word before it sends (RFC 9110 §10.1.1).
        session.write_continue_response().await.map_err(|_| Page::body_too_large())?;
    }
    match tokio::time::timeout(DISCARD_TIMEOUT, read_all(session)).await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Page::body_too_large()),
    }
}

fn declared_bytes(session: &ServerSession) -> Option<usize> {
    session.get_header(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
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
        if read > DISCARD_BYTES_MAX {
            return false;
        }
    }
}
