//! Lines that wait to be sent, and the limits on them. No network, no clock.

use std::collections::VecDeque;

use loggia_types::Timestamp;
use loggia_types::build::{LogLine, Step};

/// As the executor cuts lines; ours and those that masking changed are held to it too.
pub(super) const LINE_BYTES_MAX: usize = 8 * 1024;

/// 10 MiB or 100,000 lines a build: more than anybody reads, and what a browser still shows.
const LOG_BYTES_MAX: usize = 10 * 1024 * 1024;
const LOG_LINES_MAX: u32 = 100_000;

/// Unsent lines are kept up to 4 MiB, a few minutes of a talkative build, while the api is away.
const UNSENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a failed deployment shows at once.
const TAIL_LINES: usize = 50;

pub(super) const BATCH_LINES_MAX: usize = 200;

/// JSON may write a byte as six (`\u001b`): 128 KiB stay below the 1 MiB that the api takes.
const BATCH_BYTES_MAX: usize = 128 * 1024;

#[derive(Debug)]
pub(super) struct LogBuffer {
    step: Step,
    queue: VecDeque<LogLine>,
    queue_bytes: usize,
    tail: VecDeque<String>,
    next_sequence: u32,
    total_bytes: usize,
    /// Number of the mark in the queue that stands for dropped lines, and how many those are.
    dropped: Option<(u32, u32)>,
    is_full: bool,
    is_closed: bool,
}

impl Default for LogBuffer {
    fn default() -> Self {
        Self {
            step: Step::Queue,
            queue: VecDeque::new(),
            queue_bytes: 0,
            tail: VecDeque::new(),
            next_sequence: 0,
            total_bytes: 0,
            dropped: None,
            is_full: false,
            is_closed: false,
        }
    }
}

impl LogBuffer {
    pub(super) fn begin(&mut self, step: Step) {
        self.step = step;
        self.tail.clear();
    }

    pub(super) fn push(&mut self, text: &str, at: Timestamp) {
        let text = printable(text);
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(text.clone());
        if self.is_full || self.is_closed {
            return;
        }
        self.total_bytes += text.len();
        if self.total_bytes > LOG_BYTES_MAX || self.next_sequence == LOG_LINES_MAX - 1 {
            self.is_full = true;
            let mark = "The log ends here: it has reached 10 MiB or 100,000 lines. The build goes on.";
            return self.enqueue(mark.to_owned(), at);
        }
        self.enqueue(text, at);
        if self.queue_bytes > UNSENT_BYTES_MAX {
            self.drop_oldest();
        }
    }

    fn enqueue(&mut self, text: String, at: Timestamp) {
        self.queue_bytes += text.len();
        self.queue.push_back(LogLine { sequence: self.next_sequence, at, step: self.step, text });
        self.next_sequence += 1;
    }

    /// Drops a quarter, so that it does not happen again with the next line, and leaves a mark, which takes the
    /// number of the last dropped line.
    fn drop_oldest(&mut self) {
        let mut count = 0;
        let mut last = None;
        while self.queue_bytes > UNSENT_BYTES_MAX / 4 * 3 {
            let Some(line) = self.queue.pop_front() else { break };
            self.queue_bytes -= line.text.len();
            count += match self.dropped {
                Some((mark, before)) if mark == line.sequence => before,
                _ => 1,
            };
            last = Some(line);
        }
        if let Some(mut line) = last {
            self.dropped = Some((line.sequence, count));
            line.text = format!("{count} lines are missing here: they could not be sent in time.");
            self.queue_bytes += line.text.len();
            self.queue.push_front(line);
        }
    }

    pub(super) fn tail(&self) -> (Step, Vec<String>) {
        (self.step, self.tail.iter().cloned().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The oldest lines; they stay in the queue until they are confirmed.
    pub(super) fn next_batch(&self) -> Vec<LogLine> {
        let mut bytes = 0;
        let fits = |line: &&LogLine| {
            bytes += line.text.len();
            // The first line always fits: it is shorter than a batch.
            bytes <= BATCH_BYTES_MAX
        };
        self.queue.iter().take(BATCH_LINES_MAX).take_while(fits).cloned().collect()
    }

    /// Everything up to this number has arrived.
    pub(super) fn confirm(&mut self, last: u32) {
        while let Some(line) = self.queue.pop_front_if(|line| line.sequence <= last) {
            self.queue_bytes -= line.text.len();
        }
    }

    /// Nothing is sent any more; the tail goes on.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.queue.clear();
        self.queue_bytes = 0;
    }
}

/// Postgres stores no NUL in text, and nobody reads one.
fn printable(text: &str) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    if text.len() > LINE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(LINE_BYTES_MAX - 4));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_unix_secs(0).unwrap()
    }

    fn all(buffer: &mut LogBuffer) -> Vec<LogLine> {
        let mut lines = Vec::new();
        while !buffer.is_empty() {
            let batch = buffer.next_batch();
            assert!(!batch.is_empty() && batch.len() <= BATCH_LINES_MAX);
            buffer.confirm(batch.last().unwrap().sequence);
            lines.extend(batch);
        }
        lines
    }

    #[test]
    fn lines_are_numbered_across_steps_and_the_tail_is_the_current_step_s() {
        let mut buffer = LogBuffer::default();
        buffer.begin(Step::Install);
        buffer.push("one", at());
        buffer.begin(Step::Build);
        (0..60).for_each(|n| buffer.push(&format!("line {n}"), at()));
        let (step, tail) = buffer.tail();
        assert_eq!((step, tail.len(), tail[0].as_str()), (Step::Build, TAIL_LINES, "line 10"));
        let lines = all(&mut buffer);
        assert_eq!((lines[0].step, lines[1].step), (Step::Install, Step::Build));
        assert!(lines.iter().enumerate().all(|(n, line)| line.sequence as usize == n));
    }

    #[test]
    fn long_lines_are_cut_and_nul_is_replaced() {
        let mut buffer = LogBuffer::default();
        buffer.push(&"é".repeat(LINE_BYTES_MAX), at());
        buffer.push("a\0b", at());
        let lines = all(&mut buffer);
        assert!(lines[0].text.len() <= LINE_BYTES_MAX && lines[0].text.ends_with("é…"));
        assert_eq!(lines[1].text, "a\u{fffd}b");
    }

    #[test]
    fn a_log_ends_with_a_mark_at_its_limits_and_the_tail_goes_on() {
        for line in ["x".repeat(LINE_BYTES_MAX), "short".to_owned()] {
            let mut buffer = LogBuffer::default();
            let mut lines = Vec::new();
            for _ in 0..LOG_LINES_MAX + 10 {
                buffer.push(&line, at());
                lines.extend(all(&mut buffer));
            }
            buffer.push("the very end", at());
            assert!(all(&mut buffer).is_empty());
            assert!(lines.len() <= LOG_LINES_MAX as usize);
            assert!(lines.iter().map(|line| line.text.len()).sum::<usize>() <= LOG_BYTES_MAX + 100);
            assert!(lines.last().unwrap().text.starts_with("The log ends here"));
            assert_eq!(buffer.tail().1.last().unwrap(), "the very end");
        }
    }

    #[test]
    fn lines_that_cannot_be_sent_give_way_to_a_mark_that_counts_them() {
        let mut buffer = LogBuffer::default();
        let line = "x".repeat(1024);
        (0..8 * 1024).for_each(|_| buffer.push(&line, at()));
        assert!(buffer.queue_bytes <= UNSENT_BYTES_MAX);
        let lines = all(&mut buffer);
        let mark =
            lines[0].text.strip_suffix(" lines are missing here: they could not be sent in time.").unwrap();
        assert_eq!(mark.parse::<usize>().unwrap() + lines.len() - 1, 8 * 1024);
        assert_eq!(lines.last().unwrap().sequence, 8 * 1024 - 1);
        assert!(lines.windows(2).all(|pair| pair[0].sequence + 1 == pair[1].sequence));
    }

    #[test]
    fn what_arrived_while_it_was_being_dropped_is_forgotten_once() {
        let mut buffer = LogBuffer::default();
        (0..10).for_each(|n| buffer.push(&n.to_string(), at()));
        let batch = buffer.next_batch();
        buffer.push("later", at());
        buffer.confirm(batch.last().unwrap().sequence);
        assert_eq!(all(&mut buffer).len(), 1);
        buffer.close();
        buffer.push("nobody wants it", at());
        assert!(buffer.is_empty());
    }
}
