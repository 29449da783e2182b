//! Conditional requests (RFC 9110 §13), from the manifest alone.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};
use loggia_types::manifest::{Coding, Entry};
use loggia_types::{ContentHash, Manifest, Timestamp};

/// 128 of the 256 bits: the tag only has to tell versions of one URL apart.
const TAG_HASH_BYTES: usize = 16;

/// Quotes, 32 hex digits, and `-zstd`.
const TAG_BYTES_MAX: usize = 2 + 2 * TAG_HASH_BYTES + 5;

/// A strong entity tag with its quotes: `"…"`, or `"…-br"` of a coding. It lies on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EntityTag {
    bytes: [u8; TAG_BYTES_MAX],
    len: usize,
}

impl EntityTag {
    pub fn new(hash: ContentHash, coding: Option<Coding>) -> Self {
        let mut tag = Self { bytes: [0; TAG_BYTES_MAX], len: 0 };
        let mut digits = [0; 2 * TAG_HASH_BYTES];
        data_encoding::HEXLOWER.encode_mut(&hash.as_bytes()[..TAG_HASH_BYTES], &mut digits);
        tag.push(b"\"");
        tag.push(&digits);
        if let Some(coding) = coding {
            tag.push(b"-");
            tag.push(coding.as_str().as_bytes());
        }
        tag.push(b"\"");
        tag
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

impl fmt::Debug for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// What identifies the content that a URL shows now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validators {
    pub etag: EntityTag,
    /// When the deployment was made, in whole seconds as HTTP dates are.
    pub last_modified: SystemTime,
}

impl Validators {
    pub fn of(manifest: &Manifest, entry: &Entry<'_>, coding: Option<Coding>) -> Self {
        let etag = EntityTag::new(entry.hash(), coding);
        Self { etag, last_modified: http_time(manifest.facts().created_at) }
    }

    /// Whether the client wants this content and no other (RFC 9110 §13.1.1, §13.1.4). `If-Unmodified-Since` only
    /// counts without `If-Match`, which compares strongly.
    pub fn are_as_demanded(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(IF_MATCH) {
            let mut lines = headers.get_all(IF_MATCH).into_iter();
            return lines.any(|line| self.is_listed(line.as_bytes(), Comparison::Strong));
        }
        let since = only_date(headers, &IF_UNMODIFIED_SINCE);
        since.is_none_or(|since| self.last_modified <= since)
    }

    /// Whether the client already has this content. `If-Modified-Since` only counts without `If-None-Match`.
    pub fn are_met_by(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(IF_NONE_MATCH) {
            let mut lines = headers.get_all(IF_NONE_MATCH).into_iter();
            return lines.any(|line| self.is_listed(line.as_bytes(), Comparison::Weak));
        }
        let since = only_date(headers, &IF_MODIFIED_SINCE);
        since.is_some_and(|since| self.last_modified <= since)
    }

    /// Whether a range may be taken out of this content: `If-Range` needs a strong match (RFC 9110 §13.1.5).
    pub fn allow_range(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(IF_RANGE).into_iter();
        let value = match (lines.next(), lines.next()) {
            (None, _) => return true,
            (Some(value), None) => value.as_bytes().trim_ascii(),
            // Two of them name no one version.
            (Some(_), Some(_)) => return false,
        };
        if value.starts_with(b"\"") || value.starts_with(b"W/") {
            return value == self.etag.as_bytes();
        }
        parse_date(value) == Some(self.last_modified)
    }

    /// Whether a tag of a list is this one, or the list is `*`.
    fn is_listed(&self, line: &[u8], comparison: Comparison) -> bool {
        if line.trim_ascii() == b"*" {
            return true;
        }
        let mut rest = line;
        while let Some(open) = rest.iter().position(|byte| *byte == b'"') {
            let tag = &rest[open..];
            let Some(len) = tag[1..].iter().position(|byte| *byte == b'"') else {
                return false;
            };
            let (tag, after) = tag.split_at(len + 2);
            let is_comparable = comparison == Comparison::Weak || !rest[..open].ends_with(b"W/");
            if is_comparable && tag == self.etag.as_bytes() {
                return true;
            }
            rest = after;
        }
        false
    }
}

/// RFC 9110 §8.8.3.2: whether `W/"x"` is `"x"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Weak,
    Strong,
}

/// The date of a header that has one line; with another one it is no date (RFC 9110 §13.1.3, §13.1.4).
fn only_date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut lines = headers.get_all(name).into_iter();
    let date = parse_date(lines.next()?.as_bytes());
    lines.next().is_none().then_some(date)?
}

fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

/// HTTP has no dates before 1970.
fn http_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(at.unix_secs().max(0).unsigned_abs())
}
