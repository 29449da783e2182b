//! Whole answers in memory: what was decided once for a request is sent again to everybody who asks the same.
//!
//! Nothing is decided here. The proxy's phases decide, by the rules of serving, and leave what they sent; an answer is
//! used again only while its hostname shows the same route ([`Routes::is_current`]) and its bytes are still in memory.
//! What depends on more than a [`Question`] (a password, a condition of a rule) is never left here.

mod question;
mod recent;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use bytes::Bytes;
use foldhash::fast::RandomState;
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use moka::sync::Cache;

pub(crate) use self::question::{Audience, Fields, Key, Question};
use self::recent::Recent;
pub(crate) use self::wire::Extra;
use crate::access_log::{Line, Repeated};
use crate::bodies::{Bodies, Body};
use crate::metrics::CacheResult;
use crate::routes::{Resolved, Routes};

/// Of all answers. One is about 3 KiB, so this is some 20,000 addresses; what is not here is decided again, from memory too.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Header names and values are shared or short; their map is not.
const HEADER_BYTES: usize = 96;
/// What is logged of it, and the cache's own records.
const OVERHEAD_BYTES: usize = 1024;

/// Every sixteenth use of an answer is told to the cache: counting is most of what a look-up costs, and sixteen of one that
/// is asked for all the time say as much as one.
const TOUCH_EVERY: u64 = 16;

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
    key: Key,
    uses: AtomicU64,
    /// Made when it is first sent over HTTP/1.
    wire: OnceLock<Bytes>,
    /// Made when it is first logged.
    logged: OnceLock<Repeated>,
}

/// How an answer is remembered for whoever asks the same.
pub(crate) struct Keep {
    pub key: Key,
    pub resolved: Resolved,
    pub rule: Option<String>,
}

impl Answer {
    pub(crate) fn new(Keep { key, resolved, rule }: Keep, head: &Parts, payload: Payload) -> Self {
        let (status, headers) = (head.status, head.headers.clone());
        let (wire, logged) = (OnceLock::new(), OnceLock::new());
        Self { status, headers, payload, resolved, rule, key, uses: AtomicU64::new(0), wire, logged }
    }

    /// The head as HTTP/1.1, up to the lines that differ each time.
    pub(crate) fn wire(&self) -> &Bytes {
        self.wire.get_or_init(|| wire::head(self.status, &self.headers))
    }

    /// What is the same in all its lines of the log, of which this is one.
    pub(crate) fn logged(&self, line: &Line<'_>) -> &Repeated {
        self.logged.get_or_init(|| line.repeated())
    }

    fn weight(&self) -> u32 {
        let values: usize = self.headers.values().map(http::HeaderValue::len).sum();
        let inline = match &self.payload {
            Payload::Inline(bytes) => bytes.len(),
            Payload::File(_) => 0,
        };
        // Values are held twice, in the map and as they are sent.
        let bytes = self.key.as_bytes().len()
            + inline
            + 2 * values
            + self.headers.len() * HEADER_BYTES
            + OVERHEAD_BYTES;
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
    recent: Recent,
}

impl Answers {
    pub(crate) fn new() -> Self {
        let known = Cache::builder()
            .max_capacity(BYTES_MAX)
            .weigher(|_: &Key, answer: &Arc<Answer>| answer.weight())
            .build_with_hasher(RandomState::default());
        Self { known, recent: Recent::new() }
    }

    pub(crate) fn keep(&self, answer: Answer) {
        self.known.insert(answer.key.clone(), Arc::new(answer));
    }

    /// The answer to a question, if it is known, right, and at hand.
    pub(crate) fn find(
        &self,
        question: Question<'_>,
        audience: Audience,
        routes: &Routes,
        bodies: &Bodies,
        now: Instant,
    ) -> Option<Hit> {
        let answer = self.known(question)?;
        if !routes.is_current(&answer.resolved, audience, now) {
            return None;
        }
        let (body, cache, extra) = match &answer.payload {
            Payload::Inline(bytes) => (bytes.clone(), CacheResult::None, Extra::default()),
            Payload::File(body) => {
                let body = body.upgrade().filter(|body| !body.is_stale())?;
                let age_secs = body.age_secs(now);
                let extra = Extra { age_secs: Some(age_secs), hits: Some(bodies.hit(&body, age_secs)) };
                (body.bytes.clone(), CacheResult::Hit, extra)
            }
        };
        Some(Hit { answer, body, cache, extra })
    }

    fn known(&self, question: Question<'_>) -> Option<Arc<Answer>> {
        let place = self.recent.place(question.as_bytes());
        if let Some(answer) = self.recent.get(place, question.as_bytes())
            && !answer.uses.fetch_add(1, Ordering::Relaxed).is_multiple_of(TOUCH_EVERY)
        {
            return Some(answer);
        }
        let answer = self.known.get(question.as_bytes())?;
        self.recent.put(place, &answer);
        Some(answer)
    }

    /// How many there are, and the bytes that they use.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.known.run_pending_tasks();
        (self.known.entry_count(), self.known.weighted_size())
    }
}
