//! A file on its way to a client, out of the cache or through it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::response::Parts;
use loggia_serve::decide::ByteRange;
use loggia_serve::pages::Page;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};

use crate::answers::{Answer, Keep, Payload};
use crate::bodies::{Body, Found, Reader, Source};
use crate::cache_headers::{self, Served};
use crate::fetch::Fetch;
use crate::origin::ReadError;
use crate::record::{REQUEST_ID, Record};
use crate::service::{EdgeService, send};

/// For a part of a file that is not larger, all of it is fetched: the next part is then in memory.
const WHOLE_FOR_A_PART_BYTES_MAX: u64 = 1024 * 1024;

/// Of a file that is not larger, nothing is sent before all of it is there and right: a store that cuts or garbles it is
/// then a 503, and no answer that breaks off. It is what a connection holds after a round trip, so waiting for the rest
/// costs next to nothing.
const WHOLE_FIRST_BYTES_MAX: u64 = 64 * 1024;

/// A file, or one range of it.
pub(crate) struct FilePlan {
    pub head: Parts,
    pub source: Source,
    pub range: Option<ByteRange>,
    pub keep: Option<Keep>,
}

/// What became of a plan.
pub(crate) enum Sent {
    Done,
    /// Nothing was sent: the store has to be asked past the cache.
    PastCache(Box<Fetch>),
}

/// Where all of a file was had at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Memory,
    Disk,
}

impl EdgeService {
    pub(crate) async fn send_file(
        &self,
        plan: FilePlan,
        session: &mut ServerSession,
        record: &mut Record,
    ) -> pingora::Result<Sent> {
        let found = match plan.range {
            Some(_) if plan.source.size > WHOLE_FOR_A_PART_BYTES_MAX => {
                self.bodies.get_kept(&plan.source).await
            }
            _ => self.bodies.get(&plan.source),
        };
        match found {
            Found::Memory(body) => self.send_whole(plan, &body, From::Memory, session, record).await,
            Found::Coming(reader) => {
                let asked = Instant::now();
                match reader.kept().await {
                    Some(body) => self.send_whole(plan, &body, From::Disk, session, record).await,
                    None => self.send_while_it_comes(plan, reader, asked, session, record).await,
                }
            }
            Found::Elsewhere => {
                let FilePlan { mut head, source, range, .. } = plan;
                self.cache_headers.tell(&mut head, Served::Passed { origin_ms: None });
                return Ok(Sent::PastCache(Box::new(Fetch::new(head, source, range))));
            }
        }?;
        Ok(Sent::Done)
    }

    async fn send_whole(
        &self,
        plan: FilePlan,
        body: &Arc<Body>,
        from: From,
        session: &mut ServerSession,
        record: &mut Record,
    ) -> pingora::Result<()> {
        let served = Served::Memory { is_stale: body.is_stale() };
        let mut head = plan.head;
        self.cache_headers.tell(&mut head, served);
        record.cache = served.label();
        if let Some(keep) = plan.keep {
            self.answers.keep(Answer::new(keep, &head, Payload::File(Arc::downgrade(body))));
        }
        if from == From::Disk && !body.is_stale() {
            // Whoever comes next has it from memory.
            self.cache_headers.tell(&mut head, Served::Disk);
        }
        let age_secs = body.age_secs(Instant::now());
        cache_headers::count(&mut head.headers, age_secs, self.bodies.hit(body, age_secs));
        send(session, record.id, head, part(&body.bytes, plan.range)).await
    }

    async fn send_while_it_comes(
        &self,
        plan: FilePlan,
        mut reader: Reader,
        asked: Instant,
        session: &mut ServerSession,
        record: &mut Record,
    ) -> pingora::Result<()> {
        record.cache = Served::Stored { origin_ms: 0.0 }.label();
        let is_streamed = plan.range.is_none() && plan.source.size > WHOLE_FIRST_BYTES_MAX;
        // Until the first piece is there, the answer can still be another one.
        let first = match is_streamed {
            true => reader.next().await,
            false => reader.whole().await.map(|body| Some(part(&body.bytes, plan.range))),
        };
        let first = match first {
            Ok(first) => first.unwrap_or_default(),
            Err(error) => return self.send_unavailable(&error, session, record).await,
        };
        let mut head = plan.head;
        let served = Served::Stored { origin_ms: asked.elapsed().as_secs_f64() * 1000.0 };
        self.cache_headers.tell(&mut head, served);
        if !is_streamed {
            return send(session, record.id, head, first).await;
        }
        head.headers.extend(record.id.header().map(|id| (REQUEST_ID, id)));
        session.write_response_header(Box::new(ResponseHeader::from(head))).await?;
        session.write_response_body(first, false).await?;
        while let Some(piece) = reader.next().await.map_err(|error| cut(&error, record))? {
            session.write_response_body(piece, false).await?;
        }
        session.write_response_body(Bytes::new(), true).await
    }

    async fn send_unavailable(
        &self,
        error: &ReadError,
        session: &mut ServerSession,
        record: &mut Record,
    ) -> pingora::Result<()> {
        record.origin_fault = Some(error.kind);
        let (parts, body) = Page::store_unavailable().into_answer(&session.req_header().headers);
        send(session, record.id, parts, body).await
    }
}

/// The connection is cut before `Content-Length` is reached: the client sees that it is not whole.
fn cut(error: &ReadError, record: &mut Record) -> Box<Error> {
    record.origin_fault = Some(error.kind);
    record.cut = Some(crate::metrics::CutBy::Store);
    Error::explain(ErrorType::ReadError, error.to_string()).into_up()
}

fn part(bytes: &Bytes, range: Option<ByteRange>) -> Bytes {
    range.map_or_else(|| bytes.clone(), |range| range.of(bytes))
}
