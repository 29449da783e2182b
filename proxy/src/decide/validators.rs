//! Conditional requests (RFC 9110 §13), from the manifest alone.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE};
use loggia_types::Timestamp;

/// What identifies the content that a URL shows now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    /// Strong, with its quotes.
    pub etag: String,
    /// When the deployment was made, in whole seconds as HTTP dates are.
    pub last_modified: SystemTime,
}

impl Validators {
    pub fn new(etag: String, created_at: Timestamp) -> Self {
        Self { etag, last_modified: http_time(created_at) }
    }

    /// Whether the client already has this content. `If-Modified-Since` only counts without `If-None-Match`.
    pub fn are_met_by(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(IF_NONE_MATCH) {
            return headers.get_all(IF_NONE_MATCH).into_iter().any(|line| self.is_listed(line.as_bytes()));
        }
        let since = headers.get(IF_MODIFIED_SINCE).and_then(|value| parse_date(value.as_bytes()));
        since.is_some_and(|since| self.last_modified <= since)
    }

    /// Whether a range may be taken out of this content: `If-Range` needs a strong match (RFC 9110 §13.1.5).
    pub fn allow_range(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(IF_RANGE) else {
            return true;
        };
        let value = value.as_bytes().trim_ascii();
        if value.starts_with(b"\"") || value.starts_with(b"W/") {
            return value == self.etag.as_bytes();
        }
        parse_date(value) == Some(self.last_modified)
    }

    /// Weak comparison with each tag of a list, or `*`.
    fn is_listed(&self, line: &[u8]) -> bool {
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
            if tag == self.etag.as_bytes() {
                return true;
            }
            rest = after;
        }
        false
    }
}

fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

/// HTTP has no dates before 1970.
fn http_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(at.unix_secs().max(0).unsigned_abs())
}
