//! Many visitors, who ask at a steady pace and compare every answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::site::Page;
use super::visitor::{Lost, Seen, Visitor};
use crate::rounds::median;

/// The time over which one p99 is taken.
const WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub visitors: usize,
    /// From one request of a visitor to the next.
    pub pause: Duration,
    /// They keep their connections.
    pub stay: bool,
}

impl Pace {
    /// 800 requests a second: enough for a p99 in each second, and little enough to leave the machine idle.
    pub(super) const STEADY: Self = Self { visitors: 16, pause: Duration::from_millis(20), stay: true };

    pub(super) const fn with_new_connections(self) -> Self {
        Self { stay: false, ..self }
    }

    pub(super) fn per_second(self) -> f64 {
        self.visitors as f64 / self.pause.as_secs_f64()
    }
}

/// What visitors have seen so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub right: u64,
    pub hits: u64,
    /// Other bytes than were deployed.
    pub wrong: u64,
    /// Another status.
    pub other: u64,
    pub refused: u64,
    /// Ended before the end, or without any.
    pub cut: u64,
}

impl Counts {
    pub(super) fn failed(&self) -> u64 {
        self.other + self.refused + self.cut
    }

    pub(super) fn and(&self, others: &Self) -> Self {
        Self {
            right: self.right + others.right,
            hits: self.hits + others.hits,
            wrong: self.wrong + others.wrong,
            other: self.other + others.other,
            refused: self.refused + others.refused,
            cut: self.cut + others.cut,
        }
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            right: self.right - before.right,
            hits: self.hits - before.hits,
            wrong: self.wrong - before.wrong,
            other: self.other - before.other,
            refused: self.refused - before.refused,
            cut: self.cut - before.cut,
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    right: AtomicU64,
    hits: AtomicU64,
    wrong: AtomicU64,
    other: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
    latencies_us: Mutex<Vec<u32>>,
    /// The first thing that was not right.
    trouble: Mutex<Option<String>>,
}

impl Tally {
    fn note(&self, page: &Page, seen: &Result<Seen, Lost>, took: Duration) {
        let counter = match seen {
            Ok(Seen::Right(head)) => {
                if head.header("x-cache").is_some_and(|value| value.starts_with("HIT")) {
                    self.hits.fetch_add(1, Ordering::Relaxed);
                }
                &self.right
            }
            Ok(Seen::Wrong(_)) => &self.wrong,
            Ok(Seen::Other(_)) => &self.other,
            Err(Lost::Refused(_)) => &self.refused,
            Err(_) => &self.cut,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if !matches!(seen, Ok(Seen::Right(_))) {
            let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.get_or_insert_with(|| format!("{}{}: {seen:?}", page.host, page.path));
        }
        let took_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.latencies().push(took_us);
    }

    fn latencies(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.latencies_us.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// They leave when this is dropped.
#[derive(Debug)]
pub(super) struct Crowd {
    tally: Arc<Tally>,
    _visitors: JoinSet<()>,
}

impl Crowd {
    /// They ask for any of the pages.
    pub(super) fn start(addr: SocketAddr, pages: &Arc<[Page]>, pace: Pace) -> Self {
        let tally = Arc::new(Tally::default());
        let mut visitors = JoinSet::new();
        for number in 0..pace.visitors {
            let (tally, pages) = (Arc::clone(&tally), Arc::clone(pages));
            visitors.spawn(async move {
                // They do not come all at once.
                sleep(pace.pause.mul_f64(number as f64 / pace.visitors as f64)).await;
                visit(addr, &pages, pace, &tally).await;
            });
        }
        Self { tally, _visitors: visitors }
    }

    pub(super) fn counts(&self) -> Counts {
        let Tally { right, hits, wrong, other, refused, cut, .. } = &*self.tally;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            right: load(right),
            hits: load(hits),
            wrong: load(wrong),
            other: load(other),
            refused: load(refused),
            cut: load(cut),
        }
    }

    /// The first thing that was not right, to be looked into.
    pub(super) fn trouble(&self) -> Option<String> {
        self.tally.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Watches them for a while. Gives the p99 of each second, in milliseconds.
    pub(super) async fn watch(&self, time: Duration) -> Vec<f64> {
        self.tally.latencies().clear();
        let mut windows = Vec::new();
        let end = Instant::now() + time;
        while Instant::now() < end {
            sleep(WINDOW).await;
            let latencies_us = std::mem::take(&mut *self.tally.latencies());
            windows.extend(p99(latencies_us.into_iter().map(|took_us| f64::from(took_us) / 1e3)));
        }
        windows
    }
}

async fn visit(addr: SocketAddr, pages: &[Page], pace: Pace, tally: &Tally) {
    let mut visitor = Visitor::new(addr);
    let mut ticks = interval(pace.pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !pace.stay {
            visitor = Visitor::new(addr);
        }
        let page = &pages[rand::rng().random_range(0..pages.len())];
        let asked_at = Instant::now();
        let seen = visitor.look_at(page).await;
        tally.note(page, &seen, asked_at.elapsed());
    }
}

/// The least value that 99 of 100 do not exceed.
pub(super) fn p99(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let at = (values.len() * 99).div_ceil(100).checked_sub(1)?;
    values.get(at).copied()
}

/// The p99 of each second, during something and around it: what else the machine does hits both.
#[derive(Debug, Default)]
pub(super) struct Compared {
    during: Vec<f64>,
    around: Vec<f64>,
}

impl Compared {
    pub(super) fn around(&mut self, windows: Vec<f64>) {
        self.around.extend(windows);
    }

    pub(super) fn during(&mut self, windows: Vec<f64>) {
        self.during.extend(windows);
    }

    /// Medians, in milliseconds: during it and around it.
    pub(super) fn p99_ms(&self) -> (f64, f64) {
        (median(self.during.iter().copied()), median(self.around.iter().copied()))
    }

    pub(super) fn ratio(&self) -> f64 {
        let (during, around) = self.p99_ms();
        during / around
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p99_is_not_exceeded_by_99_of_100() {
        assert_eq!(p99((1..=100).map(f64::from)), Some(99.0));
        assert_eq!(p99((1..=1000).map(f64::from)), Some(990.0));
        assert_eq!(p99([7.0]), Some(7.0));
        assert_eq!(p99([]), None);
    }

    #[test]
    fn the_medians_of_windows_are_compared() {
        let mut compared = Compared::default();
        compared.around(vec![1.0, 2.0, 50.0]);
        compared.during(vec![3.0]);
        assert_eq!(compared.ratio(), 1.5);
        assert!(Compared::default().ratio().is_nan());
    }
}
