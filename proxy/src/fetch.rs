//! One object on its way from the store to a client, and the checks that it is the right one.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap};
use http::response::Parts;
use http::{Response, StatusCode};
use loggia_serve::decide::ByteRange;
use loggia_types::content_hash::ContentHasher;
use loggia_types::{ContentHash, ObjectKey};
use pingora::{Error, ErrorType};

use crate::bodies::Source;
use crate::metrics::OriginFault;

/// Why what the store sends must not reach the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the store answered {0}")]
    Status(StatusCode),
    #[error("the store has {found} bytes where the manifest says {expected}")]
    Size { found: String, expected: u64 },
    #[error("the store sends another range than it was asked for")]
    Range,
    #[error("the content is not what was deployed")]
    Content,
}

impl Fault {
    pub(crate) fn kind(&self) -> OriginFault {
        match self {
            Self::Status(StatusCode::NOT_FOUND) => OriginFault::Missing,
            Self::Status(_) => OriginFault::Status,
            Self::Size { .. } | Self::Range | Self::Content => OriginFault::Content,
        }
    }

    pub(crate) fn into_error(self) -> Box<Error> {
        Error::explain(ErrorType::HTTPStatus(StatusCode::SERVICE_UNAVAILABLE.as_u16()), self.to_string())
    }
}

pub(crate) struct Fetch {
    status: StatusCode,
    headers: HeaderMap,
    key: ObjectKey,
    range: Option<ByteRange>,
    file_bytes: u64,
    hash: ContentHash,
    /// Bytes that came, and their hash when the whole file is sent.
    received: u64,
    hasher: ContentHasher,
}

impl Fetch {
    /// The bytes of `source`, all of them or those of `range`, below `head`.
    pub(crate) fn new(head: Parts, source: Source, range: Option<ByteRange>) -> Self {
        Self {
            status: head.status,
            headers: head.headers,
            key: source.object,
            range,
            file_bytes: source.size,
            hash: source.key.hash,
            received: 0,
            hasher: ContentHasher::default(),
        }
    }

    pub(crate) fn key(&self) -> &ObjectKey {
        &self.key
    }

    pub(crate) fn range(&self) -> Option<ByteRange> {
        self.range
    }

    /// Status and headers of our answer.
    pub(crate) fn answer(&mut self) -> (StatusCode, &mut HeaderMap) {
        (self.status, &mut self.headers)
    }

    /// The head of our answer.
    pub(crate) fn head(&self) -> Parts {
        let mut parts = Response::new(()).into_parts().0;
        parts.status = self.status;
        parts.headers = self.headers.clone();
        parts
    }

    /// Before each try.
    pub(crate) fn restart(&mut self) {
        self.received = 0;
        self.hasher = ContentHasher::default();
    }

    /// Checks the head of the store's answer against the manifest.
    pub(crate) fn check_head(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), Fault> {
        check_head(status, headers, self.range, self.file_bytes)
    }

    /// Checks a piece of the body before it is passed on: the last piece of a file with another hash is kept
    /// back, so that no client ever takes it for whole.
    pub(crate) fn check_piece(&mut self, piece: &[u8]) -> Result<(), Fault> {
        self.received += piece.len() as u64;
        if self.received > self.body_bytes() {
            return Err(Fault::Content);
        }
        if self.range.is_some() {
            return Ok(());
        }
        self.hasher.update(piece);
        if self.received == self.file_bytes && std::mem::take(&mut self.hasher).finish() != self.hash {
            return Err(Fault::Content);
        }
        Ok(())
    }

    fn body_bytes(&self) -> u64 {
        self.range.map_or(self.file_bytes, ByteRange::size_bytes)
    }
}

/// Whether the store answers with what it was asked for, of a file of `file_bytes`.
pub(crate) fn check_head(
    status: StatusCode,
    headers: &HeaderMap,
    range: Option<ByteRange>,
    file_bytes: u64,
) -> Result<(), Fault> {
    let expected_status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    if status != expected_status {
        return Err(Fault::Status(status));
    }
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    let expected = range.map_or(file_bytes, ByteRange::size_bytes);
    if value(CONTENT_LENGTH).parse() != Ok(expected) {
        return Err(Fault::Size { found: value(CONTENT_LENGTH).to_owned(), expected });
    }
    match range {
        Some(ByteRange { first, last })
            if value(CONTENT_RANGE) != format!("bytes {first}-{last}/{file_bytes}") =>
        {
            Err(Fault::Range)
        }
        _ => Ok(()),
    }
}
