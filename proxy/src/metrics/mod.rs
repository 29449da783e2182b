//! What an edge counts about itself. Written by every part, read by the admin listener.
//!
//! No name is looked up and nothing is locked or allocated while counting: 100,000 requests a second on a core
//! leave no room for it. `prometheus-client` only spells the text ([`exposition`]); its own histogram has a lock.

mod cells;
pub(crate) mod exposition;
mod labels;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use loggia_types::EventPosition;

pub(crate) use self::cells::Counters;
use self::cells::{Histogram, Sharded};
pub(crate) use self::labels::*;
use crate::connection::counters::Counters as TurnedAway;
use crate::disk::Room;

const METHODS: usize = MethodClass::ALL.len();
const CACHES: usize = CacheResult::ALL.len();

#[derive(Debug)]
pub(crate) struct Metrics {
    started: Instant,
    started_at: SystemTime,
    hot: Sharded<Hot>,
    pub(crate) origin_faults: Counters<OriginFault>,
    pub(crate) answers_cut: Counters<CutBy>,
    /// By the deployment before, since the manifest of the present one could not be read.
    pub(crate) answers_outdated: AtomicU64,
    pub(crate) route_answers: Counters<RouteAnswer>,
    pub(crate) manifest_reads: Counters<ManifestRead>,
    pub(crate) disk_manifests: Arc<DiskUse>,
    pub(crate) disk_bodies: Arc<DiskUse>,
    pub(crate) handshake_failures: Counters<HandshakeFailure>,
    pub(crate) log_lines: Counters<LogLine>,
    pub(crate) certificates: Certificates,
    /// What never became a request of a site.
    pub(crate) turned_away: Arc<TurnedAway>,
    connections: Counters<Listener>,
    connections_accepted: Counters<Listener>,
    events_connected: AtomicBool,
    events_position: AtomicU64,
    api: LastHeard,
    store: Failures,
}

/// What every request touches.
#[derive(Debug)]
struct Hot {
    requests: [[[AtomicU64; CACHES]; METHODS]; STATUSES.len()],
    durations: [Histogram; CACHES],
    origin_head: Histogram,
    resolved: [AtomicU64; Resolved::ALL.len()],
    sent_bytes: AtomicU64,
}

impl Default for Hot {
    fn default() -> Self {
        Self {
            requests: std::array::from_fn(|_| Default::default()),
            durations: Default::default(),
            origin_head: Histogram::default(),
            resolved: Default::default(),
            sent_bytes: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// For so many threads that serve; 0 is one for each core.
    pub(crate) fn new(threads: usize) -> Arc<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores() } else { threads };
        Arc::new(Self {
            started: Instant::now(),
            started_at: SystemTime::now(),
            hot: Sharded::new(threads),
            origin_faults: Counters::default(),
            answers_cut: Counters::default(),
            answers_outdated: AtomicU64::new(0),
            route_answers: Counters::default(),
            manifest_reads: Counters::default(),
            disk_manifests: Arc::default(),
            disk_bodies: Arc::default(),
            handshake_failures: Counters::default(),
            log_lines: Counters::default(),
            certificates: Certificates::default(),
            turned_away: Arc::default(),
            connections: Counters::default(),
            connections_accepted: Counters::default(),
            events_connected: AtomicBool::new(false),
            events_position: AtomicU64::new(0),
            api: LastHeard::default(),
            store: Failures::default(),
        })
    }

    /// Once for each request, at its end.
    pub(crate) fn request(
        &self,
        status: Option<u16>,
        method: MethodClass,
        cache: CacheResult,
        sent_bytes: u64,
        duration: Duration,
    ) {
        let hot = self.hot.mine();
        hot.requests[status_index(status)][method.index()][cache.index()].fetch_add(1, Ordering::Relaxed);
        hot.durations[cache.index()].observe(duration);
        hot.sent_bytes.fetch_add(sent_bytes, Ordering::Relaxed);
    }

    pub(crate) fn resolved(&self, how: Resolved) {
        self.hot.mine().resolved[how.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// The head of the store's answer came, and was right.
    pub(crate) fn origin_head(&self, duration: Duration) {
        self.hot.mine().origin_head.observe(duration);
        self.store.succeeded();
    }

    pub(crate) fn origin_fault(&self, fault: OriginFault) {
        self.origin_faults.count(fault);
        // The others are about one object, or about us.
        if matches!(
            fault,
            OriginFault::Connect | OriginFault::Timeout | OriginFault::Broken | OriginFault::Status
        ) {
            self.store.failed(self.started);
        }
    }

    pub(crate) fn manifest_read(&self, read: ManifestRead) {
        self.manifest_reads.count(read);
        match read {
            ManifestRead::Found | ManifestRead::Missing => self.store.succeeded(),
            ManifestRead::Failed => self.store.failed(self.started),
        }
    }

    pub(crate) fn route_answer(&self, answer: RouteAnswer) {
        self.route_answers.count(answer);
        if answer != RouteAnswer::Failed {
            self.api.heard(self.started);
        }
    }

    pub(crate) fn events_connected(&self) {
        self.events_connected.store(true, Ordering::Relaxed);
        self.api.heard(self.started);
    }

    pub(crate) fn events_lost(&self) {
        if self.events_connected.swap(false, Ordering::Relaxed) {
            self.api.heard(self.started);
        }
    }

    pub(crate) fn event(&self, position: EventPosition) {
        self.events_position.store(position.0, Ordering::Relaxed);
    }

    /// For how long the api has been silent, with the time since the start when it never spoke; `None` while
    /// its events are followed.
    pub(crate) fn api_silent_for(&self) -> Option<Duration> {
        let last = Duration::from_millis(self.api.0.load(Ordering::Relaxed).saturating_sub(1));
        let is_connected = self.events_connected.load(Ordering::Relaxed);
        (!is_connected).then(|| self.started.elapsed().saturating_sub(last))
    }

    pub(crate) fn was_api_heard(&self) -> bool {
        self.api.0.load(Ordering::Relaxed) != 0
    }

    /// Failures of the store without a success between them, and the time since the last one.
    pub(crate) fn store_failures(&self) -> (u32, Duration) {
        let last = Duration::from_millis(self.store.last_ms.load(Ordering::Relaxed));
        (self.store.in_row.load(Ordering::Relaxed), self.started.elapsed().saturating_sub(last))
    }

    /// Counts a connection as open until the answer is dropped.
    pub(crate) fn connection_opened(self: &Arc<Self>, is_tls: bool) -> OpenConnection {
        let listener = if is_tls { Listener::Https } else { Listener::Http };
        self.connections.count(listener);
        self.connections_accepted.count(listener);
        OpenConnection { metrics: Arc::clone(self), listener }
    }
}

#[derive(Debug)]
pub(crate) struct OpenConnection {
    metrics: Arc<Metrics>,
    listener: Listener,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.metrics.connections.uncount(self.listener);
    }
}

/// A folder on disk: what was asked of it, and how full it is.
#[derive(Debug, Default)]
pub(crate) struct DiskUse {
    pub(crate) reads: Counters<DiskRead>,
    pub(crate) writes: Counters<DiskWrite>,
    files: AtomicU64,
    bytes: AtomicU64,
    /// 0: there is none.
    bytes_max: AtomicU64,
}

impl DiskUse {
    pub(crate) fn set_max(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    pub(crate) fn set_used(&self, used: Room) {
        self.files.store(used.files, Ordering::Relaxed);
        self.bytes.store(used.bytes, Ordering::Relaxed);
    }
}

/// How it stands with the certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CertificateCounts {
    pub(crate) used: u64,
    /// Pairs of files that cannot be used as they are.
    pub(crate) faulty: u64,
    /// When the first of those in use ends, as Unix time.
    pub(crate) first_end: Option<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Certificates(Mutex<CertificateCounts>);

impl Certificates {
    pub(crate) fn set(&self, counts: CertificateCounts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    fn get(&self) -> CertificateCounts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds after the start plus one; 0 is never.
#[derive(Debug, Default)]
struct LastHeard(AtomicU64);

impl LastHeard {
    fn heard(&self, started: Instant) {
        self.0.store(millis_since(started).saturating_add(1), Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Failures {
    in_row: AtomicU32,
    last_ms: AtomicU64,
}

impl Failures {
    /// Every answer of the store comes by here: it only writes when there is something to change.
    fn succeeded(&self) {
        if self.in_row.load(Ordering::Relaxed) != 0 {
            self.in_row.store(0, Ordering::Relaxed);
        }
    }

    fn failed(&self, started: Instant) {
        self.last_ms.store(millis_since(started), Ordering::Relaxed);
        self.in_row.fetch_add(1, Ordering::Relaxed);
    }
}

fn millis_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
