//! A look at a path that turns away nearly all patterns which share its beginning, before any is matched.
//!
//! 500 rules may begin alike (`/blog/:slug/part17/:page`). What tells them apart is a whole segment behind a
//! name, the end, or the number of segments; of the path these are found out once, so that a rule costs three
//! comparisons of numbers that lie side by side in memory.

use std::hash::BuildHasher;

use loggia_types::rules::{Part, PathPattern};

/// Patterns have at most 25 segments; the ones behind are not told apart.
const SEGMENTS_MAX: usize = 26;

/// Never turns away a path that the pattern matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    segments_min: u16,
    segments_max: u16,
    /// The last bytes, at most eight, and which of them count.
    end: u64,
    end_mask: u64,
    is_lenient: bool,
    /// A literal segment behind a name, counted from the left, by its hash.
    segment: Option<(u8, u32)>,
}

/// What gates compare, of one path.
#[derive(Debug)]
pub(super) struct Probe {
    segments: u16,
    end: u64,
    end_without_slash: u64,
    hashes: [u32; SEGMENTS_MAX],
}

impl Gate {
    pub(super) const OPEN: Self = Self {
        segments_min: 0,
        segments_max: u16::MAX,
        end: 0,
        end_mask: 0,
        is_lenient: false,
        segment: None,
    };

    pub(super) fn new(pattern: &PathPattern, hasher: &impl BuildHasher) -> Self {
        let slashes: usize = texts(&pattern.parts).map(|text| text.matches('/').count()).sum();
        let has_splat = pattern.parts.contains(&Part::Splat);
        // Of a lenient pattern one slash may be missing before the splat, or stand at the end.
        let leeway = usize::from(pattern.lenient);
        let max = if has_splat { usize::MAX } else { slashes + 1 + leeway };
        let (end, end_mask) = end_of_pattern(pattern);
        Self {
            segments_min: saturated((slashes + 1).saturating_sub(leeway)),
            segments_max: saturated(max),
            end,
            end_mask,
            is_lenient: pattern.lenient,
            segment: literal_segment(pattern, hasher),
        }
    }

    pub(super) fn admits(&self, probe: &Probe) -> bool {
        let end = if self.is_lenient { probe.end_without_slash } else { probe.end };
        (self.segments_min..=self.segments_max).contains(&probe.segments)
            && end & self.end_mask == self.end
            && self.segment.is_none_or(|(at, hash)| probe.hashes.get(usize::from(at)) == Some(&hash))
    }
}

impl Probe {
    pub(super) fn new(path: &str, hasher: &impl BuildHasher) -> Self {
        let mut hashes = [0; SEGMENTS_MAX];
        for (slot, segment) in hashes.iter_mut().zip(path.as_bytes().split(|byte| *byte == b'/')) {
            *slot = hash(segment, hasher);
        }
        Self {
            segments: saturated(memchr::memchr_iter(b'/', path.as_bytes()).count() + 1),
            end: last_bytes(path).0,
            end_without_slash: last_bytes(path.strip_suffix('/').unwrap_or(path)).0,
            hashes,
        }
    }
}

fn end_of_pattern(pattern: &PathPattern) -> (u64, u64) {
    match pattern.parts.last() {
        Some(Part::Text(text)) if pattern.lenient => last_bytes(text.strip_suffix('/').unwrap_or(text)),
        Some(Part::Text(text)) => last_bytes(text),
        _ => (0, 0),
    }
}

/// The last eight bytes, the very last one in the highest place, and a mask of those that are there.
fn last_bytes(text: &str) -> (u64, u64) {
    let bytes = text.bytes().rev().take(8).zip((0..8u32).rev());
    bytes.fold((0, 0), |(value, mask), (byte, place)| {
        (value | u64::from(byte) << (place * 8), mask | 0xff << (place * 8))
    })
}

/// The first whole segment of text behind a name and before the splat: what stands between two slashes.
fn literal_segment(pattern: &PathPattern, hasher: &impl BuildHasher) -> Option<(u8, u32)> {
    let mut segments_before = 0;
    for (index, part) in pattern.parts.iter().enumerate() {
        match part {
            Part::Splat => return None,
            Part::Name(_) => {}
            Part::Text(text) => {
                let slashes = text.matches('/').count();
                if let (true, true, Some(segment)) = (index > 0, slashes > 1, text.split('/').nth(1)) {
                    let at = u8::try_from(segments_before + 1).ok()?;
                    return (usize::from(at) < SEGMENTS_MAX).then(|| (at, hash(segment.as_bytes(), hasher)));
                }
                segments_before += slashes;
            }
        }
    }
    None
}

fn texts(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(&**text),
        Part::Name(_) | Part::Splat => None,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "any 32 bits of a hash will do")]
fn hash(segment: &[u8], hasher: &impl BuildHasher) -> u32 {
    hasher.hash_one(segment) as u32
}

fn saturated(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
