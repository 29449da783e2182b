//! The routes on disk: an edge that restarts while the api is away still knows every hostname.
//!
//! One line per change, `CRC-32 JSON`, appended as soon as it is known. A plain write survives the death of
//! this process, and after a power cut the api is asked again, so nothing is synced but the rewritten file.
//! A damaged line costs its route, never the file.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use loggia_types::route::Route;
use loggia_types::{EventPosition, Hostname};
use serde::{Deserialize, Serialize};
use tracing::error;

const FILE_NAME: &str = "routes.log";

/// Lines waiting for the disk. More than this much behind, it is gone; the routes are still in memory.
const QUEUE_MAX: usize = 65_536;

/// A smaller file is not worth rewriting.
const COMPACT_BYTES_MIN: u64 = 256 * 1024;

/// One line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Route(Route),
    /// Nobody has this name any more.
    Gone { hostname: Hostname, version: EventPosition },
}

impl Line {
    fn hostname(&self) -> &Hostname {
        match self {
            Self::Route(route) => &route.hostname,
            Self::Gone { hostname, .. } => hostname,
        }
    }

    fn version(&self) -> EventPosition {
        match self {
            Self::Route(route) => route.version,
            Self::Gone { version, .. } => *version,
        }
    }
}

/// The writing end. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub struct Journal {
    queue: SyncSender<Line>,
    errors: Arc<AtomicU64>,
}

impl Journal {
    /// Reads the routes of the last run, rewrites the file without what is out of date, and starts the writer.
    pub fn open(state_dir: &Path) -> io::Result<(Self, Vec<Route>)> {
        fs::create_dir_all(state_dir)?;
        let path = state_dir.join(FILE_NAME);
        let lines = load(&path)?;
        let errors = Arc::new(AtomicU64::new(0));
        let writer = Writer::start(path, &lines, Arc::clone(&errors))?;
        let (queue, waiting) = sync_channel(QUEUE_MAX);
        // A thread, not a task: a slow disk must not hold up a worker. It ends when the last sender is gone.
        std::thread::Builder::new().name("route-journal".into()).spawn(move || writer.run(&waiting))?;
        let routes = lines.into_values().filter_map(|line| match line {
            Line::Route(route) => Some(route),
            Line::Gone { .. } => None,
        });
        Ok((Self { queue, errors }, routes.collect()))
    }

    /// Writes a new or changed route.
    pub fn keep(&self, route: &Route) {
        self.send(Line::Route(route.clone()));
    }

    /// Writes that a hostname is nobody's any more.
    pub fn forget(&self, route: &Route) {
        self.send(Line::Gone { hostname: route.hostname.clone(), version: route.version });
    }

    /// Lines that could not be written, for health and metrics.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    fn send(&self, line: Line) {
        if self.queue.try_send(line).is_err() {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The newest line of each hostname. A missing file is an empty one; damaged lines are skipped.
fn load(path: &Path) -> io::Result<HashMap<Hostname, Line>> {
    let mut newest: HashMap<Hostname, Line> = HashMap::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(newest),
        Err(error) => return Err(error),
    };
    for line in BufReader::new(file).split(b'\n') {
        let Some(line) = decode(&line?) else { continue };
        match newest.get(line.hostname()) {
            Some(known) if known.version() > line.version() => {}
            _ => drop(newest.insert(line.hostname().clone(), line)),
        }
    }
    Ok(newest)
}

fn encode(line: &Line) -> Vec<u8> {
    let json = serde_json::to_vec(line).unwrap_or_default();
    let mut bytes = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    bytes.extend(json);
    bytes.push(b'\n');
    bytes
}

fn decode(line: &[u8]) -> Option<Line> {
    let (crc, json) = (line.get(..8)?, line.get(9..)?);
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    (crc32fast::hash(json) == crc).then(|| serde_json::from_slice(json).ok())?
}

/// The reading end of the queue, and the file.
struct Writer {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Size after the last rewriting.
    compact_bytes: u64,
    /// The last write failed: it may have left half a line.
    is_broken: bool,
    errors: Arc<AtomicU64>,
}

impl Writer {
    fn start(path: PathBuf, lines: &HashMap<Hostname, Line>, errors: Arc<AtomicU64>) -> io::Result<Self> {
        let bytes = rewrite(&path, lines)?;
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok(Self { path, file, bytes, compact_bytes: bytes, is_broken: false, errors })
    }

    fn run(mut self, waiting: &Receiver<Line>) {
        while let Ok(line) = waiting.recv() {
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
        self.file.write_all(&bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > (2 * self.compact_bytes).max(COMPACT_BYTES_MIN) {
            self.compact()?;
        }
        Ok(())
    }

    fn compact(&mut self) -> io::Result<()> {
        self.bytes = rewrite(&self.path, &load(&self.path)?)?;
        self.compact_bytes = self.bytes;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        Ok(())
    }
}

/// Writes a new file beside the old one and moves it into place: there is always a whole one.
fn rewrite(path: &Path, lines: &HashMap<Hostname, Line>) -> io::Result<u64> {
    let temporary = path.with_extension("log.tmp");
    let mut file = io::BufWriter::new(File::create(&temporary)?);
    let mut bytes = 0;
    for line in lines.values().filter(|line| matches!(line, Line::Route(_))) {
        let encoded = encode(line);
        bytes += encoded.len() as u64;
        file.write_all(&encoded)?;
    }
    file.into_inner()?.sync_all()?;
    fs::rename(&temporary, path)?;
    Ok(bytes)
}

