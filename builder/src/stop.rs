//! Why a running build has to end before its time: one token that everything watches, and the reason beside it.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// A person cancelled the deployment.
    Cancelled,
    /// The build belongs to another builder now, or the api could not be asked for the whole lease.
    LeaseLost,
    /// This builder is being stopped.
    Shutdown,
    /// The build's total time is over.
    Deadline,
}

/// The first reason stands; later ones change nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

impl Stop {
    pub(crate) fn stop(&self, reason: StopReason) {
        // Somebody else's reason came first: it is the one that people are told.
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    pub(crate) fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }
}
