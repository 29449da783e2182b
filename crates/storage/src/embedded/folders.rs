//! Directories that appear and vanish with their contents.
//!
//! A synced file in a directory whose own entry is not on disk yet is lost with that entry. So nothing is moved
//! into a directory before the whole chain above it has been synced, by this process: the set of directories
//! that are known to be durable starts empty, since a killed predecessor may have created some and synced none.
//!
//! Empty directories are removed: each deployment brings its own, and retention would otherwise leave a tree of
//! them behind for every deployment that ever was. The lock around the set makes that safe: whoever moves a
//! file holds it shared, whoever creates or removes directories holds it alone.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// About 200 bytes each: 13 MB. When it is full it is emptied, which costs syncs and no correctness.
const KNOWN_MAX: usize = 65_536;

#[derive(Debug)]
pub(super) struct Folders {
    /// Durable itself, and never removed.
    root: PathBuf,
    durable: RwLock<HashSet<PathBuf>>,
}

impl Folders {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, durable: RwLock::default() }
    }

    /// Moves a file to its place, over whatever is there, and makes that durable. The file itself must have
    /// been synced; its directory need not exist.
    pub(super) fn place(&self, from: &Path, to: &Path) -> io::Result<()> {
        let folder = to.parent().unwrap_or(&self.root);
        let opened = match self.rename_into_known(from, to, folder) {
            // Somebody removed the directory behind our back; then the set knows nothing any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.durable.write().unwrap_or_else(PoisonError::into_inner).clear();
                None
            }
            renamed => renamed?,
        };
        let opened = match opened {
            Some(opened) => opened,
            None => self.rename_into_new(from, to, folder)?,
        };
        opened.sync_all()
    }

    /// Syncs the directories that files were removed from, and removes those that are empty now, up to but not
    /// including `keep`.
    pub(super) fn tidy(&self, folders: &[PathBuf], keep: &Path) -> io::Result<()> {
        for folder in folders {
            let left = if is_empty(folder)? { self.remove_empty(folder, keep) } else { folder.as_path() };
            match sync_directory(left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                // Gone already: another delete removed it and syncs what is above.
                _ => {}
            }
        }
        Ok(())
    }

    /// The directory, opened while it could not vanish, so that it is synced without holding the lock.
    fn rename_into_known(&self, from: &Path, to: &Path, folder: &Path) -> io::Result<Option<File>> {
        let durable = self.durable.read().unwrap_or_else(PoisonError::into_inner);
        if !durable.contains(folder) {
            return Ok(None);
        }
        let opened = File::open(folder)?;
        fs::rename(from, to)?;
        Ok(Some(opened))
    }

    fn rename_into_new(&self, from: &Path, to: &Path, folder: &Path) -> io::Result<File> {
        let mut durable = self.durable.write().unwrap_or_else(PoisonError::into_inner);
        if durable.len() >= KNOWN_MAX {
            durable.clear();
        }
        let mut missing: Vec<&Path> =
            folder.ancestors().take_while(|path| *path != self.root && !durable.contains(*path)).collect();
        while let Some(path) = missing.pop() {
            create_durably(path)?;
            durable.insert(path.to_owned());
        }
        let opened = File::open(folder)?;
        fs::rename(from, to)?;
        Ok(opened)
    }

    /// Returns the deepest directory that is left.
    fn remove_empty<'p>(&self, folder: &'p Path, keep: &'p Path) -> &'p Path {
        let mut durable = self.durable.write().unwrap_or_else(PoisonError::into_inner);
        let mut left = folder;
        for path in folder.ancestors().take_while(|path| *path != keep) {
            match fs::remove_dir(path) {
                Ok(()) => {
                    durable.remove(path);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Not empty: what we want. Anything else leaves an empty directory, which harms nobody.
                Err(_) => break,
            }
            left = path.parent().unwrap_or(keep);
        }
        left
    }
}

/// Creates a directory in a durable one; fine when it exists.
pub(super) fn create_durably(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match path.parent() {
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
