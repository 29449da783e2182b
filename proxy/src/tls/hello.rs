//! The first message of a client, which names whom it wants to reach.
//!
//! It is read before a certificate is chosen, so that a name which has none gets an alert that says so. What was read
//! is given back to the stream; reading it twice costs some microseconds of a handshake's hundreds.

use pingora::protocols::l4::stream::Stream as L4Stream;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::debug;

/// A hello with a post-quantum key share is 1.8 KB. It may come in pieces.
const READ_BYTES: usize = 4 * 1024;

pub(super) struct Hello {
    /// SNI.
    pub(super) name: Option<String>,
    /// All that was read.
    pub(super) bytes: Vec<u8>,
}

/// `None` when what comes is no hello, or the client leaves; then it was told, if it is there to hear.
pub(super) async fn read(stream: &mut L4Stream) -> Option<Hello> {
    let (mut acceptor, mut bytes) = (Acceptor::default(), Vec::with_capacity(READ_BYTES));
    loop {
        let before = bytes.len();
        // rustls takes 64 KiB of a message at most.
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return None;
        }
        let mut unseen = &bytes[before..];
        while !unseen.is_empty() {
            acceptor.read_tls(&mut unseen).ok()?;
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_owned);
                    return Some(Hello { name, bytes });
                }
                Err((error, mut alert)) => {
                    debug!(%error, "A client's first message is no TLS: {error}");
                    let mut answer = Vec::new();
                    if alert.write_all(&mut answer).is_ok() {
                        send(stream, &answer).await;
                    }
                    return None;
                }
            }
        }
    }
}

/// Why there is no handshake (RFC 8446 §6).
#[derive(Debug, Clone, Copy)]
pub(super) enum Alert {
    /// Of a client that does not say whom it wants to reach, when there is no default.
    MissingExtension = 109,
    UnrecognizedName = 112,
}

pub(super) async fn refuse(stream: &mut L4Stream, alert: Alert) {
    const ALERT_RECORD: u8 = 21;
    const FATAL: u8 = 2;
    send(stream, &[ALERT_RECORD, 3, 3, 0, 2, FATAL, alert as u8]).await;
}

/// Whoever does not take it is not waited for: the socket's buffer is empty and holds it.
async fn send(stream: &mut L4Stream, alert: &[u8]) {
    if stream.write_all(alert).await.is_ok() {
        let _ = stream.flush().await;
        let _ = stream.shutdown().await;
    }
}
