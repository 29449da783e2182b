//! Keeps a build's lease, and stops the build when it is lost.
//!
//! The api's word counts until the lease ends; after that another builder may have the build, so a builder that
//! cannot reach the api stops by its own (monotonic) clock, before anybody else starts.

use std::time::Duration;

use loggia_client::builder::LEASE_LOST;
use loggia_client::{BuilderClient, ClientError};
use loggia_types::BuildId;
use loggia_types::build::{Heartbeat, Phase};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::stop::{Stop, StopReason};

/// Two heartbeats may be lost before the lease is.
const HEARTBEATS_PER_LEASE: u32 = 3;

/// An api that restarts is back in seconds; asking every second costs it nothing.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Lease {
    pub(crate) client: BuilderClient,
    pub(crate) build_id: BuildId,
    pub(crate) attempt: u16,
    /// Counted from `granted_at`, which is before the api's own counting began.
    pub(crate) length: Duration,
    pub(crate) granted_at: Instant,
}

enum Answer {
    Extended(Duration),
    NotNow,
    Over(StopReason),
}

impl Lease {
    /// Runs until the build has to stop; dropping it ends the heartbeats.
    pub(crate) async fn keep(self, mut phase: watch::Receiver<Phase>, stop: Stop) {
        let mut ends_at = self.granted_at + self.length;
        let mut next_at = self.granted_at + self.length / HEARTBEATS_PER_LEASE;
        loop {
            tokio::select! {
                () = sleep_until(next_at.min(ends_at)) => {}
                // People see a change of phase at once. Without a sender there are no more changes.
                Ok(()) = phase.changed() => {}
            }
            let asked_at = Instant::now();
            let body = Heartbeat { attempt: self.attempt, phase: *phase.borrow_and_update() };
            match self.beat(&body, ends_at).await {
                Answer::Extended(length) => {
                    ends_at = asked_at + length;
                    next_at = asked_at + length / HEARTBEATS_PER_LEASE;
                }
                Answer::NotNow => next_at = Instant::now() + RETRY_AFTER,
                Answer::Over(reason) => return stop.stop(reason),
            }
        }
    }

    async fn beat(&self, body: &Heartbeat, ends_at: Instant) -> Answer {
        let Ok(answered) = timeout_at(ends_at, self.client.heartbeat(self.build_id, body)).await else {
            tracing::warn!(build.id = %self.build_id, "The api did not answer for a whole lease, stopping build {}", self.build_id);
            return Answer::Over(StopReason::LeaseLost);
        };
        match answered {
            Ok(answer) if answer.cancelled => Answer::Over(StopReason::Cancelled),
            Ok(answer) => Answer::Extended(Duration::from_secs(answer.lease_secs)),
            Err(error) if is_over(&error) => Answer::Over(StopReason::LeaseLost),
            Err(error) => {
                tracing::debug!(build.id = %self.build_id, %error, "A heartbeat of build {} failed", self.build_id);
                Answer::NotNow
            }
        }
    }
}

/// Somebody else has the build, or its project is gone.
pub(crate) fn is_over(error: &ClientError) -> bool {
    error.code() == Some(LEASE_LOST) || matches!(error, ClientError::Refused { status: 404 | 410, .. })
}
