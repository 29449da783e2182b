//! Sockets: binds them, accepts connections, and lets running requests finish at the end.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use pingora::apps::HttpServerApp;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{GetSocketDigest, SocketDigest, Stream};
use pingora::proxy::HttpProxy;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::config::Protection;
use crate::connection::counters::{Counters, count};
use crate::connection::open::{OpenConnections, Ticket};
use crate::connection::{self, Timing};
use crate::edge::Ending;
use crate::metrics::HandshakeFailure;
use crate::service::{EdgeService, Phases};
use crate::tls::Certificates;
use loggia_runtime::{Network, TrustedHops};

/// Connections that the kernel holds until we take them; it caps this at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// A connection takes a descriptor, a miss another one to the store.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;
/// Listeners, the api, files, and in one process with an api and a builder what those have open.
const DESCRIPTORS_OF_OTHERS: u64 = 256;

/// Whoever is over a limit and speaks cleartext may be told why. It fits any socket's empty buffer.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n";

/// Out of file descriptors, usually: trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Running requests get this long at the end. Orchestrators kill after 10 s.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Binds, with an error that names the address and what is wrong with it.
pub(crate) fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("the edge cannot listen on {address}"))
}

/// One listening socket, with TLS or without.
pub(crate) struct Endpoint {
    pub listener: TcpListener,
    pub tls: Option<Arc<Certificates>>,
}

/// An office of 170 people with six connections each.
const CONNECTIONS_PER_ADDRESS: usize = 1024;

/// What the listener has to know about clients, before they are requests.
pub(crate) struct Gate {
    open: Arc<OpenConnections>,
    /// Whether this machine's own addresses have the limit of an address.
    counts_own: bool,
    hops: TrustedHops,
    timing: Timing,
    counters: Arc<Counters>,
}

impl Gate {
    pub(crate) fn new(protection: &Protection, counters: Arc<Counters>) -> Self {
        let total = connections_max(protection.connections);
        Self {
            open: OpenConnections::new(
                total,
                protection.connections_per_address.unwrap_or(CONNECTIONS_PER_ADDRESS),
            ),
            counts_own: protection.connections_per_address.is_some(),
            hops: protection.trusted_hops.clone(),
            timing: Timing::new(protection),
            counters,
        }
    }

    fn enter(&self, peer: SocketAddr) -> Option<Ticket> {
        let ip = peer.ip().to_canonical();
        let is_counted = !self.hops.contains(ip) && (self.counts_own || !ip.is_loopback());
        let ticket = self.open.enter(is_counted.then(|| Network::of(ip)));
        let counters = &self.counters;
        if ticket.is_none() {
            count(&counters.connections_refused);
        }
        ticket
    }
}

/// No more than there are descriptors for: at that limit not even a refusal works.
fn connections_max(wanted: usize) -> usize {
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_mul(DESCRIPTORS_PER_CONNECTION);
    let descriptors = descriptors(needed.saturating_add(DESCRIPTORS_OF_OTHERS));
    let ours = descriptors.saturating_sub(DESCRIPTORS_OF_OTHERS) / DESCRIPTORS_PER_CONNECTION;
    let possible = usize::try_from(ours).unwrap_or(usize::MAX).max(1);
    if possible < wanted {
        info!("The edge takes {possible} connections and not {wanted}: only {descriptors} files may be open");
    }
    possible.min(wanted)
}

/// How many files may be open. The soft limit is 1024 on many systems for the sake of old programs (`select`); a
/// process may raise its own up to the hard one.
fn descriptors(needed: u64) -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return needed };
    let raised = needed.min(hard);
    if soft < raised && setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() { raised } else { soft }
}

/// Serves until the end begins, then drains.
pub(crate) async fn serve(
    app: HttpProxy<Phases>,
    edge: Arc<EdgeService>,
    gate: Gate,
    endpoints: Vec<Endpoint>,
    ending: Ending,
    handover_drain: Duration,
) {
    let (stopping, is_stopping) = watch::channel(false);
    let (app, gate, tracker) = (Arc::new(app), Arc::new(gate), TaskTracker::new());
    let idle_end = CancellationToken::new();
    let connections = Connections { app, edge, gate, tracker, is_stopping, idle_end: idle_end.clone() };
    let accepting = TaskTracker::new();
    for endpoint in endpoints {
        let accept = connections.clone().accept(endpoint);
        let ending = ending.clone();
        accepting.spawn(async move { ending.run_until_begun(accept).await });
    }
    accepting.close();
    accepting.wait().await;

    let _ = stopping.send(true);
    connections.app.http_cleanup().await;
    connections.tracker.close();
    if ending.is_handover() {
        connections.leave(&ending, handover_drain).await;
    }
    idle_end.cancel();
    if tokio::time::timeout(DRAIN_MAX, connections.tracker.wait()).await.is_err() {
        warn!("The edge cuts {} connections that did not finish in time", connections.tracker.len());
    }
}

#[derive(Clone)]
struct Connections {
    app: Arc<HttpProxy<Phases>>,
    edge: Arc<EdgeService>,
    gate: Arc<Gate>,
    tracker: TaskTracker,
    is_stopping: watch::Receiver<bool>,
    /// Connections that wait for a request end too. A request may be on its way just then, so this is for when there
    /// is no time to wait for it.
    idle_end: CancellationToken,
}

impl Connections {
    /// Lets each connection end with what it is at, for another process takes the next ones: who is kept alive is told to
    /// come again with his next answer.
    async fn leave(&self, ending: &Ending, limit: Duration) {
        info!("The edge accepts no more; {} connections end with what they are at", self.tracker.len());
        tokio::select! {
            () = self.tracker.wait() => {}
            () = tokio::time::sleep(limit) => warn!("Connections are still open after {limit:?}"),
            () = ending.stop.cancelled() => {}
        }
    }

    async fn accept(self, endpoint: Endpoint) {
        loop {
            match endpoint.listener.accept().await {
                Ok((stream, peer)) => self.take(stream, peer, endpoint.tls.as_ref()),
                Err(error) => {
                    warn!(%error, "The edge cannot accept connections: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, tls: Option<&Arc<Certificates>>) {
        let Some(ticket) = self.gate.enter(peer) else {
            if tls.is_none() {
                // It goes into the socket's buffer or nowhere.
                let _ = stream.try_write(FULL);
            }
            return;
        };
        let (connections, tls) = (self.clone(), tls.cloned());
        self.tracker.spawn(async move {
            connections.serve(stream, peer, tls).await;
            drop(ticket);
        });
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, tls: Option<Arc<Certificates>>) {
        let metrics = Arc::clone(&self.edge.observer.metrics);
        let _open = metrics.connection_opened(tls.is_some());
        let timing = self.gate.timing;
        let stream: Stream = match tls {
            None => Box::new(prepare(stream, peer)),
            Some(tls) => match handshake(&tls, prepare(stream, peer), timing.head).await {
                Ok(stream) => stream,
                Err(failure) => return metrics.handshake_failures.count(failure),
            },
        };
        connection::serve(stream, &self.app, &self.edge, timing, self.is_stopping, self.idle_end).await;
    }
}

async fn handshake(
    tls: &Certificates,
    stream: L4Stream,
    limit: Duration,
) -> Result<Stream, HandshakeFailure> {
    tokio::time::timeout(limit, tls.handshake(stream)).await.unwrap_or_else(|_| {
        debug!("A TLS handshake took too long");
        Err(HandshakeFailure::Timeout)
    })
}

fn prepare(stream: TcpStream, peer: SocketAddr) -> L4Stream {
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    // A new cell is empty.
    let _ = digest.peer_addr.set(Some(peer.into()));
    let mut stream = L4Stream::from(stream);
    stream.set_socket_digest(digest);
    if let Err(error) = stream.set_nodelay() {
        debug!(%error, "Cannot set TCP_NODELAY: {error}");
    }
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_limit_and_this_machine_only_a_chosen_one() {
        let entered = |address: &str, chosen: Option<usize>| {
            let protection = Protection { connections_per_address: chosen, ..Protection::default() };
            let gate = Gate::new(&protection, Arc::default());
            let peer = SocketAddr::new(address.parse().expect("an address"), 50_000);
            let tickets: Vec<Ticket> = (0..3000).map_while(|_| gate.enter(peer)).collect();
            tickets.len()
        };
        assert_eq!(entered("203.0.113.9", None), CONNECTIONS_PER_ADDRESS);
        assert_eq!(entered("127.0.0.1", None), 3000);
        assert_eq!(entered("::ffff:127.0.0.1", None), 3000);
        assert_eq!((entered("203.0.113.9", Some(7)), entered("127.0.0.1", Some(7))), (7, 7));
    }
}
