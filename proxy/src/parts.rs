//! Several ranges of one file: fetched one after another and put together on the way.
//!
//! Rare (PDF viewers, download managers), so it goes through the store's ordinary client instead of the proxy's
//! pooled connections, one request a range.

use std::sync::Arc;

use http::response::Parts;
use loggia_serve::decide::ByteRange;
use loggia_serve::multipart::Multipart;
use loggia_storage::{ObjectStream, Store, StoreError};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};

use crate::bodies::{Body, Source};
use crate::record::{REQUEST_ID, RequestId};

pub(crate) struct PartsPlan {
    pub head: Parts,
    pub source: Source,
    multipart: Multipart,
}

/// Where the parts come from.
pub(crate) enum Opened {
    Memory(Arc<Body>),
    /// The first of them has begun to come.
    Store(Option<ObjectStream>),
}

impl PartsPlan {
    pub(crate) fn new(head: Parts, source: Source, multipart: Multipart) -> Self {
        Self { head, source, multipart }
    }

    /// Opens the first range: until it is there, the answer can still be another one.
    pub(crate) async fn open(&self, store: &Store) -> Result<Opened, StoreError> {
        match self.multipart.ranges().first() {
            Some(range) => self.fetch(store, *range).await.map(|stream| Opened::Store(Some(stream))),
            None => Ok(Opened::Store(None)),
        }
    }

    /// Sends the whole answer. An error in the middle cuts the connection before `Content-Length` is reached, so
    /// the client sees that it is not whole.
    pub(crate) async fn send(
        self,
        store: &Store,
        mut opened: Opened,
        session: &mut ServerSession,
        id: RequestId,
    ) -> pingora::Result<()> {
        let mut head = self.head.clone();
        head.headers.extend(id.header().map(|id| (REQUEST_ID, id)));
        session.write_response_header(Box::new(ResponseHeader::from(head))).await?;
        for range in self.multipart.ranges() {
            session.write_response_body(self.multipart.part_head(*range).into(), false).await?;
            let stream = match &mut opened {
                Opened::Memory(body) => {
                    session.write_response_body(range.of(&body.bytes), false).await?;
                    continue;
                }
                Opened::Store(stream) => stream.take(),
            };
            let stream = match stream {
                Some(stream) => stream,
                None => self.fetch(store, *range).await.map_err(|error| broken(&error))?,
            };
            pass_on(stream, range.size_bytes(), session).await?;
        }
        session.write_response_body(self.multipart.end().into(), true).await
    }

    async fn fetch(&self, store: &Store, range: ByteRange) -> Result<ObjectStream, StoreError> {
        store.open_range(&self.source.object, range.first, range.last).await
    }
}

async fn pass_on(
    mut stream: ObjectStream,
    expected: u64,
    session: &mut ServerSession,
) -> pingora::Result<()> {
    let mut left = expected;
    while let Some(piece) = stream.next().await.map_err(|error| broken(&error))? {
        left = left.checked_sub(piece.len() as u64).ok_or_else(|| broken(&"the store sends too much"))?;
        session.write_response_body(piece, false).await?;
    }
    if left > 0 { Err(broken(&"the store's answer is cut short")) } else { Ok(()) }
}

fn broken(cause: &dyn std::fmt::Display) -> Box<Error> {
    Error::explain(ErrorType::ReadError, cause.to_string()).into_up()
}
