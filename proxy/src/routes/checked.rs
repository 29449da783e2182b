//! When a route was last checked, in eight bytes.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How much earlier than others a route may be checked again, in 1275ths of the time: up to a fifth, so that those which
/// were learned together are not checked together.
const JITTER_UNITS: u64 = 1275;

const GENERATION_SHIFT: u32 = 48;
const JITTER_SHIFT: u32 = 40;
const MILLIS_MASK: u64 = (1 << JITTER_SHIFT) - 1;

/// From the highest bit: 16 of the generation in which it was asked for, 8 of chance, 40 of milliseconds since the start,
/// plus one. Time is enough for 34 years; a route of 65,536 generations ago would count as of this one, had it not expired
/// long before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked(NonZeroU64);

impl Checked {
    pub(super) fn new(generation: u64, started: Instant, now: Instant) -> Self {
        let millis = (millis(started, now) + 1) & MILLIS_MASK;
        let jitter = u64::from(rand::random::<u8>());
        let bits = generation << GENERATION_SHIFT | jitter << JITTER_SHIFT | millis;
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }

    pub(super) fn to_bits(self) -> u64 {
        self.0.get()
    }

    /// When it was, for comparison.
    pub(super) fn millis(self) -> u64 {
        self.0.get() & MILLIS_MASK
    }

    /// Whether it was in this generation, and less than `max_age` ago.
    pub(super) fn is_fresh(self, generation: u64, started: Instant, now: Instant, max_age: Duration) -> bool {
        let bits = self.0.get();
        let max_age = whole_millis(max_age);
        let jitter = bits >> JITTER_SHIFT & u64::from(u8::MAX);
        let max_age = max_age - max_age * jitter / JITTER_UNITS;
        bits >> GENERATION_SHIFT == generation << GENERATION_SHIFT >> GENERATION_SHIFT
            && millis(started, now) + 1 < self.millis() + max_age
    }
}

fn millis(started: Instant, now: Instant) -> u64 {
    whole_millis(now.saturating_duration_since(started))
}

/// As `Duration::as_millis`, without its 128 bits.
fn whole_millis(duration: Duration) -> u64 {
    duration.as_secs() * 1000 + u64::from(duration.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fresh_for_four_fifths_of_the_time_at_least_and_for_all_of_it_at_most() {
        let (started, max_age) = (Instant::now(), Duration::from_secs(300));
        let at = |secs| started + Duration::from_secs(secs);
        for _ in 0..1000 {
            let checked = Checked::new(7, started, at(10));
            let is_fresh = |generation, secs| checked.is_fresh(generation, started, at(secs), max_age);
            assert!(is_fresh(7, 10) && is_fresh(7, 249) && !is_fresh(7, 310));
            assert!(!is_fresh(6, 10) && !is_fresh(8, 10));
            assert_eq!(Checked::from_bits(checked.to_bits()), Some(checked));
        }
        let at_once = Checked::new(0, started, started);
        assert!(at_once.is_fresh(0, started, started, max_age) && at_once.to_bits() != 0);
        let early = at_once.is_fresh(0, at(5), started, max_age);
        assert!(early, "clocks of two threads");
    }

    #[test]
    fn generations_are_told_apart_also_after_many() {
        let started = Instant::now();
        let checked = Checked::new(u64::from(u16::MAX), started, started);
        let is_fresh = |generation| checked.is_fresh(generation, started, started, Duration::from_secs(1));
        assert!(is_fresh(u64::from(u16::MAX)) && !is_fresh(u64::from(u16::MAX) + 1) && !is_fresh(0));
    }
}
