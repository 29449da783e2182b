//! Bytes of a step's output to lines of its log.

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::step::{LogLine, Stream};

/// Longer lines are cut into several: a minified bundle printed by mistake is one line of megabytes, and every
/// reader of the log would have to hold it.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// Cuts one stream into lines. Bytes that are no UTF-8 become U+FFFD.
#[derive(Debug)]
pub(super) struct LineSplitter {
    stream: Stream,
    pending: Vec<u8>,
}

impl LineSplitter {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, pending: Vec::new() }
    }

    /// The lines that are complete now, in order.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.pending.extend_from_slice(piece);
            while self.pending.len() > LINE_BYTES_MAX {
                let rest = self.pending.split_off(cut_at(&self.pending));
                lines.push(self.line(&self.pending, true));
                self.pending = rest;
            }
            if pieces.peek().is_some() {
                lines.push(self.line(&self.pending, false));
                self.pending.clear();
            }
        }
        lines
    }

    /// What came after the last line end, if anything did.
    pub(super) fn finish(self) -> Option<LogLine> {
        (!self.pending.is_empty()).then(|| self.line(&self.pending, false))
    }

    fn line(&self, bytes: &[u8], goes_on: bool) -> LogLine {
        let bytes = bytes.strip_suffix(b"\r").filter(|_| !goes_on).unwrap_or(bytes);
        LogLine { stream: self.stream, text: String::from_utf8_lossy(bytes).into_owned(), goes_on }
    }
}

/// The longest length below the limit that does not cut a character in two. A character has at most three
/// continuation bytes (`10xxxxxx`); more of them in a row are no UTF-8 and may be cut anywhere.
fn cut_at(bytes: &[u8]) -> usize {
    (LINE_BYTES_MAX - 3..=LINE_BYTES_MAX).rev().find(|at| bytes[*at] & 0xC0 != 0x80).unwrap_or(LINE_BYTES_MAX)
}

/// Reads a pipe to its end. A receiver that has gone away does not stop the step, which would block on a full pipe.
pub(super) async fn forward(mut pipe: impl AsyncRead + Unpin, stream: Stream, log: &mpsc::Sender<LogLine>) {
    let mut splitter = LineSplitter::new(stream);
    let mut buffer = vec![0; 16 * 1024];
    // An unreadable pipe is an ended one: there is nobody left to write to it.
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        send(log, splitter.push(&buffer[..count])).await;
    }
    send(log, splitter.finish()).await;
}

/// Waits for room, so that a slow reader slows the step down instead of filling our memory.
pub(super) async fn send(log: &mpsc::Sender<LogLine>, lines: impl IntoIterator<Item = LogLine>) {
    for line in lines {
        if log.send(line).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = LineSplitter::new(Stream::Stdout);
        let mut lines: Vec<_> = chunks.iter().flat_map(|chunk| splitter.push(chunk)).collect();
        lines.extend(splitter.finish());
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn bytes_become_lines() {
        let cases: [(&[&[u8]], &[&str]); 8] = [
            (&[], &[]),
            (&[b"one\ntwo\n"], &["one", "two"]),
            (&[b"one\ntwo"], &["one", "two"]), // the last line lacks its end
            (&[b"o", b"ne", b"\nt", b"wo\n"], &["one", "two"]),
            (&[b"\n\n"], &["", ""]),
            (&[b"dos\r\nend\r"], &["dos", "end"]),
            (&[b"bar 10%\rbar 20%\n"], &["bar 10%\rbar 20%"]), // progress bars stay whole
            (&[b"caf\xc3", b"\xa9 \xff\n"], &["café \u{fffd}"]), // a character in two chunks, a byte that is none
        ];
        for (chunks, expected) in cases {
            assert_eq!(split(chunks), expected, "{chunks:?}");
        }
    }

    #[test]
    fn an_endless_line_is_cut_between_characters() {
        let text = "é".repeat(LINE_BYTES_MAX);
        let lines = split(&[b"x", text.as_bytes()]);
        let pieces = LineSplitter::new(Stream::Stdout).push(format!("{text}\n").as_bytes());
        assert_eq!(pieces.iter().map(|line| line.goes_on).collect::<Vec<_>>(), [true, false]);
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX), "no line is longer than the limit");
        assert_eq!(lines.concat(), format!("x{text}"));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn bytes_that_are_no_text_are_cut_at_the_limit() {
        let lines = split(&[&[0x80; 2 * LINE_BYTES_MAX]]);
        assert_eq!(lines.len(), 2);
    }
}
