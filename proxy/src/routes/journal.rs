//! The routes on disk: an edge that restarts while the api is away still knows every hostname.
//!
//! One line per change, `CRC-32 JSON`, appended as soon as it is known. A plain write survives the death of
//! this process, and after a power cut the api is asked again, so nothing is synced but the rewritten file. What the
//! file loses to damage is filled from a copy of its last whole state ([`file`]).
//!
//! One process writes at a time, the one that has the lock. A process that takes over from another reads at its start,
//! and writes as soon as that one has let go.

mod file;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use loggia_types::route::Route;
use tracing::{error, info};

use self::file::{Line, Lines, encode, load, load_what_can_be_read, rewrite};

const FILE_NAME: &str = "routes.log";

/// Empty. Held while `routes.log` is written, which is replaced and so cannot be locked itself.
const LOCK_NAME: &str = "routes.lock";

/// Lines waiting for the disk. More than this much behind, it is gone; the routes are still in memory.
const QUEUE_MAX: usize = 65_536;

/// A smaller file is not worth rewriting.
const COMPACT_BYTES_MIN: u64 = 256 * 1024;

/// The writing end. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    /// `None` ends the writer.
    queue: SyncSender<Option<Line>>,
    errors: Arc<AtomicU64>,
    is_handed_over: Arc<AtomicBool>,
}

impl Journal {
    /// Reads the routes of the last run, rewrites the file without what is out of date, and starts the writer.
    ///
    /// A disk that is full or broken is no reason not to serve: it is logged, and tried again with each change.
    pub(crate) fn open(state_dir: &Path) -> io::Result<(Self, Vec<Route>)> {
        let path = state_dir.join(FILE_NAME);
        let lock = Lock::try_take(state_dir);
        let lines = load_what_can_be_read(&path);
        let errors = Arc::new(AtomicU64::new(0));
        let (queue, waiting) = sync_channel(QUEUE_MAX);
        let start = {
            let errors = Arc::clone(&errors);
            move |lines: &Lines| Writer::start(path, lines, errors)
        };
        // A thread, not a task: a slow disk must not hold up a worker. It ends when the last sender is gone.
        let thread = std::thread::Builder::new().name("route-journal".into());
        match lock {
            Lock::Busy(file) => {
                let path = state_dir.join(FILE_NAME);
                info!("Another process writes {}; this one will when that one has let go", path.display());
                thread.spawn(move || {
                    let _lock = file.lock();
                    // Its last lines came after we read.
                    start(&load_what_can_be_read(&path)).run(&waiting);
                })?;
            }
            Lock::Free(lock) => {
                let writer = start(&lines);
                thread.spawn(move || {
                    writer.run(&waiting);
                    drop(lock);
                })?;
            }
        }
        let routes = lines.into_values().filter_map(|line| match line {
            Line::Route(route) => Some(route),
            Line::Gone { .. } => None,
        });
        Ok((Self { queue, errors, is_handed_over: Arc::default() }, routes.collect()))
    }

    /// Writes a new or changed route.
    pub(crate) fn keep(&self, route: &Route) {
        self.send(Line::Route(route.clone()));
    }

    /// Writes that a hostname is nobody's any more.
    pub(crate) fn forget(&self, route: &Route) {
        self.send(Line::Gone { hostname: route.hostname.clone(), version: route.version });
    }

    /// Writes what is waiting and nothing more: from here on another process does.
    pub(crate) fn hand_over(&self) {
        self.is_handed_over.store(true, Ordering::Relaxed);
        // A queue that is full has a disk that hangs. Then the other process waits for the end of this one.
        let _ = self.queue.try_send(None);
    }

    /// Lines that could not be written, for health and metrics.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    fn send(&self, line: Line) {
        let is_ours = !self.is_handed_over.load(Ordering::Relaxed);
        if is_ours && self.queue.try_send(Some(line)).is_err() {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The right to write. Of a process that is killed the kernel takes it.
enum Lock {
    /// `None` where locks do not work: better two writers than none.
    Free(Option<File>),
    /// Another process has it.
    Busy(File),
}

impl Lock {
    fn try_take(state_dir: &Path) -> Self {
        let open = || {
            fs::create_dir_all(state_dir)?;
            OpenOptions::new().create(true).append(true).open(state_dir.join(LOCK_NAME))
        };
        let Ok(file) = open() else { return Self::Free(None) };
        match file.try_lock() {
            Ok(()) => Self::Free(Some(file)),
            Err(TryLockError::WouldBlock) => Self::Busy(file),
            Err(TryLockError::Error(_)) => Self::Free(None),
        }
    }
}

/// The reading end of the queue, and the file.
struct Writer {
    path: PathBuf,
    /// `None` while it cannot be opened.
    file: Option<File>,
    bytes: u64,
    /// Size after the last rewriting.
    compact_bytes: u64,
    /// The last write failed: it may have left half a line.
    is_broken: bool,
    errors: Arc<AtomicU64>,
}

impl Writer {
    fn start(path: PathBuf, lines: &Lines, errors: Arc<AtomicU64>) -> Self {
        let mut writer = Self { path, file: None, bytes: 0, compact_bytes: 0, is_broken: false, errors };
        if let Err(cause) = writer.replace(lines) {
            writer.report(&cause);
        }
        writer
    }

    fn run(mut self, waiting: &Receiver<Option<Line>>) {
        while let Ok(Some(line)) = waiting.recv() {
            match self.append(&line) {
                Ok(()) => self.is_broken = false,
                Err(cause) => self.report(&cause),
            }
        }
    }

    /// Logs the first of a series of failures.
    fn report(&mut self, cause: &io::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if !self.is_broken {
            let path = self.path.display();
            error!(error = %cause, "Routes cannot be written to {path}; serving goes on, but a restart forgets them");
        }
        self.is_broken = true;
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = encode(line);
        if self.is_broken {
            bytes.insert(0, b'\n');
        }
        self.file()?.write_all(&bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > (2 * self.compact_bytes).max(COMPACT_BYTES_MIN) {
            let replaced = load(&self.path).and_then(|lines| self.replace(&lines));
            // Each line would try again what a full disk refused to this one.
            self.compact_bytes = self.bytes;
            replaced?;
        }
        Ok(())
    }

    fn file(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
                OpenOptions::new().create(true).append(true).open(&self.path)?
            }
        };
        Ok(self.file.insert(file))
    }

    /// Puts a new file with these lines in the place of the old one.
    fn replace(&mut self, lines: &Lines) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
        self.bytes = rewrite(&self.path, lines)?;
        self.compact_bytes = self.bytes;
        self.file = None;
        self.file().map(drop)
    }
}

#[cfg(test)]
mod tests;
