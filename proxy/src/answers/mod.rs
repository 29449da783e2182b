//! Whole answers in memory: what was decided once for a request is sent again to everybody who asks the same.
//!
//! Nothing is decided here. The proxy's phases decide, by the rules of serving, and leave what they sent; an answer is
//! used again only while its hostname shows the same route ([`Routes::is_current`]) and its bytes are still in memory.
//! What depends on more than a [`Question`] (a password, a condition of a rule) is never left here.

mod question;
mod wire;

use std::borrow::Borrow;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use bytes::Bytes;
use foldhash::fast::RandomState;
use http::{HeaderMap, StatusCode};
use moka::sync::Cache;

pub(crate) use self::question::{Audience, Fields, Question};
pub(crate) use self::wire::Extra;
use crate::bodies::{Bodies, Body};
use crate::metrics::CacheResult;
use crate::routes::{Resolved, Routes};

/// Of all answers. One is about 3 KiB, so this is some 20,000 addresses; what is not here is decided again, from memory too.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Header names and values are shared or short; their map is not.
const HEADER_BYTES: usize = 96;
const OVERHEAD_BYTES: usize = 512;

/// What follows a head.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// A page of the platform, or nothing.
    Inline(Bytes),
    /// A file, for as long as the cache of bodies keeps it.
    File(Weak<Body>),
}

/// An answer that can be sent again.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    payload: Payload,
    pub resolved: Resolved,
    pub rule: Option<String>,
    /// Made when it is first sent over HTTP/1.
    wire: OnceLock<Bytes>,
}

impl Answer {
    pub(crate) fn new(
        status: StatusCode,
        headers: HeaderMap,
        payload: Payload,
        resolved: Resolved,
        rule: Option<String>,
    ) -> Self {
        Self { status, headers, payload, resolved, rule, wire: OnceLock::new() }
    }

    /// The head as HTTP/1.1, up to the lines that differ each time.
    pub(crate) fn wire(&self) -> &Bytes {
        self.wire.get_or_init(|| wire::head(self.status, &self.headers))
    }

    fn weight(&self, key: &[u8]) -> u32 {
        let values: usize = self.headers.values().map(http::HeaderValue::len).sum();
        let inline = match &self.payload {
            Payload::Inline(bytes) => bytes.len(),
            Payload::File(_) => 0,
        };
        // Values are held twice, in the map and as they are sent.
        let bytes = key.len() + inline + 2 * values + self.headers.len() * HEADER_BYTES + OVERHEAD_BYTES;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// An answer that is right now, with its bytes.
pub(crate) struct Hit {
    pub answer: Arc<Answer>,
    pub body: Bytes,
    pub cache: CacheResult,
    pub extra: Extra,
}

pub(crate) struct Answers {
    known: Cache<Key, Arc<Answer>, RandomState>,
}

/// The bytes of a question.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key(Box<[u8]>);

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Answers {
    pub(crate) fn new() -> Self {
        let known = Cache::builder()
            .max_capacity(BYTES_MAX)
            .weigher(|key: &Key, answer: &Arc<Answer>| answer.weight(&key.0))
            .build_with_hasher(RandomState::default());
        Self { known }
    }

    pub(crate) fn keep(&self, question: &Question, answer: Answer) {
        self.known.insert(Key(question.as_bytes().into()), Arc::new(answer));
    }

    /// The answer to a question, if it is known, right, and at hand.
    pub(crate) fn find(
        &self,
        question: &Question,
        audience: Audience,
        routes: &Routes,
        bodies: &Bodies,
        now: Instant,
    ) -> Option<Hit> {
        let answer = self.known.get(question.as_bytes())?;
        if !routes.is_current(&answer.resolved, audience, now) {
            return None;
        }
        let (body, cache, extra) = match &answer.payload {
            Payload::Inline(bytes) => (bytes.clone(), CacheResult::None, Extra::default()),
            Payload::File(body) => {
                let body = body.upgrade().filter(|body| !body.is_stale())?;
                let extra = Extra { age_secs: Some(body.age_secs(now)), hits: Some(bodies.hit(&body)) };
                (body.bytes.clone(), CacheResult::Hit, extra)
            }
        };
        Some(Hit { answer, body, cache, extra })
    }

    /// How many there are, and the bytes that they use.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.known.run_pending_tasks();
        (self.known.entry_count(), self.known.weighted_size())
    }
}
