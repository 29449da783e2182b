//! The thread that writes: one file after another, and makes room when there is too much.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use bytes::Bytes;

use super::sweep::{self, Room};
use super::{Name, Shared};
use crate::metrics::DiskWrite;

/// Files on their way. Whatever begins so and is old was left behind by a process that was killed.
pub(super) const TEMPORARY: &str = ".tmp-";

/// The folder is counted anew: another process may have written into it, or somebody removed something.
const RECOUNT_EVERY: Duration = Duration::from_secs(3600);

/// A file that is to be written.
#[derive(Debug)]
pub(super) struct Kept<N> {
    pub(super) name: N,
    pub(super) bytes: Bytes,
    /// How many purges there had been when it was asked for.
    pub(super) purges: u64,
}

pub(super) struct Keeper<N> {
    shared: Arc<Shared>,
    is_in_memory: Box<dyn Fn(&N) -> bool + Send>,
    used: Room,
}

impl<N: Name> Keeper<N> {
    pub(super) fn new(shared: Arc<Shared>, is_in_memory: Box<dyn Fn(&N) -> bool + Send>) -> Self {
        Self { shared, is_in_memory, used: Room::default() }
    }

    pub(super) fn run(mut self, waiting: &Receiver<Kept<N>>) {
        loop {
            self.make_room(Room::max(self.shared.bytes_max));
            loop {
                match waiting.recv_timeout(RECOUNT_EVERY) {
                    Ok(kept) => self.keep(&kept),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    pub(super) fn keep(&mut self, kept: &Kept<N>) {
        let outcome = match self.write(kept) {
            Ok(outcome) => {
                self.shared.works();
                outcome
            }
            Err(cause) => {
                self.shared.report("write", &cause);
                if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                    // The disk is smaller than the budget.
                    self.make_room(self.used.less());
                }
                DiskWrite::Failed
            }
        };
        self.shared.metrics.writes.count(outcome);
        self.shared.waiting_bytes.fetch_sub(kept.bytes.len() as u64, Ordering::Relaxed);
        let max = Room::max(self.shared.bytes_max);
        if self.used.exceeds(max) {
            self.make_room(max);
        }
    }

    fn write(&mut self, kept: &Kept<N>) -> io::Result<DiskWrite> {
        if self.shared.is_handed_over.load(Ordering::Relaxed) {
            return Ok(DiskWrite::Dropped);
        }
        let path = self.shared.path(&kept.name);
        path.parent().map_or(Ok(()), create_private)?;
        if !self.shared.spare.is_left(&self.shared.root, kept.bytes.len() as u64) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.shared.root)?;
        file.write_all(&kept.bytes)?;
        let moving = self.shared.moving();
        if self.shared.purges.load(Ordering::Acquire) != kept.purges {
            return Ok(DiskWrite::Dropped);
        }
        // One that is there already is replaced, and counted twice until the folder is looked through.
        file.persist(&path)?;
        drop(moving);
        self.used.add(kept.bytes.len() as u64);
        self.shared.metrics.set_used(self.used);
        Ok(DiskWrite::Written)
    }

    fn make_room(&mut self, max: Room) {
        if self.shared.is_handed_over.load(Ordering::Relaxed) {
            return;
        }
        match sweep::sweep(&self.shared.root, max, &self.is_in_memory) {
            Ok(used) => {
                self.used = used;
                self.shared.metrics.set_used(used);
            }
            Err(cause) => self.shared.report("look through", &cause),
        }
    }
}

/// What is kept is for visitors, and some of it for some of them only: manifests hold the site's passwords.
fn create_private(folder: &Path) -> io::Result<()> {
    if fs::exists(folder)? {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
