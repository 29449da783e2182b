//! The bytes of files in memory, by what they are: never another content under one key, so nothing here can be stale.
//!
//! Every object is fetched once, however many ask for it ([`fill`]), and is only kept when it is what the manifest says.
//! The cache admits by how often something is asked for (W-TinyLFU), so a crawler that reads every file once pushes out
//! no file that visitors want.

mod fill;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use foldhash::fast::RandomState;
use loggia_serve::decide::Content;
use loggia_types::{ContentHash, ObjectKey, ProjectId};
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::fill::Fill;
pub(crate) use self::fill::Reader;
use crate::config::CacheConfig;
use crate::metrics::Metrics;
use crate::origin::Origin;

/// What a cached body costs beside its bytes: its key twice, counters, and the cache's own records.
const OVERHEAD_BYTES: u64 = 256;

/// The unit in which bytes on their way are counted.
const PERMIT_BYTES: u64 = 1024;

/// Fetches that run at one time. More would wait for the store anyway, and each has a connection of its own.
const FILLS_MAX: usize = 256;

/// Every hit of a rarely asked file is told to the cache, and then each sixteenth: counting is what a look-up costs, and
/// sixteen of a file that is asked for all the time say as much as one.
const TOUCH_EVERY: u64 = 16;

/// What is kept: the content of a project in one coding, whose bytes have this hash. Projects never share, so that nobody
/// learns from a fast answer what others have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BodyKey {
    pub project_id: ProjectId,
    pub hash: ContentHash,
}

/// Where bytes are to be had, and what they must be.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub key: BodyKey,
    pub object: ObjectKey,
    pub size: u64,
}

impl Source {
    pub(crate) fn of(project_id: ProjectId, content: &Content<'_>) -> Self {
        let entry = &content.entry;
        let (object, size, hash) = match content.variant {
            None => (entry.object_key(), entry.size(), entry.hash()),
            Some(variant) => (entry.variant_key(variant.coding), variant.size, variant.hash),
        };
        Self { key: BodyKey { project_id, hash }, object, size }
    }
}

/// Bytes that were checked.
#[derive(Debug)]
pub(crate) struct Body {
    key: BodyKey,
    pub bytes: Bytes,
    stored_at: Instant,
    hits: AtomicU64,
    /// A soft purge: still served, and fetched anew by the next who asks.
    is_stale: AtomicBool,
}

impl Body {
    fn new(key: BodyKey, bytes: Bytes) -> Self {
        let (hits, is_stale) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { key, bytes, stored_at: Instant::now(), hits, is_stale }
    }

    /// Seconds since it came from the store.
    pub(crate) fn age_secs(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.stored_at).as_secs()
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }
}

/// What there is of a body.
pub(crate) enum Found {
    Memory(Arc<Body>),
    /// It is on its way, for everybody who asks.
    Coming(Reader),
    /// Too large to be kept, or too much is on its way already.
    Elsewhere,
}

pub(crate) struct Bodies {
    inner: Arc<Inner>,
}

struct Inner {
    memory: Cache<BodyKey, Arc<Body>, RandomState>,
    fills: Mutex<HashMap<BodyKey, Arc<Fill>>>,
    origin: Arc<Origin>,
    /// Of [`PERMIT_BYTES`] each.
    coming: Arc<Semaphore>,
    places: Semaphore,
    object_bytes_max: u64,
    metrics: Arc<Metrics>,
}

impl Bodies {
    pub(crate) fn new(config: &CacheConfig, origin: Arc<Origin>, metrics: Arc<Metrics>) -> Self {
        let weight = |_: &BodyKey, body: &Arc<Body>| {
            u32::try_from(body.bytes.len() as u64 + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        let inner = Inner {
            memory: Cache::builder()
                .max_capacity(config.memory_bytes)
                .weigher(weight)
                .build_with_hasher(RandomState::default()),
            fills: Mutex::default(),
            origin,
            coming: Arc::new(Semaphore::new(permits(config.memory_bytes / 4))),
            places: Semaphore::new(FILLS_MAX),
            object_bytes_max: config.object_bytes_max.min(config.memory_bytes / 4),
            metrics,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The bytes, if they are in memory.
    pub(crate) fn find(&self, key: &BodyKey) -> Option<Arc<Body>> {
        self.inner.memory.get(key)
    }

    /// The bytes, from memory or from the store, which is asked once however many want them.
    pub(crate) fn get(&self, source: &Source) -> Found {
        match self.inner.memory.get(&source.key) {
            Some(body) => {
                if body.is_stale() {
                    drop(self.fill(source));
                }
                Found::Memory(body)
            }
            None => self.fill(source),
        }
    }

    /// Counts a hit. Gives how many there were, this one included.
    pub(crate) fn hit(&self, body: &Body) -> u64 {
        let hits = body.hits.fetch_add(1, Ordering::Relaxed) + 1;
        if hits < TOUCH_EVERY || hits.is_multiple_of(TOUCH_EVERY) {
            self.inner.memory.get(&body.key);
        }
        hits
    }

    /// Drops what `is_meant`, or makes it count as stale. Gives how many there were.
    pub(crate) fn purge(&self, is_meant: impl Fn(&BodyKey) -> bool, soft: bool) -> usize {
        let mut purged = 0;
        for (key, body) in self.inner.memory.iter().filter(|(key, _)| is_meant(key)) {
            purged += 1;
            // Also what is dropped: somebody may hold it still.
            body.is_stale.store(true, Ordering::Relaxed);
            if !soft {
                self.inner.memory.invalidate(key.as_ref());
            }
        }
        purged
    }

    /// The budget.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.inner.memory.policy().max_capacity().unwrap_or_default()
    }

    /// How many bodies are in memory, and their bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.inner.memory.run_pending_tasks();
        (self.inner.memory.entry_count(), self.inner.memory.weighted_size())
    }

    /// Joins the fetch of an object, or begins it.
    fn fill(&self, source: &Source) -> Found {
        let mut fills = self.inner.fills();
        if let Some(fill) = fills.get(&source.key) {
            return Found::Coming(Reader::new(Arc::clone(fill)));
        }
        // A fetch may have ended between our look at the memory and the one at the fetches.
        if let Some(body) = self.inner.memory.get(&source.key).filter(|body| !body.is_stale()) {
            return Found::Memory(body);
        }
        let Some(coming) = self.room_for(source.size) else { return Found::Elsewhere };
        let fill = Arc::new(Fill::default());
        fills.insert(source.key, Arc::clone(&fill));
        drop(fills);
        // A task of its own: the visitor who started it may leave, others wait for the same bytes.
        // Boxed: starting a task moves it about several times.
        tokio::spawn(Box::pin(fill::run(Arc::clone(&self.inner), Arc::clone(&fill), source.clone(), coming)));
        Found::Coming(Reader::new(fill))
    }

    /// Room for an object on its way; `None` when it goes past the cache.
    fn room_for(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        if bytes > self.inner.object_bytes_max {
            return None;
        }
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).ok()?;
        Arc::clone(&self.inner.coming).try_acquire_many_owned(permits).ok()
    }
}

impl Inner {
    fn fills(&self) -> std::sync::MutexGuard<'_, HashMap<BodyKey, Arc<Fill>>> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn permits(bytes: u64) -> usize {
    usize::try_from(bytes / PERMIT_BYTES).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)
}
