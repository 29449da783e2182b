//! Bodies on their way in: written to a temporary file, checked, sealed, and only then moved into place.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::digest::{self, Algorithm, Checksums, Digests};
use super::error::StoreError;
use super::object::{ObjectHeaders, ObjectMeta};

/// A file that removes itself unless it was moved into place. A cut upload drops it; one that a killed process
/// left behind is removed at the next start.
#[derive(Debug)]
pub(super) struct TempFile {
    path: PathBuf,
    file: File,
}

impl TempFile {
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok(Self { path, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // After a successful move there is nothing at this path, and names are never used twice.
        let _ = fs::remove_file(&self.path);
    }
}

/// What the client said about the body, to be compared with what arrived.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) size_bytes: u64,
    pub(super) md5: Option<[u8; 16]>,
    pub(super) checksums: Checksums,
}

/// A body that is still arriving.
pub(super) struct Incoming {
    temp: TempFile,
    digests: Digests,
    size_bytes: u64,
}

impl Incoming {
    pub(super) fn new(temp: TempFile, algorithms: &[Algorithm]) -> Self {
        Self { temp, digests: Digests::new(algorithms), size_bytes: 0 }
    }

    pub(super) fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        for chunk in chunks {
            self.digests.update(chunk);
            self.temp.file.write_all(chunk)?;
            self.size_bytes += chunk.len() as u64;
        }
        Ok(())
    }

    /// Checks the whole body and makes it durable, not yet visible.
    pub(super) fn seal(
        self,
        expected: &Expected,
        headers: ObjectHeaders,
        modified_ms: u64,
    ) -> Result<Sealed, StoreError> {
        if self.size_bytes != expected.size_bytes {
            return Err(StoreError::IncompleteBody {
                expected: expected.size_bytes,
                received: self.size_bytes,
            });
        }
        let digested = self.digests.finish();
        if expected.md5.is_some_and(|md5| md5 != digested.md5) {
            return Err(StoreError::BadDigest("Content-MD5"));
        }
        for (algorithm, sum) in &expected.checksums {
            if digested.checksums.get(algorithm) != Some(sum) {
                return Err(StoreError::BadDigest(algorithm.header()));
            }
        }
        let meta = ObjectMeta {
            size_bytes: self.size_bytes,
            etag: digest::etag_of(&digested.md5),
            modified_ms,
            headers,
            checksums: expected.checksums.clone(),
        };
        Sealed::new(self.temp, meta)
    }
}

/// A complete object file, durable, waiting to be moved into place.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) temp: TempFile,
    pub(super) meta: ObjectMeta,
}

impl Sealed {
    /// The file must hold the body and stand at its end.
    pub(super) fn new(temp: TempFile, meta: ObjectMeta) -> Result<Self, StoreError> {
        (&temp.file).write_all(&meta.encode_footer()?)?;
        temp.file.sync_all()?;
        Ok(Self { temp, meta })
    }
}
