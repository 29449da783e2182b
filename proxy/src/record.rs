//! What is noted about a request on its way, and what becomes of the notes at its end.
//!
//! The parts that handle a request fill in a [`Record`]; [`Observer::finish`] counts it and writes it to the
//! access log, once, whatever the end was. Nothing in a record decides an answer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::{REFERER, USER_AGENT};
use http::{HeaderName, HeaderValue, Version};
use loggia_types::Hostname;
use loggia_types::route::Route;
use pingora::protocols::http::ServerSession;

use crate::access_log::{AccessLog, Line};
use crate::answers::Hit;
use crate::at_hand::Plain;
use crate::metrics::{CacheResult, CutBy, MethodClass, Metrics, OriginFault};
use crate::request;
use loggia_runtime::ClientAddress;

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
            id: RequestId::random(),
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

/// The two digits of each byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut hex = [[0; 2]; 256];
    let mut byte = 0;
    while byte < hex.len() {
        hex[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    hex
};

impl RequestId {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    /// Evenly spread from 0 up to 1, the same for the same request.
    pub(crate) fn sample(self) -> f64 {
        #[allow(clippy::cast_possible_truncation, reason = "any 32 of its random bits will do")]
        let bits = self.0 as u32;
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    /// 32 digits.
    pub(crate) fn hex(self) -> [u8; 32] {
        let mut hex = [0; 32];
        for (pair, byte) in hex.as_chunks_mut().0.iter_mut().zip(self.0.to_be_bytes()) {
            *pair = HEX[usize::from(byte)];
        }
        hex
    }

    pub(crate) fn header(self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.hex()).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "other",
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

    /// A request that was answered from what was at hand.
    pub(crate) fn finish_hit(
        &self,
        plain: &Plain<'_>,
        hit: &Hit,
        client: ClientAddress,
        id: RequestId,
        started: Instant,
        is_whole: bool,
    ) {
        let status = hit.answer.status.as_u16();
        let sent_bytes = if is_whole { hit.body.len() as u64 } else { 0 };
        let duration = started.elapsed();
        self.metrics.request(Some(status), MethodClass::Get, hit.cache, sent_bytes, duration);
        if !is_whole {
            self.metrics.answers_cut.count(CutBy::Client);
        }
        if self.access_log.wants(Some(status), id) {
            let route = &hit.answer.resolved.route;
            let line = Line {
                id,
                client: Some(client.ip),
                method: "GET",
                host: Some(route.hostname.as_str()),
                target: plain.target,
                protocol: plain.protocol,
                status: Some(status),
                bytes: sent_bytes,
                duration,
                cache: hit.cache,
                route: Some(route),
                rule: hit.answer.rule.as_deref(),
                cut: (!is_whole).then_some(CutBy::Client),
                origin_fault: None,
                user_agent: plain.user_agent,
                referer: plain.referer,
                repeated: None,
            };
            let repeated = is_whole.then(|| hit.answer.logged(&line));
            self.access_log.write(&Line { repeated, ..line });
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
            let hostname = request::hostname(head).ok();
            self.access_log.write(&Line {
                id: record.id,
                client,
                method: head.method.as_str(),
                host: hostname.as_ref().map(Hostname::as_str),
                target: request::target(head),
                protocol: protocol(head.version),
                status,
                bytes: sent_bytes,
                duration,
                cache: record.cache,
                route: record.route.as_deref(),
                rule: record.rule.as_deref(),
                cut: record.cut,
                origin_fault: record.origin_fault,
                user_agent: head.headers.get(USER_AGENT).map(HeaderValue::as_bytes),
                referer: head.headers.get(REFERER).map(HeaderValue::as_bytes),
                repeated: None,
            });
        }
    }
}
