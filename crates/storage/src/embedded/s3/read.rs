//! GetObject and HeadObject.

use std::ops::Range as Span;

use http::header::{CONTENT_RANGE, ETAG};
use http::{HeaderMap, HeaderValue};
use s3s::dto::{
    ChecksumMode, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, Range,
    Timestamp,
};
use s3s::{S3Error, S3ErrorCode, S3Response, S3Result};
use time::OffsetDateTime;

use super::body::blob;
use super::convert::{self, set_checksums};
use super::{Answer, FolderS3};
use crate::embedded::digest::{Algorithm, Checksums};
use crate::embedded::object::ObjectMeta;

pub(super) async fn get_object(s3: &FolderS3, input: GetObjectInput) -> Answer<GetObjectOutput> {
    let preconditions = Preconditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let (bucket, key) = (input.bucket, input.key);
    let object = s3.blocking(move |store| store.get(&bucket, &key)).await?;
    let meta = object.meta;
    preconditions.check(&meta)?;
    let span = span(input.range, meta.size_bytes)?;

    let mut output = GetObjectOutput {
        body: Some(blob(object.body, span.bytes.clone())),
        content_range: span.content_range,
        content_length: length(&span.bytes),
        accept_ranges: Some("bytes".to_owned()),
        content_type: Some(content_type(&meta)),
        e_tag: Some(convert::etag(&meta)),
        last_modified: Some(convert::modified(&meta)),
        ..GetObjectOutput::default()
    };
    let is_whole = output.content_range.is_none();
    set_checksums!(output, checksums_for(&meta, input.checksum_mode.as_ref(), is_whole));
    output.content_encoding = meta.headers.content_encoding;
    output.content_disposition = meta.headers.content_disposition;
    output.content_language = meta.headers.content_language;
    output.cache_control = meta.headers.cache_control;
    output.metadata = Some(meta.headers.user.into_iter().collect());
    Ok(S3Response::new(output))
}

pub(super) async fn head_object(s3: &FolderS3, input: HeadObjectInput) -> Answer<HeadObjectOutput> {
    let preconditions = Preconditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let (bucket, key) = (input.bucket, input.key);
    let meta = s3.blocking(move |store| store.head(&bucket, &key)).await?;
    preconditions.check(&meta)?;
    let span = span(input.range, meta.size_bytes)?;

    let mut output = HeadObjectOutput {
        content_range: span.content_range,
        content_length: length(&span.bytes),
        accept_ranges: Some("bytes".to_owned()),
        content_type: Some(content_type(&meta)),
        e_tag: Some(convert::etag(&meta)),
        last_modified: Some(convert::modified(&meta)),
        ..HeadObjectOutput::default()
    };
    let is_whole = output.content_range.is_none();
    set_checksums!(output, checksums_for(&meta, input.checksum_mode.as_ref(), is_whole));
    output.content_encoding = meta.headers.content_encoding;
    output.content_disposition = meta.headers.content_disposition;
    output.content_language = meta.headers.content_language;
    output.cache_control = meta.headers.cache_control;
    output.metadata = Some(meta.headers.user.into_iter().collect());
    Ok(S3Response::new(output))
}

/// RFC 9110, section 13.
struct Preconditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

impl Preconditions {
    /// In the order of section 13.2.2: a date counts only where there is no ETag to compare.
    fn check(self, meta: &ObjectMeta) -> S3Result<()> {
        let names_it = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == meta.etag,
        };
        // Dates in headers have whole seconds; an object must not look newer than its own Last-Modified.
        let modified_secs = i64::try_from(meta.modified_ms / 1000).unwrap_or(i64::MAX);
        let is_after = |date: Timestamp| modified_secs > OffsetDateTime::from(date).unix_timestamp();

        let holds = match (&self.if_match, self.if_unmodified_since) {
            (Some(condition), _) => names_it(condition),
            (None, Some(date)) => !is_after(date),
            (None, None) => true,
        };
        if !holds {
            return Err(S3ErrorCode::PreconditionFailed.into());
        }
        let is_news = match (&self.if_none_match, self.if_modified_since) {
            (Some(condition), _) => !names_it(condition),
            (None, Some(date)) => is_after(date),
            (None, None) => true,
        };
        if is_news { Ok(()) } else { Err(not_modified(meta)) }
    }
}

/// A 304 carries the ETag, so that a cache knows which of its entries is still good.
fn not_modified(meta: &ObjectMeta) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    if let Ok(value) = convert::etag(meta).to_http_header() {
        error.set_headers(HeaderMap::from_iter([(ETAG, value)]));
    }
    error
}

struct Sent {
    bytes: Span<u64>,
    /// `None`: the whole object, status 200.
    content_range: Option<String>,
}

fn span(range: Option<Range>, size_bytes: u64) -> S3Result<Sent> {
    let Some(range) = range else {
        return Ok(Sent { bytes: 0..size_bytes, content_range: None });
    };
    let bytes = range.check(size_bytes).ok().filter(|bytes| !bytes.is_empty());
    let bytes = bytes.ok_or_else(|| unsatisfiable(size_bytes))?;
    let content_range = format!("bytes {}-{}/{size_bytes}", bytes.start, bytes.end - 1);
    Ok(Sent { bytes, content_range: Some(content_range) })
}

fn unsatisfiable(size_bytes: u64) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::InvalidRange);
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{size_bytes}")) {
        error.set_headers(HeaderMap::from_iter([(CONTENT_RANGE, value)]));
    }
    error
}

fn length(bytes: &Span<u64>) -> Option<i64> {
    i64::try_from(bytes.end - bytes.start).ok()
}

/// What S3 says about an object that came without one.
fn content_type(meta: &ObjectMeta) -> String {
    meta.headers.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned())
}

/// They are over the whole object, so a client could not compare them with a range.
fn checksums_for(meta: &ObjectMeta, mode: Option<&ChecksumMode>, is_whole: bool) -> Checksums {
    match mode {
        Some(mode) if is_whole && mode.as_str() == ChecksumMode::ENABLED => meta.checksums.clone(),
        _ => Checksums::new(),
    }
}
