//! Takes these files out of folders: beside the pages, or above them in the project's own folders.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::libc;

use super::{NAMES, ROOT_NAMES, SOURCE_BYTES_MAX, Sources, WRANGLER_NAMES};

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("`{0}` cannot be read: the permission is missing")]
    Denied(&'static str),
    #[error("reading {name}")]
    Io {
        name: &'static str,
        #[source]
        cause: io::Error,
    },
}

impl Sources {
    /// `output` comes first, then `above` in their order; rules for single pages are only looked for in `output`.
    pub fn read(output: &Path, above: &[&Path]) -> Result<Self, ReadError> {
        let mut sources = Self::default();
        for name in NAMES {
            let above: &[&Path] = if ROOT_NAMES.contains(&name) { above } else { &[] };
            for folder in std::iter::once(&output).chain(above) {
                let Some(content) = read_start(&folder.join(name), name)? else { continue };
                if let Some(slot) = sources.slot(name) {
                    *slot = Some(content);
                }
                break;
            }
        }
        let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_file());
        sources.has_wrangler = std::iter::once(&output)
            .chain(above)
            .any(|folder| WRANGLER_NAMES.iter().any(|name| is_file(&folder.join(name))));
        Ok(sources)
    }
}

/// `None`: there is no such file. A link or a pipe in its place is none, and never followed or waited for.
fn read_start(path: &Path, name: &'static str) -> Result<Option<Vec<u8>>, ReadError> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    match opened.and_then(start_of) {
        Ok(content) => Ok(content),
        Err(cause) if is_none(&cause) => Ok(None),
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => Err(ReadError::Denied(name)),
        Err(cause) => Err(ReadError::Io { name, cause }),
    }
}

fn is_none(cause: &io::Error) -> bool {
    // ELOOP: a link. ENXIO: a socket.
    matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename)
        || matches!(cause.raw_os_error(), Some(libc::ELOOP | libc::ENXIO))
}

fn start_of(file: File) -> io::Result<Option<Vec<u8>>> {
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut content = Vec::new();
    file.take(SOURCE_BYTES_MAX as u64).read_to_end(&mut content)?;
    Ok(Some(content))
}
