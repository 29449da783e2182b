//! A budget for HTTP/2 frames that cost us work and the client nothing: resets (CVE-2023-44487), pings, settings,
//! continuations (CVE-2024-27316), empty data.
//!
//! The HTTP/2 library bounds the resets that it holds at one time; streams that we took on and that are reset right
//! away are not among them. So the frames are counted as they pass: their heads are nine plain bytes (RFC 9113 §4.1).

use std::time::Instant;

/// Leaving a page resets up to 100 streams (the most that may be open); four pages may be left in a row.
const BURST: f64 = 400.0;
/// Pings of keep-alives come every few seconds, resets of a person who clicks about some tens a second.
const PER_SECOND: f64 = 50.0;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

#[derive(Debug)]
pub(crate) struct FrameBudget {
    /// Bytes that belong to no frame head.
    skip: usize,
    head: [u8; HEAD_BYTES],
    filled: usize,
    left: f64,
    refilled_at: Instant,
}

impl FrameBudget {
    pub(crate) fn new(now: Instant) -> Self {
        let left = BURST;
        Self { skip: PREFACE.len(), head: [0; HEAD_BYTES], filled: 0, left, refilled_at: now }
    }

    /// Counts what came. `false` means that the budget is spent.
    pub(crate) fn pass(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let part = bytes.len().min(HEAD_BYTES - self.filled);
            self.head[self.filled..self.filled + part].copy_from_slice(&bytes[..part]);
            self.filled += part;
            bytes = &bytes[part..];
            if self.filled == HEAD_BYTES {
                self.filled = 0;
                self.count(now);
            }
        }
        self.left >= 0.0
    }

    fn count(&mut self, now: Instant) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let costs = match kind {
            PRIORITY | RST_STREAM | SETTINGS | PING | CONTINUATION => true,
            DATA => self.skip == 0 && flags & END_STREAM == 0,
            _ => false,
        };
        if costs {
            let refill = now.saturating_duration_since(self.refilled_at).as_secs_f64() * PER_SECOND;
            self.refilled_at = now;
            self.left = (self.left + refill).min(BURST) - 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let len = u32::try_from(payload).expect("small").to_be_bytes();
        let mut frame = vec![len[1], len[2], len[3], kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + payload, RST_STREAM);
        frame
    }

    #[test]
    fn resets_spend_the_budget_and_time_fills_it() {
        let start = Instant::now();
        let mut budget = FrameBudget::new(start);
        assert!(budget.pass(PREFACE, start));
        // A payload is never taken for a frame, whatever is in it and however it is cut.
        for _ in 0..10 {
            let mut frames = frame(1, 4, 300);
            frames.extend(frame(DATA, 0, 20_000));
            for piece in frames.chunks(7) {
                assert!(budget.pass(piece, start));
            }
        }
        for reset in 0..400 {
            assert!(budget.pass(&frame(RST_STREAM, 0, 4), start), "{reset}");
        }
        assert!(!budget.pass(&frame(RST_STREAM, 0, 4), start));
        let later = start + Duration::from_secs(2);
        assert!(budget.pass(&frame(PING, 0, 8), later));
        assert!(budget.pass(&frame(DATA, 0, 0).repeat(98), later));
        assert!(!budget.pass(&frame(DATA, 0, 0).repeat(2), later));
    }
}
