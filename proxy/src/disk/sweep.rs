//! Keeps a folder within its budget: what was used longest ago goes.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Name;
use super::keeper::TEMPORARY;

/// What a file takes from a disk at least.
const BLOCK_BYTES: u64 = 4096;

/// Of the budget, when there is too much: not every further file makes another sweep.
const KEEP_TENTHS: u64 = 9;

/// A sweep lists all files: a million are some 100 MB for a moment.
const FILES_MAX: u64 = 1_000_000;

/// Longer than any file is written.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(3600);

/// What files take, or may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Room {
    pub(super) fn max(bytes: u64) -> Self {
        Self { files: FILES_MAX, bytes }
    }

    pub(super) fn add(&mut self, file_bytes: u64) {
        self.files += 1;
        self.bytes += on_disk(file_bytes);
    }

    pub(super) fn exceeds(self, max: Self) -> bool {
        self.files > max.files || self.bytes > max.bytes
    }

    /// Somewhat less than this.
    pub(super) fn less(self) -> Self {
        let tenths = |number: u64| number / 10 * KEEP_TENTHS;
        Self { files: tenths(self.files), bytes: tenths(self.bytes) }
    }

    fn remove(&mut self, file_bytes: u64) {
        self.files -= 1;
        self.bytes -= on_disk(file_bytes);
    }
}

fn on_disk(file_bytes: u64) -> u64 {
    file_bytes.next_multiple_of(BLOCK_BYTES)
}

struct Found {
    is_in_memory: bool,
    used_at: SystemTime,
    bytes: u64,
    path: PathBuf,
}

/// Looks through the folder, and removes files when there are more than `max`. Tells what is left.
pub(super) fn sweep<N: Name>(root: &Path, max: Room, is_in_memory: &dyn Fn(&N) -> bool) -> io::Result<Room> {
    let mut used = Room::default();
    let mut found = Vec::new();
    for folder in list(root)? {
        let name = folder.file_name();
        let Some(project_id) = name.to_str().and_then(|name| name.parse().ok()) else {
            remove_left_behind(&folder);
            continue;
        };
        for file in list(&folder.path())? {
            let name = file.file_name();
            // What we did not write is not ours to remove.
            let Some(name) = name.to_str().and_then(|name| N::parse(project_id, name)) else { continue };
            // Gone meanwhile: another process sweeps too.
            let Ok(metadata) = file.metadata() else { continue };
            used.add(metadata.len());
            found.push(Found {
                is_in_memory: is_in_memory(&name),
                used_at: metadata.modified()?,
                bytes: metadata.len(),
                path: file.path(),
            });
        }
    }
    if used.exceeds(max) {
        let enough = max.less();
        found.sort_by_key(|file| (file.is_in_memory, file.used_at));
        for file in found {
            if !used.exceeds(enough) {
                break;
            }
            match fs::remove_file(&file.path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
                _ => used.remove(file.bytes),
            }
        }
    }
    Ok(used)
}

/// A folder that is not there is empty.
fn list(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(cause),
    }
}

fn remove_left_behind(entry: &DirEntry) {
    let is_temporary = entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY));
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    let age = modified.ok().and_then(|modified| modified.elapsed().ok());
    if is_temporary && age.is_some_and(|age| age > TEMPORARY_AGE_MAX) {
        // Next time, if it cannot be removed now.
        let _ = fs::remove_file(entry.path());
    }
}
