//! Files beside the memory: what an edge need not fetch again after a restart. They may be lost at any moment and are
//! believed by nobody: whoever reads one has to check it, there is no other way to its bytes.
//!
//! ```text
//! root/{project}/{name}   one content, by what it is; moved into place whole
//! root/.tmp-…             on its way there
//! ```
//!
//! There is no index that could be wrong. A file is found by opening it, its age is the time of its last use, and the
//! budget is kept by looking through the folder now and then ([`sweep`]). So two processes can share a folder while one
//! takes over from the other, and after a crash there is nothing to mend. Nothing is synced: a file that a power cut
//! made of zeros is one that does not pass its check.
//!
//! Visitors wait for no write, and for a read no longer than [`READ_WAIT_MAX`]. A disk that is full, broken or hanging is
//! logged and counted; what is kept here can always be had elsewhere.

mod keeper;
mod spare;
mod sweep;

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use loggia_types::ProjectId;
use tokio::sync::Semaphore;
use tracing::{error, warn};

use self::keeper::{Keeper, Kept};
pub(crate) use self::spare::Spare;
pub(crate) use self::sweep::Room;
use crate::metrics::{DiskRead, DiskUse, DiskWrite};

/// Longer than a busy disk takes, shorter than what a visitor notices as an outage. Then the store is asked.
const READ_WAIT_MAX: Duration = Duration::from_secs(1);

/// For so long, nobody waits for a disk that kept somebody waiting in vain.
const SLOW_TTL: Duration = Duration::from_secs(5);

/// More would only queue inside of the disk. Threads that a hanging disk holds are no more than these.
const READS_MAX: usize = 32;

/// Files that wait for the disk are in memory for so long. More than this behind, they are not written.
const WAITING_BYTES_MAX: u64 = 64 * 1024 * 1024;
const WAITING_MAX: usize = 4096;

/// A file of this time is stale. So a soft purge also makes it the first to go.
const STALE: SystemTime = SystemTime::UNIX_EPOCH;

/// What a file is found by: it says which content is meant, so that there is never another one under it.
pub(crate) trait Name: Copy + Debug + Eq + Send + Sync + 'static {
    fn project_id(&self) -> ProjectId;

    /// Within the project; a plain file name.
    fn file_name(&self) -> String;

    /// The other way round.
    fn parse(project_id: ProjectId, file_name: &str) -> Option<Self>;
}

/// A file as it was found, to be checked.
pub(crate) struct Unchecked {
    pub bytes: Vec<u8>,
    /// Purged softly.
    pub is_stale: bool,
}

/// What a purge does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purged {
    Removed,
    Stale,
}

/// A folder of files with a budget.
#[derive(Debug)]
pub(crate) struct Disk<N> {
    shared: Arc<Shared>,
    queue: SyncSender<Kept<N>>,
    places: Arc<Semaphore>,
}

/// What both ends of the queue know.
#[derive(Debug)]
struct Shared {
    root: PathBuf,
    bytes_max: u64,
    spare: Spare,
    waiting_bytes: AtomicU64,
    /// How many there were. A file moves into place only if none came since it was asked for.
    purges: AtomicU64,
    /// Held while a file moves, and while a purge is counted.
    moving: Mutex<()>,
    is_handed_over: AtomicBool,
    /// The last read or write failed.
    is_broken: AtomicBool,
    /// When a read last took too long.
    slow: Mutex<Option<Instant>>,
    metrics: Arc<DiskUse>,
}

impl<N: Name> Disk<N> {
    /// Files below `root`, and the thread that writes them. Those that `is_in_memory` are asked for all the time without
    /// being read from here, so they are the last to go.
    ///
    /// Nothing is read before that thread runs: a slow disk does not delay the start.
    pub(crate) fn open(
        root: PathBuf,
        bytes_max: u64,
        spare: Spare,
        metrics: Arc<DiskUse>,
        is_in_memory: impl Fn(&N) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        metrics.set_max(bytes_max);
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let shared = Arc::new(Shared {
            root,
            bytes_max,
            spare,
            waiting_bytes: AtomicU64::new(0),
            purges: AtomicU64::new(0),
            moving: Mutex::new(()),
            is_handed_over: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            slow: Mutex::new(None),
            metrics,
        });
        let keeper = Keeper::new(Arc::clone(&shared), Box::new(is_in_memory));
        // It ends when the queue is dropped.
        std::thread::Builder::new().name("edge-disk".into()).spawn(move || keeper.run(&waiting))?;
        Ok(Self { shared, queue, places: Arc::new(Semaphore::new(READS_MAX)) })
    }

    /// What `check` makes of a file; one that does not pass is removed. Blocks.
    pub(crate) fn find_blocking<T>(
        &self,
        name: &N,
        bytes_max: u64,
        check: impl FnOnce(Unchecked) -> Option<T>,
    ) -> Option<T> {
        self.shared.find(name, bytes_max, check)
    }

    /// As [`Disk::find_blocking`], on another thread.
    pub(crate) async fn find<T: Send + 'static>(
        &self,
        name: N,
        bytes_max: u64,
        check: impl FnOnce(Unchecked) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let shared = Arc::clone(&self.shared);
        self.ask(move || shared.find(&name, bytes_max, check)).await.flatten()
    }

    /// Whether there is a file of this size. What is in it nobody knows yet.
    pub(crate) async fn has(&self, name: &N, bytes: u64) -> bool {
        let path = self.shared.path(name);
        let found = self.ask(move || fs::metadata(path).is_ok_and(|file| file.len() == bytes)).await;
        found.unwrap_or(false)
    }

    /// Lets another thread look at the disk; `None` when that takes too long, or did so lately.
    async fn ask<T: Send + 'static>(&self, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if self.shared.slow().is_some_and(|slow| slow.elapsed() < SLOW_TTL) {
            return None;
        }
        let places = Arc::clone(&self.places);
        let look = async move {
            let place = places.acquire_owned().await.ok()?;
            let look = tokio::task::spawn_blocking(move || {
                // Until it has ended, also when nobody waits for it any more.
                let _place = place;
                look()
            });
            look.await.ok()
        };
        if let Ok(found) = tokio::time::timeout(READ_WAIT_MAX, look).await {
            return found;
        }
        *self.shared.slow() = Some(Instant::now());
        self.shared.metrics.reads.count(DiskRead::Slow);
        None
    }

    /// Lets the writer write a file, soon. Tells whether it was taken.
    pub(crate) fn keep(&self, name: N, bytes: Bytes) -> bool {
        let shared = &self.shared;
        if shared.is_handed_over.load(Ordering::Relaxed) {
            return false;
        }
        let len = bytes.len() as u64;
        let waiting = shared.waiting_bytes.fetch_add(len, Ordering::Relaxed);
        // One alone may be larger than all that may wait.
        let has_room = (waiting == 0 || waiting + len <= WAITING_BYTES_MAX) && len <= shared.bytes_max;
        let kept = Kept { name, bytes, purges: shared.purges.load(Ordering::Acquire) };
        if has_room && self.queue.try_send(kept).is_ok() {
            return true;
        }
        shared.waiting_bytes.fetch_sub(len, Ordering::Relaxed);
        shared.metrics.writes.count(DiskWrite::Dropped);
        false
    }

    /// Purges files. Blocks.
    pub(crate) fn purge_all<'n>(&self, names: impl IntoIterator<Item = &'n N>, purged: Purged) {
        self.shared.begin_purge();
        names.into_iter().for_each(|name| self.shared.purge(&self.shared.path(name), purged));
    }

    /// Purges all files of a project. Blocks.
    pub(crate) fn purge_project(&self, project_id: ProjectId, purged: Purged) {
        self.shared.begin_purge();
        let Ok(files) = fs::read_dir(self.shared.root.join(project_id.as_str())) else { return };
        files.flatten().for_each(|file| self.shared.purge(&file.path(), purged));
    }

    /// Another process writes from here on. What is there can still be read.
    pub(crate) fn hand_over(&self) {
        self.shared.is_handed_over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn path(&self, name: &impl Name) -> PathBuf {
        self.root.join(name.project_id().as_str()).join(name.file_name())
    }

    fn moving(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slow(&self) -> MutexGuard<'_, Option<Instant>> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on, what waits to be written is not.
    fn begin_purge(&self) {
        let _moving = self.moving();
        self.purges.fetch_add(1, Ordering::AcqRel);
    }

    fn find<N: Name, T>(
        &self,
        name: &N,
        bytes_max: u64,
        check: impl FnOnce(Unchecked) -> Option<T>,
    ) -> Option<T> {
        let path = self.path(name);
        let outcome = match read(&path, bytes_max) {
            Ok(found) => match check(found) {
                Some(checked) => {
                    self.metrics.reads.count(DiskRead::Found);
                    return Some(checked);
                }
                None => DiskRead::Damaged,
            },
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => DiskRead::Missing,
            Err(cause) if cause.kind() == io::ErrorKind::FileTooLarge => DiskRead::Damaged,
            Err(cause) => {
                self.report("read", &cause);
                DiskRead::Failed
            }
        };
        self.metrics.reads.count(outcome);
        if outcome == DiskRead::Damaged {
            warn!("{} is damaged and is removed; the store is asked", path.display());
            self.purge(&path, Purged::Removed);
        }
        None
    }

    fn purge(&self, path: &Path, purged: Purged) {
        let done = match purged {
            Purged::Removed => fs::remove_file(path),
            Purged::Stale => File::open(path).and_then(|file| file.set_modified(STALE)),
        };
        match done {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => self.report("purge", &cause),
            _ => {}
        }
    }

    /// Logs the first of a series of failures.
    fn report(&self, what: &str, cause: &io::Error) {
        if !self.is_broken.swap(true, Ordering::Relaxed) {
            let root = self.root.display();
            error!(error = %cause, "Cannot {what} files in {root}; serving goes on without: {cause}");
        }
    }

    fn works(&self) {
        self.is_broken.store(false, Ordering::Relaxed);
    }
}

/// A file that is larger than it may be is not read.
fn read(path: &Path, bytes_max: u64) -> io::Result<Unchecked> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let is_stale = metadata.modified()? == STALE;
    if !is_stale {
        // The time of its last use. Where that cannot be noted, it is the time of writing.
        let _ = file.set_modified(SystemTime::now());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    Ok(Unchecked { bytes, is_stale })
}

#[cfg(test)]
mod tests;
