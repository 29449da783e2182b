//! The log of one build: numbered, masked, bounded, and sent to the api while the build goes on.
//!
//! [`buffer`] holds the rules and knows no network; this module moves lines. A build never waits for its log: an
//! api that is away costs the oldest unsent lines, with a mark in their place.

mod buffer;
mod mask;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loggia_client::BuilderClient;
use loggia_types::build::{LogBatch, LogLine, Step};
use loggia_types::{BuildId, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::buffer::{BATCH_LINES_MAX, LINE_BYTES_MAX, LogBuffer};
use self::mask::Mask;
use crate::lease::is_over;

/// Soon enough to look live, and five calls a second at most.
const BATCH_AFTER: Duration = Duration::from_millis(200);

/// The wait after a failed call; doubles up to the maximum.
const RETRY_AFTER: Duration = Duration::from_millis(250);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// Writes lines; cheap to clone. The log ends when the task of [`BuildLog::start`] does.
#[derive(Debug, Clone)]
pub struct BuildLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    buffer: Mutex<LogBuffer>,
    mask: Mask,
    /// There is something to send.
    more: Notify,
    /// Somebody waits for the end of the queue.
    hurry: Notify,
    /// The queue has become empty.
    drained: Notify,
}

/// Where batches go.
#[derive(Debug, Clone)]
pub struct LogTarget {
    pub client: BuilderClient,
    pub build_id: BuildId,
    pub attempt: u16,
}

impl BuildLog {
    /// Starts a log, and the task that sends it.
    pub fn start(target: LogTarget, secrets: &[String]) -> (Self, JoinHandle<()>) {
        let shared = Arc::new(Shared {
            buffer: Mutex::new(LogBuffer::default()),
            mask: Mask::new(secrets),
            more: Notify::new(),
            hurry: Notify::new(),
            drained: Notify::new(),
        });
        let sender = tokio::spawn(send_all(target, Arc::clone(&shared)));
        (Self { shared }, sender)
    }

    /// Lines belong to this step from now on.
    pub fn begin(&self, step: Step) {
        self.shared.buffer().begin(step);
    }

    pub fn line(&self, text: &str) {
        let text = self.shared.mask.apply(text);
        self.shared.buffer().push(&text, Timestamp::now());
        self.shared.more.notify_one();
    }

    /// A piece of a step's output that was too long for one line and goes on, or the end of it. `carried` is the caller's,
    /// one for each stream: a secret may be cut in two.
    pub fn piece(&self, carried: &mut String, text: &str, goes_on: bool) {
        carried.push_str(text);
        let masked = if goes_on {
            let (masked, rest) = self.shared.mask.apply_to_beginning(carried);
            *carried = rest.to_owned();
            masked
        } else {
            let whole = std::mem::take(carried);
            self.shared.mask.apply(&whole).into_owned()
        };
        if goes_on && masked.is_empty() {
            return;
        }
        let mut rest = masked.as_str();
        loop {
            let (line, after) = rest.split_at(rest.floor_char_boundary(LINE_BYTES_MAX));
            self.shared.buffer().push(line, Timestamp::now());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        self.shared.more.notify_one();
    }

    /// The step that is under way, and the last lines that it wrote.
    pub fn tail(&self) -> (Step, Vec<String>) {
        self.shared.buffer().tail()
    }

    /// Text that is about to be shown to people, without secrets.
    pub fn masked(&self, text: &str) -> String {
        self.shared.mask.apply(text).into_owned()
    }

    /// Waits until everything is sent, or for as long as given: a lost line is no reason to hold a report back.
    pub async fn flush(&self, within: Duration) {
        let all_sent = async {
            loop {
                let drained = self.shared.drained.notified();
                if self.shared.buffer().is_empty() {
                    return;
                }
                self.shared.more.notify_one();
                self.shared.hurry.notify_one();
                drained.await;
            }
        };
        if timeout(within, all_sent).await.is_err() {
            tracing::warn!("The end of a build's log was not sent within {within:?}");
        }
    }
}

impl Shared {
    fn buffer(&self) -> MutexGuard<'_, LogBuffer> {
        // A panic while the lock is held leaves a buffer that still holds lines: better than none.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next lines, once there are enough of them or enough time has passed.
    async fn next_batch(&self) -> Vec<LogLine> {
        loop {
            if self.buffer().is_empty() {
                self.drained.notify_waiters();
                self.more.notified().await;
                continue;
            }
            if self.buffer().len() < BATCH_LINES_MAX {
                tokio::select! {
                    () = sleep(BATCH_AFTER) => {}
                    () = self.hurry.notified() => {}
                }
            }
            return self.buffer().next_batch();
        }
    }
}

async fn send_all(target: LogTarget, shared: Arc<Shared>) {
    loop {
        let lines = shared.next_batch().await;
        let Some(last) = lines.last().map(|line| line.sequence) else {
            continue;
        };
        if send(&target, LogBatch { attempt: target.attempt, lines }).await.is_break() {
            // Nobody wants this log any more: later lines only have to be forgotten.
            shared.buffer().close();
            shared.drained.notify_waiters();
            return;
        }
        shared.buffer().confirm(last);
    }
}

/// Sends one batch until it has arrived. Its numbers stay, so that lines which arrive twice are stored once.
async fn send(target: &LogTarget, batch: LogBatch) -> std::ops::ControlFlow<()> {
    let mut wait = RETRY_AFTER;
    loop {
        match target.client.log(target.build_id, &batch).await {
            Ok(()) => return std::ops::ControlFlow::Continue(()),
            Err(error) if is_over(&error) => return std::ops::ControlFlow::Break(()),
            Err(error) if error.is_temporary() => {
                tracing::debug!(build.id = %target.build_id, %error, "Lines of build {} wait for the api", target.build_id);
            }
            Err(error) => {
                // The next try would be refused as well; the rest of the log is worth more than this batch.
                tracing::warn!(build.id = %target.build_id, %error, "The api refused lines of build {}", target.build_id);
                return std::ops::ControlFlow::Continue(());
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(RETRY_AFTER_MAX);
    }
}
