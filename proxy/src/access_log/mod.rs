//! The access log: one line of JSON for each request, which waits for nobody.
//!
//! A request encodes its line into a queue with limits; one thread writes. When the disk is slower than the visitors,
//! lines are dropped and counted, and serving does not notice.

mod line;
mod queue;
mod setting;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::line::{Line, Repeated};
use self::queue::Queue;
pub use self::setting::{AccessLogConfig, AccessLogTarget, SampleRate};
use self::writer::Writer;
use crate::metrics::{LogLine, Metrics};
use crate::record::RequestId;

/// About half a second of 100,000 requests a second.
const QUEUE_LINES_MAX: usize = 65_536;

/// 400 bytes are usual; with hostile paths and agents a line has up to 16 KiB.
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// At the end of the process: what a healthy disk needs for a full queue, and no more for a broken one.
const FLUSH_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(crate) struct AccessLog(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    queue: Arc<Queue>,
    sample: SampleRate,
    metrics: Arc<Metrics>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl AccessLog {
    /// Fails only when a thread cannot be started: a log that cannot be written is no reason not to serve.
    pub(crate) fn start(config: &AccessLogConfig, metrics: Arc<Metrics>) -> io::Result<Self> {
        Self::with_limit(config, metrics, QUEUE_LINES_MAX)
    }

    fn with_limit(config: &AccessLogConfig, metrics: Arc<Metrics>, lines_max: usize) -> io::Result<Self> {
        if config.target == AccessLogTarget::Off {
            return Ok(Self(None));
        }
        let queue = Arc::new(Queue::new(lines_max, QUEUE_BYTES_MAX));
        let writer = Writer::new(config.target.clone(), Arc::clone(&metrics));
        let lines = Arc::clone(&queue);
        // A thread, not a task: a slow disk must not hold up a worker. It ends when the log is dropped.
        std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run(&lines))?;
        Ok(Self(Some(Arc::new(Open { queue, sample: config.sample, metrics }))))
    }

    /// Whether this request is in the sample. Our own failures always are.
    pub(crate) fn wants(&self, status: Option<u16>, id: RequestId) -> bool {
        self.0
            .as_ref()
            .is_some_and(|open| status.is_some_and(|s| s >= 500) || id.sample() < open.sample.get())
    }

    pub(crate) fn write(&self, line: &Line<'_>) {
        if let Some(open) = &self.0
            && !open.queue.put(line)
        {
            open.metrics.log_lines.count(LogLine::Dropped);
        }
    }

    /// Waits, for a moment, until what was logged is written.
    pub(crate) async fn flush(&self) {
        let Some(open) = &self.0 else { return };
        // A disk that hangs must not hold up the end.
        let _ = tokio::time::timeout(FLUSH_MAX, open.queue.flush()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_drops_and_counts_and_nobody_waits() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("log");
        // Opening a pipe waits for its reader: a disk that hangs.
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        let metrics = Metrics::new(1);
        let config = AccessLogConfig { target: AccessLogTarget::File(path.clone()), sample: SampleRate::ALL };
        let log = AccessLog::with_limit(&config, Arc::clone(&metrics), 4).expect("a thread");
        let write = || log.write(&line::example(b"/"));
        write();
        let waiting = || log.0.as_ref().expect("it is on").queue.waiting();
        let taken = async {
            while waiting() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), taken).await.expect("the writer has the first line");
        (0..100).for_each(|_| write());
        assert_eq!(metrics.log_lines.get(LogLine::Dropped), 96, "four wait in the queue");

        let reading = tokio::task::spawn_blocking(move || {
            use std::io::BufRead;
            let lines = io::BufReader::new(std::fs::File::open(path).expect("the reader's end")).lines();
            lines
                .take(5)
                .filter(|line| {
                    let line = line.as_ref().expect("text");
                    serde_json::from_str::<serde_json::Value>(line).is_ok()
                })
                .count()
        });
        assert_eq!(reading.await.expect("read"), 5, "it goes on when the disk does");
    }

    #[test]
    fn samples_hold_failures_in_any_case() {
        let log = |sample: &str| {
            let config =
                AccessLogConfig { target: AccessLogTarget::Stdout, sample: sample.parse().expect("a rate") };
            AccessLog::start(&config, Metrics::new(1)).expect("a thread")
        };
        let wanted = |log: &AccessLog, status| {
            (0..10_000).filter(|_| log.wants(status, crate::record::Record::default().id)).count()
        };
        let (none, some, all) = (log("0"), log("0.25"), log("1"));
        assert_eq!((wanted(&none, Some(200)), wanted(&all, Some(200))), (0, 10_000));
        assert!((2_000..3_000).contains(&wanted(&some, Some(200))));
        assert_eq!((wanted(&none, Some(503)), wanted(&none, None)), (10_000, 0));
    }
}
