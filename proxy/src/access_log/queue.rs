//! Lines on their way to the thread that writes them.
//!
//! Each thread that serves puts its lines into a buffer of its own, and the writer takes whole buffers now and then: a
//! line costs a copy, and no thread is woken for it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use tokio::sync::oneshot;

use super::Line;

/// More threads than this share.
const BUFFERS: usize = 16;

/// At so many bytes the writer is woken before its time.
const WAKE_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Queue {
    buffers: [Mutex<Buffer>; BUFFERS],
    lines: AtomicUsize,
    bytes: AtomicUsize,
    lines_max: usize,
    bytes_max: usize,
    flushes: Mutex<Vec<oneshot::Sender<()>>>,
    writer: OnceLock<Thread>,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    lines: usize,
}

impl Buffer {
    /// Leaves as much room as there was use for, so that it does not grow anew each time.
    fn take(&mut self) -> Self {
        let room = Vec::with_capacity(self.bytes.len());
        Self { bytes: std::mem::replace(&mut self.bytes, room), lines: std::mem::take(&mut self.lines) }
    }
}

/// What is written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub bytes: Vec<u8>,
    pub lines: usize,
    /// Told when it is written.
    pub flushed: Vec<oneshot::Sender<()>>,
}

impl Queue {
    pub(super) fn new(lines_max: usize, bytes_max: usize) -> Self {
        Self {
            buffers: Default::default(),
            lines: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            lines_max,
            bytes_max,
            flushes: Mutex::default(),
            writer: OnceLock::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// `false` when there is no room: the line is lost.
    pub(super) fn put(&self, line: &Line<'_>) -> bool {
        if self.lines.load(Ordering::Relaxed) >= self.lines_max
            || self.bytes.load(Ordering::Relaxed) >= self.bytes_max
        {
            return false;
        }
        let mut buffer = lock(&self.buffers[own_buffer()]);
        let before = buffer.bytes.len();
        line.encode(&mut buffer.bytes);
        buffer.lines += 1;
        let after = buffer.bytes.len();
        // Counted before the writer can take it.
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(after - before, Ordering::Relaxed);
        drop(buffer);
        if before < WAKE_BYTES && after >= WAKE_BYTES {
            self.wake();
        }
        true
    }

    /// Told when everything before is written.
    pub(super) fn flush(&self) -> oneshot::Receiver<()> {
        let (done, is_done) = oneshot::channel();
        lock(&self.flushes).push(done);
        self.wake();
        is_done
    }

    /// No line comes any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// This thread writes.
    pub(super) fn begin_to_write(&self) {
        self.writer.get_or_init(std::thread::current);
    }

    /// All that waits.
    pub(super) fn take(&self) -> Batch {
        let mut batch = Batch { flushed: std::mem::take(&mut *lock(&self.flushes)), ..Batch::default() };
        for buffer in &self.buffers {
            let buffer = lock(buffer).take();
            batch.lines += buffer.lines;
            if batch.bytes.is_empty() {
                batch.bytes = buffer.bytes;
            } else {
                batch.bytes.extend(buffer.bytes);
            }
        }
        self.lines.fetch_sub(batch.lines, Ordering::Relaxed);
        self.bytes.fetch_sub(batch.bytes.len(), Ordering::Relaxed);
        batch
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn own_buffer() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % BUFFERS);
    }
    OWN.get()
}
