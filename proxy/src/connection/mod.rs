//! The edge's side of a client's connection, from its first byte to its last.
//!
//! ```text
//! h1          the loop of an HTTP/1 connection
//!   head        where a head ends, and whether it means one thing only; pure
//!   framing     where a body ends; pure
//!   chunked     the chunked coding; pure
//!   body        reads a body whole, and hands it on with a plain length
//!   answer      refusals, and how a connection ends
//! http2/      the streams of an HTTP/2 connection
//! deadline    when a client has to have sent what
//! client      the bytes of a connection, lent to the proxy for one request
//!   pace        the slowest that a client may read
//!   frames      a budget for HTTP/2 frames that only cost work
//!   linger      how a goodbye reaches a client that is still sending
//! open        how many connections there are
//! counters    what was turned away
//! ```
//!
//! Nothing here knows sites, routes or files.

mod answer;
mod body;
mod chunked;
mod client;
pub(crate) mod counters;
mod deadline;
mod frames;
pub(crate) mod framing;
mod h1;
mod head;
mod http2;
mod linger;
pub(crate) mod open;
mod pace;

use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::{ALPN, Ssl, Stream};
use pingora::proxy::HttpProxy;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::client::Client;
use self::h1::Http1;
use self::http2::Http2;
use crate::config::Protection;
use crate::service::{EdgeService, Phases};

pub(crate) use self::body::BODY_BYTES_MAX;
pub(crate) use self::pace::SendRate;

/// How long a client may take for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// A whole head from its first byte, and the first byte of a new connection.
    pub head: Duration,
    /// Between an answer and the first byte of the next request.
    pub keep_alive: Duration,
    /// A whole body.
    pub body: Duration,
    pub send: SendRate,
}

impl Timing {
    pub(crate) fn new(protection: &Protection) -> Self {
        Self {
            head: protection.head_timeout,
            keep_alive: protection.keep_alive_timeout,
            body: protection.body_timeout,
            send: SendRate {
                window: protection.send_stall,
                bytes_per_second: protection.send_bytes_per_second,
            },
        }
    }
}

/// Serves a connection, whose TLS handshake is done, to its end.
pub(crate) async fn serve(
    stream: Stream,
    app: &Arc<HttpProxy<Phases>>,
    edge: &EdgeService,
    timing: Timing,
    is_stopping: watch::Receiver<bool>,
    idle_end: CancellationToken,
) {
    let client = Client::new(stream, timing.send);
    if matches!(client.selected_alpn_proto(), Some(ALPN::H2)) {
        Http2 { app, edge, timing, is_stopping }.serve(client).await;
    } else {
        Http1 { app, edge, timing, is_stopping, idle_end }.serve(client).await;
    }
}
