//! The one place that maps the store's errors to S3's.

use std::fmt::Display;

use s3s::{S3Error, S3ErrorCode};
use tracing::error;

use crate::embedded::error::StoreError;

pub(super) fn s3_error_of(error: &StoreError) -> S3Error {
    let code = match error {
        StoreError::NoSuchBucket => S3ErrorCode::NoSuchBucket,
        StoreError::BucketExists => S3ErrorCode::BucketAlreadyOwnedByYou,
        StoreError::InvalidBucketName => S3ErrorCode::InvalidBucketName,
        StoreError::NoSuchKey => S3ErrorCode::NoSuchKey,
        StoreError::KeyTooLong => S3ErrorCode::KeyTooLongError,
        StoreError::PreconditionFailed => S3ErrorCode::PreconditionFailed,
        StoreError::BadDigest(_) => S3ErrorCode::BadDigest,
        StoreError::IncompleteBody { .. } => S3ErrorCode::IncompleteBody,
        StoreError::MetadataTooLarge => S3ErrorCode::MetadataTooLarge,
        StoreError::NoSuchUpload => S3ErrorCode::NoSuchUpload,
        StoreError::InvalidPart(_) => S3ErrorCode::InvalidPart,
        StoreError::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
        StoreError::PartTooSmall(_) => S3ErrorCode::EntityTooSmall,
        // 503: clients try again later, and by then somebody may have made room.
        StoreError::DiskFull => S3ErrorCode::ServiceUnavailable,
        StoreError::TooManyOpenFiles => S3ErrorCode::SlowDown,
        // Their texts name files of this machine: for the log only.
        StoreError::Damaged(_) | StoreError::Io(_) => return internal(error),
    };
    if matches!(error, StoreError::DiskFull | StoreError::TooManyOpenFiles) {
        error!(%error, "The embedded S3 server refused a request: {error}");
    }
    S3Error::with_message(code, error.to_string())
}

pub(super) fn internal(cause: &dyn Display) -> S3Error {
    error!(error = %cause, "The embedded S3 server failed: {cause}");
    S3Error::with_message(S3ErrorCode::InternalError, "see the log of the server")
}
