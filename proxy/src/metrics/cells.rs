//! Counters that cost next to nothing: plain atomics, found by index, and apart for each thread where every
//! request touches them, so that cores do not fight for a cache line. Summed up when somebody reads them.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::labels::Label;

/// More workers than this share; one shard is about 4 KiB.
const SHARDS_MAX: usize = 64;

/// One counter for each value of a label, for what happens less often than requests.
#[derive(Debug)]
pub(crate) struct Counters<L> {
    cells: Box<[AtomicU64]>,
    label: PhantomData<L>,
}

impl<L: Label> Default for Counters<L> {
    fn default() -> Self {
        Self { cells: L::ALL.iter().map(|_| AtomicU64::new(0)).collect(), label: PhantomData }
    }
}

impl<L: Label> Counters<L> {
    pub(crate) fn count(&self, label: L) {
        self.add(label, 1);
    }

    pub(crate) fn add(&self, label: L, n: u64) {
        self.cells[label.index()].fetch_add(n, Ordering::Relaxed);
    }

    /// For gauges.
    pub(crate) fn uncount(&self, label: L) {
        self.cells[label.index()].fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, label: L) -> u64 {
        self.cells[label.index()].load(Ordering::Relaxed)
    }
}

/// The same cells for each of some threads.
#[derive(Debug)]
pub(super) struct Sharded<T> {
    shards: Box<[Shard<T>]>,
}

/// Two cache lines: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard<T>(T);

impl<T: Default> Sharded<T> {
    pub(super) fn new(threads: usize) -> Self {
        let shards = threads.clamp(1, SHARDS_MAX).next_power_of_two();
        Self { shards: (0..shards).map(|_| Shard::default()).collect() }
    }
}

impl<T> Sharded<T> {
    /// The cells of this thread.
    pub(super) fn mine(&self) -> &T {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        // Their number is a power of two.
        &self.shards[THREAD.with(Cell::get) & (self.shards.len() - 1)].0
    }

    pub(super) fn sum(&self, cell: impl Fn(&T) -> &AtomicU64) -> u64 {
        self.shards.iter().map(|shard| cell(&shard.0).load(Ordering::Relaxed)).sum()
    }
}

/// Upper bounds in microseconds: from an answer out of memory to the store's time limit of 10 s.
pub(super) const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 2_500_000,
    10_000_000,
];

#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// The last one is for all that is longer.
    pub(super) buckets: [AtomicU64; BOUNDS_US.len() + 1],
    pub(super) sum_us: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_first_bucket_that_holds_them() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(us));
        }
        let counts: Vec<u64> = histogram.buckets.iter().map(|cell| cell.load(Ordering::Relaxed)).collect();
        assert_eq!((counts[0], counts[1], counts[13], counts[14]), (2, 1, 1, 1));
        assert_eq!(histogram.sum_us.load(Ordering::Relaxed), 20_000_202);
    }

    #[test]
    fn shards_add_up_whichever_thread_counts() {
        let cells: Sharded<AtomicU64> = Sharded::new(3);
        assert_eq!(cells.shards.len(), 4);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        cells.mine().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(cells.sum(|cell| cell), 8000);
    }
}
