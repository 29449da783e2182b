//! A deadline that moves with every request and costs nothing for it.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// One timer for a connection. It is set anew only when it has to ring earlier than it would; when it rings too early,
/// because the deadline moved meanwhile, it is set to what is left.
#[derive(Debug)]
pub(super) struct Deadline {
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        let at = Instant::now() + time;
        Self { at, timer: Box::pin(sleep_until(at)) }
    }

    pub(super) fn set(&mut self, time: Duration) {
        self.at = Instant::now() + time;
        if self.at < self.timer.deadline() {
            self.timer.as_mut().reset(self.at);
        }
    }

    /// Waits until the deadline has passed.
    pub(super) async fn passed(&mut self) {
        loop {
            self.timer.as_mut().await;
            if Instant::now() >= self.at {
                return;
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_passes_when_it_was_last_set_to() {
        let started = Instant::now();
        let mut deadline = Deadline::after(Duration::from_secs(10));
        deadline.set(Duration::from_secs(60));
        deadline.passed().await;
        assert_eq!(started.elapsed().as_secs(), 60);
        deadline.set(Duration::from_secs(60));
        deadline.set(Duration::from_secs(5));
        deadline.passed().await;
        assert_eq!(started.elapsed().as_secs(), 65);
    }
}
