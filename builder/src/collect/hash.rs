//! Reads every file once, for its SHA-256, with a few threads.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use loggia_types::content_hash::ContentHasher;
use loggia_types::publish::SiteFile;
use tokio_util::sync::CancellationToken;

use super::walk::FoundFile;
use super::{CollectError, io};

/// Disks read ahead; more threads than this only compete with the next build.
const THREADS_MAX: usize = 4;

/// Large enough that a system call costs nothing beside the hashing.
const PIECE_BYTES: usize = 128 * 1024;

pub(super) fn hash_all(files: &[FoundFile], stop: &CancellationToken) -> Result<Vec<SiteFile>, CollectError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(files.len());
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || {
        let mut hashed = Vec::new();
        let mut piece = vec![0; PIECE_BYTES];
        while let Some(found) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            match hash(found, &mut piece, stop) {
                Ok(file) => hashed.push(file),
                Err(error) => {
                    next.store(files.len(), Ordering::Relaxed);
                    // Any one failure is the answer; a poisoned lock holds one already.
                    if let Ok(mut failure) = failure.lock() {
                        *failure = Some(error);
                    }
                    break;
                }
            }
        }
        hashed
    };
    let mut hashed: Vec<SiteFile> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    match failure.into_inner() {
        Ok(Some(error)) => Err(error),
        _ if hashed.len() != files.len() => {
            Err(io("hashing the files".to_owned(), std::io::Error::other("a thread panicked")))
        }
        _ => {
            hashed.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(hashed)
        }
    }
}

fn hash(found: &FoundFile, piece: &mut [u8], stop: &CancellationToken) -> Result<SiteFile, CollectError> {
    let doing = || format!("reading {}", found.path);
    let mut file = open(found).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::PermissionDenied => CollectError::Theirs(format!(
            "`{}` cannot be read: the build took the permission away.",
            found.path
        )),
        _ => io(doing(), cause),
    })?;
    let mut hasher = ContentHasher::default();
    let mut size = 0;
    loop {
        if stop.is_cancelled() {
            return Err(CollectError::Stopped);
        }
        match file.read(piece).map_err(|cause| io(doing(), cause))? {
            0 => break,
            count => {
                hasher.update(&piece[..count]);
                size += count as u64;
            }
        }
    }
    if size != found.size {
        return Err(io(doing(), std::io::Error::other("it changed while it was read")));
    }
    Ok(SiteFile { path: found.path.clone(), hash: hasher.finish(), size })
}

/// Opens what was found and nothing else: not a link that took its place, and without waiting for a pipe's writer.
fn open(found: &FoundFile) -> std::io::Result<File> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&found.location)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("it is no regular file any more")),
    }
}
