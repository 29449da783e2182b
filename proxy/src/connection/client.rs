//! A client's connection as bytes: with the pace at which it has to read, and the budget of what it may send.

use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Buf, BufMut, BytesMut};
use pingora::protocols::l4::ext::get_tcp_info;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::frames::FrameBudget;
use super::linger::Linger;
use super::pace::{Pace, SendRate};

/// More than most heads have, and little enough for thousands of slow ones.
const READ_BYTES: usize = 2 * 1024;

#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    pace: Pace,
    written: u64,
    /// Read before somebody else reads on.
    pushed_back: BytesMut,
    frames: Option<Frames>,
    linger: Option<Linger>,
}

/// HTTP/2 frames as they pass.
#[derive(Debug)]
struct Frames {
    budget: FrameBudget,
    spent: CancellationToken,
}

impl Client {
    pub(crate) fn new(stream: Stream, rate: SendRate) -> Self {
        let pace = Pace::new(rate);
        Self { stream, pace, written: 0, pushed_back: BytesMut::new(), frames: None, linger: None }
    }

    /// Gives back what was read, for HTTP/2, and counts frames from there on. When the budget for them is `spent`, nothing
    /// more is read: it is for whoever waits for that to say so to the client.
    pub(crate) fn into_http2(mut self, read: BytesMut, spent: CancellationToken) -> Self {
        self.pushed_back = read;
        self.frames = Some(Frames { budget: FrameBudget::new(Instant::now()), spent });
        self
    }

    /// Reads what there is, but not without end: whoever calls looks at it before it reads on.
    pub(crate) async fn read_more(&mut self, unread: &mut BytesMut) -> io::Result<usize> {
        unread.reserve(READ_BYTES);
        self.read_buf(&mut unread.limit(READ_BYTES)).await
    }

    /// Passes on a result of writing, or waits with a limit.
    fn paced<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.pace.proceed();
            return result;
        }
        let (fd, written) = (self.stream.id(), self.written);
        self.pace.poll_wait(context, || taken(fd).unwrap_or(written)).map(Err)
    }

    fn count_written(&mut self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = result {
            self.written += *bytes as u64;
        }
    }
}

/// What the other side has confirmed. The socket's buffer says little: it takes megabytes at once, and then nothing
/// until a third of it is free.
pub(super) fn taken(fd: RawFd) -> Option<u64> {
    get_tcp_info(fd).ok().map(|info| info.tcpi_bytes_acked)
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.frames.as_ref().is_some_and(|frames| frames.spent.is_cancelled()) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if self.pushed_back.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        } else {
            let bytes = self.pushed_back.len().min(buffer.remaining());
            buffer.put_slice(&self.pushed_back[..bytes]);
            self.pushed_back.advance(bytes);
        }
        let Some(frames) = &mut self.frames else { return Poll::Ready(Ok(())) };
        if frames.budget.pass(&buffer.filled()[before..], Instant::now()) {
            return Poll::Ready(Ok(()));
        }
        // Whoever was told wakes the connection.
        frames.spent.cancel();
        buffer.set_filled(before);
        Poll::Pending
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count_written(&result);
        self.paced(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.count_written(&result);
        self.paced(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.paced(context, result)
    }

    /// An HTTP/2 client is left some time to take what was sent last: the library closes right after its goodbye.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            let result = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.paced(context, result))?;
            self.linger = self.frames.is_some().then(Linger::new);
        }
        let Self { stream, linger, .. } = &mut *self;
        linger.as_mut().map_or(Poll::Ready(()), |linger| linger.poll(stream, context)).map(Ok)
    }
}

/// Implements what the proxy library wants of a connection beyond reading and writing.
macro_rules! stream_of {
    ($name:ident, $($stream:tt)+) => {
        #[async_trait]
        impl Shutdown for $name {
            async fn shutdown(&mut self) {
                // The other side may be gone already.
                let _ = AsyncWriteExt::shutdown(self).await;
            }
        }

        impl UniqueID for $name {
            fn id(&self) -> UniqueIDType {
                self.$($stream)+.id()
            }
        }

        impl Ssl for $name {
            fn get_ssl(&self) -> Option<&TlsRef> {
                self.$($stream)+.get_ssl()
            }

            fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
                self.$($stream)+.get_ssl_digest()
            }

            fn selected_alpn_proto(&self) -> Option<ALPN> {
                self.$($stream)+.selected_alpn_proto()
            }
        }

        impl GetTimingDigest for $name {
            fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
                self.$($stream)+.get_timing_digest()
            }

            fn get_read_pending_time(&self) -> Duration {
                self.$($stream)+.get_read_pending_time()
            }

            fn get_write_pending_time(&self) -> Duration {
                self.$($stream)+.get_write_pending_time()
            }
        }

        impl GetProxyDigest for $name {
            fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
                self.$($stream)+.get_proxy_digest()
            }
        }

        impl GetSocketDigest for $name {
            fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
                self.$($stream)+.get_socket_digest()
            }
        }

        /// Only cleartext HTTP/2 would need it.
        impl Peek for $name {}
    };
}

stream_of!(Client, stream);

/// A client that is lent to the proxy for one request, and comes back when the proxy drops it.
///
/// The proxy gets the whole request with the loan, so it has nothing to read: bytes that come meanwhile are the next
/// request and wait. It can't lose them or take them for a body, and the connection can be closed properly even when
/// the proxy gives up on it.
///
/// The proxy writes a head and then a body. Here the head waits for the body, or for a flush, and both leave in one piece.
#[derive(Debug)]
pub(crate) struct Loan {
    client: Option<Client>,
    home: Option<oneshot::Sender<Client>>,
    held: BytesMut,
}

/// Heads are smaller. What is larger gains nothing by waiting.
const HELD_BYTES_MAX: usize = 4 * 1024;

impl Loan {
    pub(crate) fn new(client: Client) -> (Self, oneshot::Receiver<Client>) {
        let (home, returned) = oneshot::channel();
        (Self { client: Some(client), home: Some(home), held: BytesMut::new() }, returned)
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("only Drop takes it")
    }

    fn pin(&mut self) -> Pin<&mut Client> {
        Pin::new(self.client.as_mut().expect("only Drop takes it"))
    }

    /// Writes what is held, and then of `bytes` what still goes.
    fn poll_write_behind_held(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        while !self.held.is_empty() {
            let client = Pin::new(self.client.as_mut().expect("only Drop takes it"));
            let pieces = [IoSlice::new(&self.held), IoSlice::new(bytes)];
            let written = ready!(client.poll_write_vectored(context, &pieces))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_held = written.min(self.held.len());
            self.held.advance(of_held);
            if written > of_held {
                return Poll::Ready(Ok(written - of_held));
            }
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.pin().poll_write(context, bytes)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // The proxy flushes what it ends. A client that was sent half an answer can only be closed.
        let is_whole = self.held.is_empty();
        if let (Some(client), Some(home), true) = (self.client.take(), self.home.take(), is_whole) {
            // Nobody waits for it when the connection's task is gone; then it closes here.
            let _ = home.send(client);
        }
    }
}

impl AsyncRead for Loan {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        _buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Loan {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.held.is_empty() && bytes.len() <= HELD_BYTES_MAX {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        self.poll_write_behind_held(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_behind_held(context, &[]))?;
        self.pin().poll_flush(context)
    }

    /// Closing is the business of whoever lent the client: there may be bytes to drain first.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

stream_of!(Loan, client());

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[tokio::test]
    async fn the_kernel_tells_what_was_taken() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut ours =
            tokio::net::TcpStream::connect(listener.local_addr().expect("bound")).await.expect("open");
        let (mut theirs, _) = listener.accept().await.expect("a connection");
        let before = taken(ours.as_raw_fd()).expect("a TCP socket");
        ours.write_all(&[0; 1000]).await.expect("sent");
        theirs.read_exact(&mut [0; 1000]).await.expect("taken");
        // The confirmation travels too.
        let confirmed = async {
            while taken(ours.as_raw_fd()).expect("a TCP socket") < before + 1000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), confirmed).await.expect("confirmed");
    }
}
