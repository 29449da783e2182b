//! How often the api is asked in a second, and who is first when more is to be asked.
//!
//! An edge of ten thousand hostnames has all of them to check when the api comes back, and whoever points at it with
//! made-up names could keep the api busy. Whoever has to wait for longer than it is worth is not asked for at all.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as Queue;
use tokio::time::{Instant, sleep};

/// With [`BURST`] at most 200 questions in any second, whatever happens.
const PER_SECOND: f64 = 150.0;

/// What a quiet edge asks at once: nobody waits on it.
const BURST: f64 = 50.0;

/// For what a question is. The first ones are asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// An event says that a route changed: a promote is not late because of others' questions.
    Event,
    /// A visitor waits, and there is nothing to serve.
    Visitor,
    /// A route that is served meanwhile is checked.
    Check,
}

impl Cause {
    /// What is left of the burst for those that come before.
    const fn leaves(self) -> f64 {
        match self {
            Self::Event => 0.0,
            Self::Visitor => 20.0,
            Self::Check => 35.0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Turns {
    bucket: Mutex<Bucket>,
    /// Those with the same cause, in the order in which they came.
    queues: [Queue<()>; 3],
}

impl Turns {
    pub(super) fn new() -> Self {
        let bucket = Bucket { left: BURST, filled_at: Instant::now() };
        Self { bucket: Mutex::new(bucket), queues: Default::default() }
    }

    /// Waits until it is one's turn.
    pub(super) async fn wait(&self, cause: Cause) {
        let [events, visitors, checks] = &self.queues;
        let queue = match cause {
            Cause::Event => events,
            Cause::Visitor => visitors,
            Cause::Check => checks,
        };
        let _first = queue.lock().await;
        while let Err(wait) = self.take(cause) {
            sleep(wait).await;
        }
    }

    fn take(&self, cause: Cause) -> Result<(), Duration> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(cause.leaves(), Instant::now())
    }
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    filled_at: Instant,
}

impl Bucket {
    /// Takes one if `leaves` are left. Otherwise tells when that will be so, if nobody else takes any.
    fn take(&mut self, leaves: f64, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.left = (self.left + passed * PER_SECOND).min(BURST);
        self.filled_at = now;
        let missing = leaves + 1.0 - self.left;
        // Timers are exact to a millisecond, which is worth less than a question.
        if missing > 0.001 {
            return Err(Duration::from_secs_f64(missing / PER_SECOND));
        }
        self.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::{Duration, timeout};

    use super::*;

    /// How many turns there are within a time for those who wait for nothing else.
    async fn count(turns: &Turns, cause: Cause, time: Duration) -> usize {
        let mut count = 0;
        let all = async {
            loop {
                turns.wait(cause).await;
                count += 1;
            }
        };
        let endless: Result<(), _> = timeout(time, all).await;
        assert!(endless.is_err());
        count
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_than_two_hundred_questions() {
        let turns = Turns::new();
        let first = count(&turns, Cause::Event, Duration::from_secs(1)).await;
        assert!((190..=200).contains(&first), "{first}");
        let second = count(&turns, Cause::Event, Duration::from_secs(1)).await;
        assert!((145..=151).contains(&second), "{second}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_edge_asks_at_once() {
        let turns = Turns::new();
        let begun = Instant::now();
        for cause in [Cause::Check, Cause::Visitor, Cause::Event] {
            for _ in 0..15 {
                turns.wait(cause).await;
            }
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn events_come_before_visitors_and_visitors_before_checks() {
        let turns = Arc::new(Turns::new());
        let flood = |cause: Cause| {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { count(&turns, cause, Duration::from_secs(10)).await })
        };
        let (checks, visitors) = (flood(Cause::Check), flood(Cause::Visitor));
        sleep(Duration::from_secs(5)).await;
        let begun = Instant::now();
        for _ in 0..15 {
            turns.wait(Cause::Event).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "a promote waits for nobody");
        let (checks, visitors) = (checks.await.unwrap(), visitors.await.unwrap());
        assert!(checks <= 15 && visitors > 1_400, "{checks} checks beside {visitors} visitors");
    }
}
