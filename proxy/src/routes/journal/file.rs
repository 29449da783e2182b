//! The files of the journal, and what is still known when one of them is damaged.
//!
//! `routes.log` begins with the whole state at the time when it was rewritten; changes follow. `routes.log.1` is a copy
//! of that state alone. So whatever the first file loses of its beginning, by being cut or by flipped bytes, stands in
//! the second one, and nothing that was gone by then does.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use loggia_types::route::Route;
use loggia_types::{EventPosition, Hostname};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

/// One line of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line {
    Route(Route),
    /// Nobody has this name any more.
    Gone {
        hostname: Hostname,
        version: EventPosition,
    },
}

/// The newest line of each hostname.
pub(super) type Lines = HashMap<Hostname, Line>;

impl Line {
    pub(super) fn hostname(&self) -> &Hostname {
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

/// Reads both files, or fails when one of them cannot be read. Missing files are empty ones.
pub(super) fn load(path: &Path) -> io::Result<Lines> {
    let mut lines = Lines::new();
    load_into(path, &mut lines)?;
    Ok(lines)
}

/// As [`load`], with whatever there is.
pub(super) fn load_what_can_be_read(path: &Path) -> Lines {
    let mut lines = Lines::new();
    if let Err(cause) = load_into(path, &mut lines) {
        error!(error = %cause, "The routes in {} cannot be read; the api is asked for those that are missing", path.display());
    }
    lines
}

fn load_into(path: &Path, lines: &mut Lines) -> io::Result<()> {
    // In this order: the copy is replaced first, so it is never older than what was read before it, and a name that is
    // gone by then does not come back.
    let own = read(path, lines, |line, known| line.version() >= known.version());
    let copied = read(&copy_of(path), lines, |line, known| line.version() > known.version());
    let damaged = own?;
    if damaged > 0 {
        warn!(
            "{} has {damaged} damaged lines; what they said is taken from the copy beside it",
            path.display()
        );
    }
    copied.map(drop)
}

/// Adds the lines of one file; of a hostname that is known already, those that `replaces` it. Tells how many lines are
/// damaged.
fn read(path: &Path, lines: &mut Lines, replaces: impl Fn(&Line, &Line) -> bool) -> io::Result<usize> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut damaged = 0;
    for bytes in BufReader::new(file).split(b'\n') {
        let bytes = bytes?;
        let Some(line) = decode(&bytes) else {
            damaged += usize::from(!bytes.is_empty());
            continue;
        };
        if lines.get(line.hostname()).is_none_or(|known| replaces(&line, known)) {
            lines.insert(line.hostname().clone(), line);
        }
    }
    Ok(damaged)
}

pub(super) fn encode(line: &Line) -> Vec<u8> {
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

/// Puts a file with these routes in the place of the old one, and a copy beside it. There is always a whole one: both are
/// made apart and moved, the copy first, while the old file still knows everything. Gives the size.
pub(super) fn rewrite(path: &Path, lines: &Lines) -> io::Result<u64> {
    let (temporary, copy) = (with_suffix(path, ".tmp"), copy_of(path));
    let temporary_copy = with_suffix(&copy, ".tmp");
    let rewritten = (|| {
        let bytes = write_routes(&temporary, lines)?;
        fs::copy(&temporary, &temporary_copy)?;
        File::open(&temporary_copy)?.sync_all()?;
        fs::rename(&temporary_copy, &copy)?;
        fs::rename(&temporary, path)?;
        Ok(bytes)
    })();
    if rewritten.is_err() {
        // A full disk is not to stay full because of us.
        let _ = (fs::remove_file(&temporary), fs::remove_file(&temporary_copy));
    }
    rewritten
}

fn write_routes(path: &Path, lines: &Lines) -> io::Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut bytes = 0;
    for line in lines.values().filter(|line| matches!(line, Line::Route(_))) {
        let encoded = encode(line);
        bytes += encoded.len() as u64;
        file.write_all(&encoded)?;
    }
    file.into_inner()?.sync_all()?;
    Ok(bytes)
}

fn copy_of(path: &Path) -> PathBuf {
    with_suffix(path, ".1")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
