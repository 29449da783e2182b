//! Byte ranges (RFC 9110 §14), on the content as stored.

use bytes::Bytes;
use http::header::{HeaderMap, RANGE};

/// Three are what PDF viewers ask for; each one costs a request to the store.
pub const RANGES_MAX: usize = 5;

/// Bytes `first..=last` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    pub first: u64,
    pub last: u64,
}

impl ByteRange {
    /// `last` is not below `first`, so this is never zero.
    /// Its bytes of a file that is in memory.
    pub fn of(self, file: &Bytes) -> Bytes {
        // A range was made for a file's size.
        let at = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX).min(file.len());
        file.slice(at(self.first)..at(self.last.saturating_add(1)))
    }

    pub fn size_bytes(self) -> u64 {
        self.last - self.first + 1
    }

    fn touches(self, other: Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }
}

/// One to [`RANGES_MAX`] ranges that neither touch nor overlap, in the order in which they were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    items: [ByteRange; RANGES_MAX],
    len: usize,
}

impl Ranges {
    pub fn as_slice(&self) -> &[ByteRange] {
        &self.items[..self.len]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeRequest {
    /// There is none, or one to be ignored.
    Whole,
    Part(Ranges),
    NotSatisfiable,
}

/// What a `Range` header asks of a file of `size` bytes.
///
/// Whatever is not a well-formed set of at most [`RANGES_MAX`] byte ranges gets the whole file, which RFC 9110
/// §14.2 allows.
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
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut items = [ByteRange { first: 0, last: 0 }; RANGES_MAX];
    let (mut len, mut asked) = (0, 0);
    // RFC 9110 §5.6.1.2: empty elements of a list count for nothing.
    for text in set.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        asked += 1;
        if asked > RANGES_MAX {
            return None;
        }
        match parse_one(text, size)? {
            One::Everything => return Some(RangeRequest::Whole),
            One::Nothing => {}
            One::Range(range) => {
                items[len] = range;
                len += 1;
            }
        }
    }
    if asked == 0 {
        return None;
    }
    Some(if len == 0 { RangeRequest::NotSatisfiable } else { RangeRequest::Part(coalesce(items, len)) })
}

enum One {
    Range(ByteRange),
    /// The last so many bytes of an empty file.
    Everything,
    /// It begins behind the end.
    Nothing,
}

fn parse_one(text: &str, size: u64) -> Option<One> {
    let (first, last) = text.split_once('-')?;
    if first.is_empty() {
        return Some(match number(last)? {
            0 => One::Nothing,
            _ if size == 0 => One::Everything,
            suffix => One::Range(ByteRange { first: size.saturating_sub(suffix), last: size - 1 }),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    // A range that ends before it begins holds no byte. RFC 9110 §14.2 leaves it open; most servers say 416.
    Some(if first <= last && first < size {
        One::Range(ByteRange { first, last: last.min(size - 1) })
    } else {
        One::Nothing
    })
}

/// Joins what touches or overlaps: a client gets no byte twice, however it asks (RFC 9110 §14.2). The others keep
/// their order (§15.3.7.2); what was joined stands where the first of it stood.
fn coalesce(items: [ByteRange; RANGES_MAX], len: usize) -> Ranges {
    let mut kept = Ranges { items, len: 0 };
    for range in &items[..len] {
        kept.add(*range);
    }
    kept
}

impl Ranges {
    fn add(&mut self, mut range: ByteRange) {
        let mut place = self.len;
        while let Some(at) = self.as_slice().iter().position(|kept| kept.touches(range)) {
            let other = self.items[at];
            range = ByteRange { first: range.first.min(other.first), last: range.last.max(other.last) };
            self.items.copy_within(at + 1..self.len, at);
            self.len -= 1;
            place = place.min(at);
        }
        self.items.copy_within(place..self.len, place + 1);
        self.items[place] = range;
        self.len += 1;
    }
}

/// Digits only; a number too large to hold is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn summary(value: &str, size: u64) -> String {
        let Ok(value) = HeaderValue::from_str(value) else { return "no header".into() };
        match requested(&HeaderMap::from_iter([(RANGE, value)]), size) {
            RangeRequest::Whole => "whole".into(),
            RangeRequest::NotSatisfiable => "416".into(),
            RangeRequest::Part(ranges) => {
                let texts = ranges.as_slice().iter().map(|range| format!("{}-{}", range.first, range.last));
                texts.collect::<Vec<_>>().join(",")
            }
        }
    }

    #[test]
    fn ranges_of_ten_bytes() {
        let cases = [
            ("bytes=0-0", "0-0"),
            ("bytes=2-5", "2-5"),
            ("bytes=5-", "5-9"),
            ("bytes=5-99", "5-9"),
            ("bytes=-3", "7-9"),
            ("bytes=-99", "0-9"),
            ("Bytes = 1-2", "1-2"),
            ("bytes=9-99999999999999999999999", "9-9"),
            ("bytes=10-", "416"),
            ("bytes=10-11,20-", "416"),
            ("bytes=-0", "416"),
            ("bytes=0-0,-1", "0-0,9-9"),
            ("bytes=5-6,0-1", "5-6,0-1"),
            ("bytes=-1,0-0", "9-9,0-0"),
            ("bytes=8-8,0-0,4-4,1-3", "8-8,0-4"),
            ("bytes=4-5,8-9,0-1,6-7,2-3", "0-9"),
            ("bytes=0-1,2-3", "0-3"),
            ("bytes=0-5,3-4,8-", "0-5,8-9"),
            ("bytes=0-0, ,2-2", "0-0,2-2"),
            ("bytes=0-0,99-", "0-0"),
            ("bytes=0-,0-,0-,0-,0-", "0-9"),
            ("bytes=0-0,2-2,4-4,6-6,8-8", "0-0,2-2,4-4,6-6,8-8"),
            ("bytes=0-0,2-2,4-4,6-6,8-8,9-9", "whole"),
            ("bytes=", "whole"),
            ("bytes=,", "whole"),
            ("bytes=5-2", "416"),
            ("bytes=0-0,5-2", "0-0"),
            ("bytes=a-b", "whole"),
            ("bytes=+1-2", "whole"),
            ("bytes=1", "whole"),
            ("bytes=--1", "whole"),
            ("items=0-1", "whole"),
            ("0-1", "whole"),
        ];
        for (value, expected) in cases {
            assert_eq!(summary(value, 10), expected, "{value}");
        }
        assert_eq!(summary("bytes=0-", 0), "416");
        assert_eq!(summary("bytes=-5", 0), "whole");
        let twice =
            [(RANGE, HeaderValue::from_static("bytes=0-1")), (RANGE, HeaderValue::from_static("bytes=3-4"))];
        let mut map = HeaderMap::new();
        for (name, value) in twice {
            map.append(name, value);
        }
        assert_eq!(requested(&map, 10), RangeRequest::Whole);
    }

    proptest! {
        #[test]
        fn what_is_sent_lies_inside_and_never_repeats_a_byte(
            value in "bytes=[-,0-9 ]{0,24}", size in 0u64..30,
        ) {
            let map = HeaderMap::from_iter([(RANGE, HeaderValue::from_str(&value).expect("ASCII"))]);
            if let RangeRequest::Part(ranges) = requested(&map, size) {
                let mut ranges = ranges.as_slice().to_vec();
                ranges.sort_unstable_by_key(|range| range.first);
                prop_assert!(!ranges.is_empty() && ranges.len() <= RANGES_MAX);
                prop_assert!(ranges.iter().all(|range| range.first <= range.last && range.last < size));
                prop_assert!(ranges.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
            }
        }

        #[test]
        fn any_header_is_answered(value in proptest::collection::vec(any::<u8>(), 0..40), size in any::<u64>()) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let _ = requested(&HeaderMap::from_iter([(RANGE, value)]), size);
            }
        }
    }
}
