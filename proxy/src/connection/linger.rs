//! The time between our last byte and the end of a connection.
//!
//! Bytes that nobody has read when a socket closes make the kernel send a reset, at which the other side throws away what
//! it has not read yet: our goodbye among it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pingora::protocols::Stream;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A client that reads at all has read the goodbye by then.
const TIME: Duration = Duration::from_secs(1);

/// What was on its way when we said goodbye. The rest of a flood is not worth reading: the client can't send it then.
const BYTES_MAX: usize = 256 * 1024;

const PIECE_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct Linger {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl Linger {
    pub(super) fn new() -> Self {
        Self { until: Box::pin(sleep(TIME)), left: BYTES_MAX }
    }

    /// Throws away what comes, until the client closes too or the time is over.
    pub(super) fn poll(&mut self, stream: &mut Stream, context: &mut Context<'_>) -> Poll<()> {
        let mut piece = [0; PIECE_BYTES];
        while self.left > 0 {
            let mut piece = ReadBuf::new(&mut piece);
            match Pin::new(&mut *stream).poll_read(context, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                    self.left = self.left.saturating_sub(piece.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.until.as_mut().poll(context)
    }
}
