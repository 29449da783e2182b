//! The bytes of files, by what they are: never another content under one key, so nothing here can be stale.
//!
//! They are in memory, and if the operator wants it on disk ([`second_tier`]).
//! Every object is fetched once, however many ask for it ([`fill`]), and is only kept when it is what the manifest says.
//! The cache admits by how often something is asked for (W-TinyLFU), so a crawler that reads every file once pushes out
//! no file that visitors want.

mod fill;
mod second_tier;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
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
use self::second_tier::SecondTier;
use crate::config::CacheConfig;
use crate::disk::Purged;
use crate::metrics::Metrics;
use crate::origin::Origin;

/// What a cached body costs beside its bytes: its key twice, counters, and the cache's own records.
const OVERHEAD_BYTES: u64 = 256;

/// The unit in which bytes on their way are counted.
const PERMIT_BYTES: u64 = 1024;

/// Fetches that run at one time. More would wait for the store anyway, and each has a connection of its own.
const FILLS_MAX: usize = 256;

/// The first hits of a file are told to the cache, and then each sixteenth, and the first of each second: counting is what a
/// look-up costs, and sixteen of a file that is asked for all the time say as much as one. Of a file that is asked for once a
/// second, sixteen hits are so far apart that the cache has forgotten it meanwhile, when a crawler is about.
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
    /// The second of its age in which the cache was told of it.
    touched_secs: AtomicU64,
    /// A soft purge: still served, and fetched anew by the next who asks.
    is_stale: AtomicBool,
    tier: Tier,
    /// It is on disk, or on its way there.
    is_kept: AtomicBool,
}

/// Where a body came into memory from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Store,
    Disk { is_stale: bool },
}

impl Body {
    fn new(key: BodyKey, bytes: Bytes, tier: Tier) -> Self {
        let is_stale = tier == Tier::Disk { is_stale: true };
        Self {
            key,
            bytes,
            stored_at: Instant::now(),
            hits: AtomicU64::new(0),
            touched_secs: AtomicU64::new(0),
            is_stale: AtomicBool::new(is_stale),
            tier,
            is_kept: AtomicBool::new(tier != Tier::Store),
        }
    }

    /// Seconds since it came into memory.
    pub(crate) fn age_secs(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.stored_at).as_secs()
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    fn is_from_disk(&self) -> bool {
        matches!(self.tier, Tier::Disk { .. })
    }

    /// Notes that it is written to the disk. Tells whether that was known already.
    fn begin_keeping(&self) -> bool {
        self.is_kept.swap(true, Ordering::Relaxed)
    }

    fn keeping_failed(&self) {
        self.is_kept.store(false, Ordering::Relaxed);
    }
}

/// Which files a purge means.
#[derive(Debug)]
pub(crate) enum Meant {
    Project(ProjectId),
    Files(HashSet<BodyKey>),
}

impl Meant {
    fn contains(&self, key: &BodyKey) -> bool {
        match self {
            Self::Project(project_id) => key.project_id == *project_id,
            Self::Files(keys) => keys.contains(key),
        }
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
    second_tier: Option<SecondTier>,
    fills: Mutex<HashMap<BodyKey, Arc<Fill>>>,
    origin: Arc<Origin>,
    /// Of [`PERMIT_BYTES`] each.
    coming: Arc<Semaphore>,
    places: Semaphore,
    object_bytes_max: u64,
    metrics: Arc<Metrics>,
}

impl Bodies {
    /// With the second tier in the state folder, if there is to be one.
    pub(crate) fn open(
        config: &CacheConfig,
        state_dir: &Path,
        origin: Arc<Origin>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let weight = |_: &BodyKey, body: &Arc<Body>| {
            u32::try_from(body.bytes.len() as u64 + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        let memory = Cache::builder()
            .max_capacity(config.memory_bytes)
            .weigher(weight)
            .build_with_hasher(RandomState::default());
        let in_memory = memory.clone();
        let second_tier = || {
            let metrics = Arc::clone(&metrics.disk_bodies);
            SecondTier::open(state_dir, config.disk_bytes, metrics, move |key| in_memory.contains_key(key))
        };
        let inner = Inner {
            memory,
            second_tier: (config.disk_bytes > 0).then(second_tier).transpose()?,
            fills: Mutex::default(),
            origin,
            coming: Arc::new(Semaphore::new(permits(config.memory_bytes / 4))),
            places: Semaphore::new(FILLS_MAX),
            object_bytes_max: config.object_bytes_max.min(config.memory_bytes / 4),
            metrics,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The bytes, if they are in memory.
    pub(crate) fn find(&self, key: &BodyKey) -> Option<Arc<Body>> {
        self.inner.memory.get(key)
    }

    /// The bytes, from memory, from disk or from the store, which are asked once however many want them.
    pub(crate) fn get(&self, source: &Source) -> Found {
        match self.inner.memory.get(&source.key) {
            Some(body) => {
                if body.is_stale() {
                    // On disk there is no other.
                    drop(self.fill(source, Begin::AtStore));
                }
                Found::Memory(body)
            }
            None => self.fill(source, Begin::OnDisk),
        }
    }

    /// As [`Bodies::get`], where the whole is not worth a fetch.
    pub(crate) async fn get_kept(&self, source: &Source) -> Found {
        if let Some(body) = self.find(&source.key) {
            return Found::Memory(body);
        }
        match &self.inner.second_tier {
            Some(tier) if tier.has(source).await => self.get(source),
            _ => Found::Elsewhere,
        }
    }

    /// Counts a hit, at this age of the body. Gives how many there were, this one included.
    pub(crate) fn hit(&self, body: &Body, age_secs: u64) -> u64 {
        let hits = body.hits.fetch_add(1, Ordering::Relaxed) + 1;
        let is_new_second = body.touched_secs.load(Ordering::Relaxed) != age_secs;
        if is_new_second || hits < TOUCH_EVERY || hits.is_multiple_of(TOUCH_EVERY) {
            body.touched_secs.store(age_secs, Ordering::Relaxed);
            self.inner.memory.get(&body.key);
            self.inner.second_tier.iter().for_each(|tier| tier.asked_again(body));
        }
        hits
    }

    /// Drops what is meant, or makes it count as stale. Gives how many there were in memory. Blocks.
    pub(crate) fn purge(&self, meant: &Meant, soft: bool) -> usize {
        let purged = self.purge_memory(meant, soft);
        if let Some(tier) = &self.inner.second_tier {
            tier.purge(meant, if soft { Purged::Stale } else { Purged::Removed });
            // What came from there meanwhile.
            self.purge_memory(meant, soft);
        }
        purged
    }

    fn purge_memory(&self, meant: &Meant, soft: bool) -> usize {
        let mut purged = 0;
        for (key, body) in self.inner.memory.iter().filter(|(key, _)| meant.contains(key)) {
            purged += 1;
            // Also what is dropped: somebody may hold it still.
            body.is_stale.store(true, Ordering::Relaxed);
            if !soft {
                self.inner.memory.invalidate(key.as_ref());
            }
        }
        purged
    }

    /// Another process writes to the disk from here on.
    pub(crate) fn hand_over(&self) {
        self.inner.second_tier.iter().for_each(SecondTier::hand_over);
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
    fn fill(&self, source: &Source, begin: Begin) -> Found {
        let mut fills = self.inner.fills();
        if let Some(fill) = fills.get(&source.key) {
            return Found::Coming(Reader::new(Arc::clone(fill)));
        }
        // A fetch may have ended between our look at the memory and the one at the fetches. It was counted then: a second
        // look would make a file that is asked for once as wanted as one that is asked for twice.
        let is_known = self.inner.memory.contains_key(&source.key);
        let known = is_known.then(|| self.inner.memory.get(&source.key)).flatten();
        if let Some(body) = known.filter(|body| !body.is_stale()) {
            return Found::Memory(body);
        }
        let Some(coming) = self.room_for(source.size) else { return Found::Elsewhere };
        let fill = Arc::new(Fill::default());
        fills.insert(source.key, Arc::clone(&fill));
        drop(fills);
        // A task of its own: the visitor who started it may leave, others wait for the same bytes.
        let fill_it = fill::run(Arc::clone(&self.inner), Arc::clone(&fill), source.clone(), begin, coming);
        // Boxed: starting a task moves it about several times.
        tokio::spawn(Box::pin(fill_it));
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

/// Where a fetch looks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    OnDisk,
    AtStore,
}

impl Inner {
    async fn find_on_disk(&self, source: &Source, begin: Begin) -> Option<Body> {
        match (&self.second_tier, begin) {
            (Some(tier), Begin::OnDisk) => tier.find(source).await,
            _ => None,
        }
    }

    /// Keeps what came from the store.
    fn fetched(&self, body: &Body, begin: Begin) {
        match (&self.second_tier, begin) {
            (Some(tier), Begin::OnDisk) => tier.fetched(body),
            (Some(tier), Begin::AtStore) => tier.asked_again(body),
            (None, _) => {}
        }
    }

    fn fills(&self) -> std::sync::MutexGuard<'_, HashMap<BodyKey, Arc<Fill>>> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn permits(bytes: u64) -> usize {
    usize::try_from(bytes / PERMIT_BYTES).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use loggia_storage::StoreConfig;

    const BODY: &[u8] = &[7; 2048];

    fn bodies(count: u64) -> Bodies {
        let store = StoreConfig {
            endpoint_url: Some("http://127.0.0.1:9".into()),
            region: "eu-central-1".into(),
            bucket: "sites".into(),
            access_key: "AKID".into(),
            secret_key: "secret".into(),
        };
        let memory_bytes = count * (BODY.len() as u64 + OVERHEAD_BYTES);
        let config = CacheConfig { memory_bytes, disk_bytes: 0, ..CacheConfig::default() };
        let origin = Arc::new(Origin::new(&store).expect("a good address"));
        Bodies::open(&config, Path::new("unused"), origin, Metrics::new(1)).expect("opens")
    }

    fn key(number: u32) -> BodyKey {
        BodyKey { project_id: ProjectId::from_parts(1, 1), hash: ContentHash::of(&number.to_le_bytes()) }
    }

    /// As a visitor asks; what is not in memory is there afterwards.
    fn is_hit(bodies: &Bodies, key: BodyKey, known: &mut HashMap<BodyKey, Arc<Body>>, second: u64) -> bool {
        // An answer that is at hand holds the body weakly, and asks the cache for nothing but the count.
        let body = known.get(&key).filter(|_| bodies.inner.memory.contains_key(&key));
        if let Some(body) = body {
            bodies.hit(body, second);
            return true;
        }
        assert!(bodies.find(&key).is_none());
        let body = Arc::new(Body::new(key, Bytes::from_static(BODY), Tier::Store));
        bodies.inner.memory.insert(key, Arc::clone(&body));
        known.insert(key, body);
        false
    }

    #[test]
    fn files_that_are_asked_for_once_a_second_outlive_a_scan() {
        const HOT: u32 = 100;
        let bodies = bodies(1000);
        let mut known = HashMap::new();
        let (mut hits, mut asked, mut cold) = (0, 0, HOT);
        for second in 0..300 {
            let is_scanned = second >= 20;
            // Each is asked for four times in five seconds.
            for hot in (0..HOT).filter(|hot| (u64::from(*hot) + second) % 5 != 0) {
                let is_hit = is_hit(&bodies, key(hot), &mut known, second);
                hits += u32::from(is_scanned && is_hit);
                asked += u32::from(is_scanned);
                if is_scanned {
                    cold += 1;
                    assert!(!self::is_hit(&bodies, key(cold), &mut known, second));
                }
                // The cache does its work when it likes; here, at once.
                bodies.inner.memory.run_pending_tasks();
            }
        }
        assert!(cold > 20 * 1000, "{cold}");
        assert!(hits * 1000 >= asked * 999, "{hits} of {asked}");
    }
}
