//! An object read from the store over the proxy library's pooled connections, piece by piece.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use loggia_serve::decide::ByteRange;
use loggia_types::ObjectKey;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use super::{IDLE_TIMEOUT, Origin, READ_TIMEOUT, WRITE_TIMEOUT, fault_of};
use crate::fetch::check_head;
use crate::metrics::OriginFault;

/// The store may close an idle connection just as it is used again. Those that are left may all be as old.
const STALE_CONNECTIONS_MAX: usize = 3;

/// Such a connection fails within a round trip. One that fails later was good, and it is the store that is not: asking it
/// again at once, for everybody who waits, would be the last thing that it needs.
const STALE_WITHIN: Duration = Duration::from_millis(500);

/// Why an object could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause}")]
pub(crate) struct ReadError {
    pub kind: OriginFault,
    cause: String,
}

impl ReadError {
    pub(crate) fn new(kind: OriginFault, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into() }
    }

    fn of(error: &Error) -> Self {
        Self::new(fault_of(error), error.to_string())
    }
}

/// The rest of an object, on its way.
pub(crate) struct Reading<'o> {
    origin: &'o Origin,
    peer: HttpPeer,
    session: HttpSession,
    left: u64,
}

impl Origin {
    /// Asks for an object of `size` bytes, from byte `first` on. Its status and size have been checked when this returns.
    pub(crate) async fn read(
        &self,
        key: &ObjectKey,
        first: u64,
        size: u64,
    ) -> Result<Reading<'_>, ReadError> {
        let peer = self.peer().await.map_err(|cause| {
            ReadError::new(OriginFault::Connect, format!("finding the store's address: {cause}"))
        })?;
        let range = (first > 0).then(|| ByteRange { first, last: size.saturating_sub(1) });
        let mut stale = 0;
        let session = loop {
            let (session, is_reused) =
                self.connector.get_http_session(&peer).await.map_err(|error| ReadError::of(&error))?;
            let asked = Instant::now();
            match self.ask(session, key, range).await {
                Ok(session) => break session,
                Err(_) if is_reused && stale < STALE_CONNECTIONS_MAX && asked.elapsed() < STALE_WITHIN => {
                    stale += 1;
                }
                Err(error) => return Err(ReadError::of(&error)),
            }
        };
        let head = session.response_header().ok_or_else(|| broken("the store sent no head"))?;
        check_head(head.status, &head.headers, range, size)
            .map_err(|fault| ReadError::new(fault.kind(), fault.to_string()))?;
        Ok(Reading { origin: self, peer, session, left: size - first })
    }

    async fn ask(
        &self,
        mut session: HttpSession,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> pingora::Result<HttpSession> {
        let request = self.request(key, range, SystemTime::now()).map_err(|cause| {
            Error::explain(ErrorType::InternalError, format!("signing a request: {cause}"))
        })?;
        session.set_read_timeout(Some(READ_TIMEOUT));
        session.set_write_timeout(Some(WRITE_TIMEOUT));
        session.write_request_header(Box::new(request)).await?;
        session.finish_request_body().await?;
        session.read_response_header().await?;
        Ok(session)
    }
}

impl Reading<'_> {
    /// The next piece; `None` when all of it has come.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        if self.left == 0 {
            return Ok(None);
        }
        match self.session.read_response_body().await {
            Ok(Some(piece)) => {
                let left = self.left.checked_sub(piece.len() as u64);
                self.left = left.ok_or_else(|| {
                    ReadError::new(OriginFault::Content, "the store sends more than it announced")
                })?;
                Ok(Some(piece))
            }
            Ok(None) => Err(broken("the store's answer is cut short")),
            Err(error) => Err(ReadError::of(&error)),
        }
    }

    /// Leaves the connection to the next one who asks.
    pub(crate) async fn finish(mut self) {
        // The library sees the end of the answer with one more read, which does not wait.
        if self.left == 0 && matches!(self.session.read_response_body().await, Ok(None)) {
            if let HttpSession::H1(session) = &mut self.session {
                // It closes connections unless it is asked whether the answer forbids to go on.
                session.respect_keepalive();
            }
            self.origin.connector.release_http_session(self.session, &self.peer, Some(IDLE_TIMEOUT)).await;
        }
    }
}

fn broken(cause: &str) -> ReadError {
    ReadError::new(OriginFault::Broken, cause)
}
