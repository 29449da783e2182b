//! What is noted about a request on its way, and what becomes of the notes at its end.
//!
//! The parts that handle a request fill in a [`Record`]; [`Observer::finish`] counts it and writes it to the
//! access log, once, whatever the end was. Nothing in a record decides an answer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderName, HeaderValue};
use loggia_types::route::Route;
use pingora::protocols::http::ServerSession;

use crate::access_log::{AccessLog, Line};
use crate::metrics::{CacheResult, CutBy, MethodClass, Metrics, OriginFault};

/// On every answer, and in the access log: what a visitor reports is found again by it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Debug)]
pub(crate) struct Record {
    pub started: Instant,
    pub id: RequestId,
    pub cache: CacheResult,
    /// Whose site it is.
    pub route: Option<Arc<Route>>,
    /// The redirect or header rule that made the answer.
    pub rule: Option<String>,
    /// When the store was last asked.
    pub origin_asked: Option<Instant>,
    pub origin_fault: Option<OriginFault>,
    /// The answer ended before it was whole.
    pub cut: Option<CutBy>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            id: RequestId(rand::random()),
            cache: CacheResult::None,
            route: None,
            rule: None,
            origin_asked: None,
            origin_fault: None,
            cut: None,
        }
    }
}

/// Made here for every request. One that a client sends is not taken over: whoever chooses it could make their
/// requests look like another's in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(u128);

impl RequestId {
    /// Evenly spread from 0 up to 1, the same for the same request.
    pub(crate) fn sample(self) -> f64 {
        #[allow(clippy::cast_possible_truncation, reason = "any 32 of its random bits will do")]
        let bits = self.0 as u32;
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    pub(crate) fn header(self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.to_string()).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Where records go.
pub(crate) struct Observer {
    pub metrics: Arc<Metrics>,
    pub access_log: AccessLog,
}

impl Observer {
    /// The store was asked, and answered with what it should.
    pub(crate) fn origin_answered(&self, record: &Record) {
        if let Some(asked) = record.origin_asked {
            self.metrics.origin_head(asked.elapsed());
        }
    }

    pub(crate) fn finish(&self, session: &ServerSession, client: Option<IpAddr>, record: &Record) {
        let head = session.req_header();
        let status = session.response_written().map(|response| response.status.as_u16());
        let sent_bytes = session.body_bytes_sent() as u64;
        let duration = record.started.elapsed();
        let method = MethodClass::of(&head.method);
        self.metrics.request(status, method, record.cache, sent_bytes, duration);
        if let Some(fault) = record.origin_fault {
            self.metrics.origin_fault(fault);
        }
        if let Some(by) = record.cut {
            self.metrics.answers_cut.count(by);
        }
        if self.access_log.wants(status, record.id) {
            self.access_log.write(&Line::new(head, client, status, sent_bytes, duration, record));
        }
    }
}
