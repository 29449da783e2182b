//! Waits for a step's end in whichever way it comes, and for its output.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::step::Limits;

/// Output that was written before the end is in a pipe or a socket and takes milliseconds. Longer than this means
/// that nobody reads the log or that the engine keeps a dead stream open.
const OUTPUT_DRAIN_MAX: Duration = Duration::from_secs(10);

pub(super) enum Ended<T> {
    Itself(T),
    TimedOut,
    Cancelled,
}

pub(super) async fn first<T>(
    end: impl Future<Output = T>,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Ended<T> {
    tokio::select! {
        // A step that has ended has ended, even if its user cancelled it in the same moment.
        biased;
        ended = end => Ended::Itself(ended),
        () = cancel.cancelled() => Ended::Cancelled,
        () = tokio::time::sleep(limits.timeout) => Ended::TimedOut,
    }
}

/// Forwards output while waiting for the end, then what is left of the output.
pub(super) async fn with_output<T>(output: impl Future<Output = ()>, end: impl Future<Output = T>) -> T {
    let (mut output, mut end) = (pin!(output), pin!(end));
    let ended = tokio::select! {
        ended = &mut end => ended,
        // A step may close its output long before it ends.
        () = &mut output => return end.await,
    };
    if tokio::time::timeout(OUTPUT_DRAIN_MAX, output).await.is_err() {
        tracing::warn!("The end of a step's output did not come within {OUTPUT_DRAIN_MAX:?}, dropping it");
    }
    ended
}
