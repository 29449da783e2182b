//! Byte ranges (RFC 9110 §14), on the content as stored.

use http::header::{HeaderMap, RANGE};

/// Bytes `first..=last` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    pub first: u64,
    pub last: u64,
}

impl ByteRange {
    /// `last` is not below `first`, so this is never zero.
    pub fn size_bytes(self) -> u64 {
        self.last - self.first + 1
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeRequest {
    Whole,
    Part(ByteRange),
    NotSatisfiable,
}

/// What a `Range` header asks of a file of `size` bytes.
///
/// Whatever is not a single well-formed byte range gets the whole file, which RFC 9110 §14.2 allows.
pub(super) fn requested(headers: &HeaderMap, size: u64) -> RangeRequest {
    let mut lines = headers.get_all(RANGE).into_iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return RangeRequest::Whole;
    };
    line.to_str().ok().and_then(|line| parse(line, size)).unwrap_or(RangeRequest::Whole)
}

/// `None` when it is to be ignored.
fn parse(line: &str, size: u64) -> Option<RangeRequest> {
    let (unit, set) = line.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let part = |first: u64, last: u64| RangeRequest::Part(ByteRange { first, last: last.min(size - 1) });
    if first.is_empty() {
        return Some(match number(last)? {
            0 => RangeRequest::NotSatisfiable,
            _ if size == 0 => RangeRequest::Whole,
            suffix => part(size.saturating_sub(suffix), size - 1),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some(if first < size { part(first, last) } else { RangeRequest::NotSatisfiable })
}

/// Digits only; a number too large to hold is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}
