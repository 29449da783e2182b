//! Between the protocol's shapes and the store's.

use std::time::SystemTime;

use s3s::dto::{Bucket, ETag, ETagCondition, ListBucketsOutput, Timestamp};
use s3s::{S3Result, s3_error};
use time::OffsetDateTime;

use crate::embedded::digest::{Algorithm, Checksums};
use crate::embedded::object::ObjectMeta;
use crate::embedded::store::Condition;

/// Collects the checksum fields that many inputs have.
macro_rules! checksums_of {
    ($input:expr) => {
        $crate::embedded::s3::convert::collect_checksums([
            (Algorithm::Crc32, $input.checksum_crc32.take()),
            (Algorithm::Crc32c, $input.checksum_crc32c.take()),
            (Algorithm::Crc64nvme, $input.checksum_crc64nvme.take()),
            (Algorithm::Sha1, $input.checksum_sha1.take()),
            (Algorithm::Sha256, $input.checksum_sha256.take()),
        ])
    };
}

/// Fills the checksum fields that many outputs have.
macro_rules! set_checksums {
    ($output:expr, $checksums:expr) => {{
        let sum = |algorithm| $checksums.get(&algorithm).cloned();
        $output.checksum_crc32 = sum(Algorithm::Crc32);
        $output.checksum_crc32c = sum(Algorithm::Crc32c);
        $output.checksum_crc64nvme = sum(Algorithm::Crc64nvme);
        $output.checksum_sha1 = sum(Algorithm::Sha1);
        $output.checksum_sha256 = sum(Algorithm::Sha256);
    }};
}

/// Collects the headers that are kept, from the inputs that carry them.
macro_rules! headers_of {
    ($input:expr) => {
        $crate::embedded::object::ObjectHeaders {
            content_type: $input.content_type.take(),
            content_encoding: $crate::embedded::s3::convert::stored_encoding($input.content_encoding.take()),
            content_disposition: $input.content_disposition.take(),
            content_language: $input.content_language.take(),
            cache_control: $input.cache_control.take(),
            user: $input.metadata.take().unwrap_or_default().into_iter().collect(),
        }
    };
}

pub(super) use {checksums_of, headers_of, set_checksums};

pub(super) fn collect_checksums(fields: [(Algorithm, Option<String>); 5]) -> Checksums {
    fields.into_iter().filter_map(|(algorithm, sum)| Some((algorithm, sum?))).collect()
}

/// `aws-chunked` is how the body travelled, not what it is.
pub(super) fn stored_encoding(header: Option<String>) -> Option<String> {
    let header = header?;
    let codings: Vec<&str> = header
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!codings.is_empty()).then(|| codings.join(", "))
}

pub(super) fn etag(meta: &ObjectMeta) -> ETag {
    ETag::Strong(meta.etag.clone())
}

pub(super) fn modified(meta: &ObjectMeta) -> Timestamp {
    let nanos = i128::from(meta.modified_ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH).into()
}

pub(super) fn write_condition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::None),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Etag(etag.into_value())),
        // As in S3.
        _ => Err(s3_error!(NotImplemented, "a write takes If-Match, or If-None-Match with *, not both")),
    }
}

pub(super) fn buckets(buckets: Vec<(String, Option<SystemTime>)>) -> ListBucketsOutput {
    let buckets = buckets.into_iter().map(|(name, created)| Bucket {
        creation_date: created.map(Timestamp::from),
        name: Some(name),
        ..Bucket::default()
    });
    ListBucketsOutput { buckets: Some(buckets.collect()), ..ListBucketsOutput::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_chunked_is_not_stored() {
        let cases = [
            (None, None),
            (Some("aws-chunked"), None),
            (Some("gzip"), Some("gzip")),
            (Some("gzip,aws-chunked"), Some("gzip")),
            (Some("AWS-Chunked, br, gzip"), Some("br, gzip")),
        ];
        for (header, stored) in cases {
            assert_eq!(stored_encoding(header.map(str::to_owned)).as_deref(), stored, "{header:?}");
        }
    }
}
