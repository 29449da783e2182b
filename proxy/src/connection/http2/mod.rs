//! An HTTP/2 connection: from its preface to its last stream.
//!
//! ```text
//! settings  what we grant a client; the limits that the HTTP/2 library keeps for us
//! at_hand   the fast way, for answers that are in memory
//! session   one request and its answer, as the proxy library wants them
//! reply     what is sent on one stream: hints, a head, a body at the client's pace
//! ```
//!
//! The proxy library has a server of its own, which drops interim answers (RFC 8297 needs them) and lets streams starve
//! (docs/decisions/0008).

mod at_hand;
mod reply;
mod session;
mod settings;

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::poll_fn;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::{Digest, GetProxyDigest, GetSocketDigest, GetTimingDigest, Ssl, UniqueID};
use pingora::proxy::HttpProxy;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use self::reply::Reply;
use self::session::Session;
use super::Timing;
use super::client::{self, Client};
use super::frames::PREFACE;
use super::pace::SendRate;
use crate::at_hand::Peer;
use crate::service::{EdgeService, Phases};

/// A client that was told to leave confirms it within a round trip; one that is gone never does.
const GOODBYE: Duration = Duration::from_secs(2);

pub(crate) struct Http2<'c> {
    pub app: &'c Arc<HttpProxy<Phases>>,
    pub edge: &'c EdgeService,
    pub timing: Timing,
    pub is_stopping: watch::Receiver<bool>,
}

impl Http2<'_> {
    pub(crate) async fn serve(self, mut client: Client) {
        let Some(read) = preface(&mut client, self.timing.head).await else { return };
        let digest = Arc::new(digest(&client));
        let peer = self.edge.admission.peer(digest.socket_digest.as_deref(), digest.ssl_digest.clone());
        let rest = Rest { fd: client.id(), rate: self.timing.send };
        let spent = CancellationToken::new();
        let begins = settings::ours().handshake(client.into_http2(read, spent.clone()));
        let Ok(Ok(mut connection)) = timeout(self.timing.head, begins).await else { return };
        // Closed from the start, so that it tells whenever it is empty.
        let streams = TaskTracker::new();
        streams.close();
        tokio::select! {
            biased;
            () = spent.cancelled() => calm(&mut connection).await,
            () = self.answer(&mut connection, rest, &digest, peer.as_ref(), &streams) => {}
        }
        // It holds what the client did not take, and the client.
        drop(connection);
        // What is still under way notices that its client is gone, and writes its line of the access log.
        streams.wait().await;
    }

    /// Takes requests until the client leaves, or has been told to and nothing is under way.
    async fn answer(
        &self,
        connection: &mut Connection<Client, Bytes>,
        rest: Rest,
        digest: &Arc<Digest>,
        peer: Option<&Peer>,
        streams: &TaskTracker,
    ) {
        let (mut is_stopping, mut patience) = (self.is_stopping.clone(), self.timing.keep_alive);
        let mut is_leaving = false;
        let mut buffer = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = is_stopping.wait_for(|is_stopping| *is_stopping), if !is_leaving => {
                    // Requests that are on their way are still taken (RFC 9113 §6.8).
                    connection.graceful_shutdown();
                    is_leaving = true;
                }
                accepted = connection.accept() => match accepted {
                    Some(Ok((request, mut respond))) => {
                        let is_answered = peer.is_some_and(|peer| {
                            at_hand::answer(self.edge, peer, &request, &mut respond, &mut buffer)
                        });
                        if !is_answered {
                            drop(streams.spawn(self.one(request, respond, digest)));
                        }
                    }
                    Some(Err(error)) => return debug!(%error, "An HTTP/2 connection broke: {error}"),
                    None => return,
                },
                () = rest.idle(streams, patience) => {
                    if is_leaving {
                        return;
                    }
                    connection.graceful_shutdown();
                    (is_leaving, patience) = (true, GOODBYE);
                }
            }
        }
    }

    /// One request, to be answered beside the others.
    fn one(
        &self,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        digest: &Arc<Digest>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let reply = Reply::new(respond, self.timing.send);
        let session = Session::new(request, reply, Arc::clone(digest));
        let (app, is_stopping) = (Arc::clone(self.app), self.is_stopping.clone());
        async move {
            let session = ServerSession::new_custom(Box::new(session));
            // Nothing of a stream is used again.
            let _ = Box::pin(app.process_new_http(session, &is_stopping)).await;
        }
    }
}

/// Ends a connection whose budget of frames is spent, and says why (RFC 9113 §10.5).
async fn calm(connection: &mut Connection<Client, Bytes>) {
    debug!("An HTTP/2 client sends too many frames that only cost work");
    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    // A client that takes nothing does not take this either.
    let _ = timeout(GOODBYE, poll_fn(|context| connection.poll_closed(context))).await;
}

/// Reads the first bytes, for which the HTTP/2 library would wait without end.
async fn preface(client: &mut Client, limit: Duration) -> Option<BytesMut> {
    let mut read = BytesMut::new();
    let begins = async {
        while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
            if !matches!(client.read_more(&mut read).await, Ok(1..)) {
                return false;
            }
        }
        read.starts_with(PREFACE)
    };
    matches!(timeout(limit, begins).await, Ok(true)).then_some(read)
}

/// What a client still takes, though all of it has left our hands: the kernel has megabytes of a large file.
#[derive(Clone, Copy)]
struct Rest {
    fd: RawFd,
    rate: SendRate,
}

impl Rest {
    /// Waits until no request is under way and the client takes nothing any more, for so long. Pings of a keep-alive are
    /// too few to count: they are no reason to hold a place.
    async fn idle(self, streams: &TaskTracker, patience: Duration) {
        loop {
            streams.wait().await;
            let before = client::taken(self.fd);
            sleep(patience).await;
            let taken = client::taken(self.fd).zip(before).map_or(0, |(after, before)| after - before);
            if taken < self.rate.bytes_in(patience) {
                return;
            }
        }
    }
}

fn digest(client: &Client) -> Digest {
    Digest {
        ssl_digest: client.get_ssl_digest(),
        timing_digest: client.get_timing_digest(),
        proxy_digest: client.get_proxy_digest(),
        socket_digest: client.get_socket_digest(),
    }
}
