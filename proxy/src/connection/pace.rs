//! The slowest that a client may read: below that it holds memory and a connection for nothing.
//!
//! A total time would cut honest downloads of large files. What counts is only the time in which we wait for the
//! client, and how much it took in that time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How much a client has to take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendRate {
    /// We judge after so much waiting. It must be longer than the outages that TCP bridges.
    pub window: Duration,
    pub bytes_per_second: u64,
}

impl SendRate {
    fn bytes_per_window(self) -> u64 {
        self.bytes_in(self.window)
    }

    /// The least that a client takes in so much time.
    pub(crate) fn bytes_in(self, time: Duration) -> u64 {
        let bytes = u128::from(self.bytes_per_second) * time.as_millis() / 1000;
        // Whoever takes nothing is too slow for any rate.
        u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
    }
}

/// Measures the waiting of one connection.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: SendRate,
    waited: Duration,
    taken_before: u64,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Pace {
    pub(crate) fn new(rate: SendRate) -> Self {
        Self { rate, waited: Duration::ZERO, taken_before: 0, waiting: None }
    }

    /// The client took something, or there is nothing to wait for.
    pub(crate) fn proceed(&mut self) {
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
    }

    /// We wait for the client, who took `taken` bytes up to now. An error says that it is too slow.
    pub(crate) fn poll_wait(
        &mut self,
        context: &mut Context<'_>,
        taken: impl Fn() -> u64,
    ) -> Poll<io::Error> {
        loop {
            if self.waiting.is_none() {
                if self.waited.is_zero() {
                    self.taken_before = taken();
                }
                let left = self.rate.window.saturating_sub(self.waited);
                self.waiting = Some((Instant::now(), Box::pin(tokio::time::sleep(left))));
            }
            if let Some((_, sleep)) = &mut self.waiting {
                ready!(sleep.as_mut().poll(context));
            }
            self.waiting = None;
            self.waited = Duration::ZERO;
            if taken().saturating_sub(self.taken_before) < self.rate.bytes_per_window() {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn only_waiting_counts_and_only_too_little_is_too_slow() {
        let rate = SendRate { window: Duration::from_secs(30), bytes_per_second: 1024 };
        let mut pace = Pace::new(rate);
        let taken = Cell::new(0);
        let started = Instant::now();
        // An honest client: it takes 64 KiB after each 20 s.
        for _ in 0..100 {
            let wait = std::future::poll_fn(|context| pace.poll_wait(context, || taken.get()));
            assert!(tokio::time::timeout(Duration::from_secs(20), wait).await.is_err());
            taken.set(taken.get() + 64 * 1024);
            pace.proceed();
            // Nothing to send for a while is nobody's fault.
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert!(started.elapsed() > Duration::from_secs(100 * 80 - 1));
        // One that drips: 500 bytes in each second.
        let dripping = Instant::now();
        loop {
            let wait = std::future::poll_fn(|context| pace.poll_wait(context, || taken.get()));
            match tokio::time::timeout(Duration::from_secs(1), wait).await {
                Ok(error) => break assert_eq!(error.kind(), io::ErrorKind::TimedOut),
                Err(_) => taken.set(taken.get() + 500),
            }
            pace.proceed();
        }
        assert!(dripping.elapsed() <= Duration::from_secs(61), "{:?}", dripping.elapsed());
    }
}
