//! What can go wrong in the store; a variant for each thing that its callers tell apart.

use std::io;
use std::path::PathBuf;

use super::keys::KEY_LEN_MAX;

#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("there is no such bucket")]
    NoSuchBucket,
    #[error("the bucket exists already")]
    BucketExists,
    #[error("a bucket name has 3 to 63 lower-case letters, digits, dots and hyphens")]
    InvalidBucketName,
    #[error("there is no such key")]
    NoSuchKey,
    #[error("a key has 1 to {KEY_LEN_MAX} bytes")]
    KeyTooLong,
    #[error("the object is not as the request demands")]
    PreconditionFailed,
    #[error("the body does not match {0}")]
    BadDigest(&'static str),
    #[error("the body has {received} bytes, {expected} were announced")]
    IncompleteBody { expected: u64, received: u64 },
    #[error("the headers that would be stored are too large")]
    MetadataTooLarge,
    #[error("there is no such multipart upload")]
    NoSuchUpload,
    #[error("part {0} was not uploaded, or has another ETag or checksum")]
    InvalidPart(u16),
    #[error("parts must be listed in ascending order")]
    InvalidPartOrder,
    #[error("every part but the last must have at least 5 MiB, part {0} has less")]
    PartTooSmall(u16),
    #[error("the disk is full")]
    DiskFull,
    #[error("too many files are open")]
    TooManyOpenFiles,
    #[error("the object file {} is damaged", .0.display())]
    Damaged(PathBuf),
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        // EMFILE and ENFILE have no kind of their own.
        const TOO_MANY_OPEN_FILES: [i32; 2] = [24, 23];
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            io::ErrorKind::InvalidFilename => Self::KeyTooLong,
            _ if error.raw_os_error().is_some_and(|code| TOO_MANY_OPEN_FILES.contains(&code)) => {
                Self::TooManyOpenFiles
            }
            _ => Self::Io(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let of_kind = |kind: io::ErrorKind| StoreError::from(io::Error::from(kind));
        assert!(matches!(of_kind(io::ErrorKind::StorageFull), StoreError::DiskFull));
        assert!(matches!(of_kind(io::ErrorKind::QuotaExceeded), StoreError::DiskFull));
        assert!(matches!(of_kind(io::ErrorKind::PermissionDenied), StoreError::Io(_)));
        let too_many_files = io::Error::from_raw_os_error(24);
        assert!(matches!(StoreError::from(too_many_files), StoreError::TooManyOpenFiles));
    }
}
