//! Sockets: binds them, accepts connections, and lets running requests finish at the end.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{GetSocketDigest, SocketDigest, Stream};
use pingora::proxy::HttpProxy;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::service::EdgeService;

/// Connections that the kernel holds until we take them; it caps this at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// A handshake takes two round trips; a client that needs longer is not one.
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

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
    pub tls: Option<Arc<Acceptor>>,
}

/// Serves until `shutdown`, then drains.
pub(crate) async fn serve(
    app: HttpProxy<EdgeService>,
    endpoints: Vec<Endpoint>,
    shutdown: CancellationToken,
) {
    let (stopping, is_stopping) = watch::channel(false);
    let connections = Connections { app: Arc::new(app), tracker: TaskTracker::new(), is_stopping };
    let accepting = TaskTracker::new();
    for endpoint in endpoints {
        let accept = connections.clone().accept(endpoint);
        let shutdown = shutdown.clone();
        accepting.spawn(async move { shutdown.run_until_cancelled(accept).await });
    }
    shutdown.cancelled().await;
    accepting.close();
    accepting.wait().await;

    let _ = stopping.send(true);
    connections.app.http_cleanup().await;
    connections.tracker.close();
    if tokio::time::timeout(DRAIN_MAX, connections.tracker.wait()).await.is_err() {
        warn!("The edge cuts {} connections that did not finish in time", connections.tracker.len());
    }
}

#[derive(Clone)]
struct Connections {
    app: Arc<HttpProxy<EdgeService>>,
    tracker: TaskTracker,
    is_stopping: watch::Receiver<bool>,
}

impl Connections {
    async fn accept(self, endpoint: Endpoint) {
        loop {
            match endpoint.listener.accept().await {
                Ok((stream, peer)) => {
                    let (connections, tls) = (self.clone(), endpoint.tls.clone());
                    self.tracker.spawn(async move { connections.serve(stream, peer, tls).await });
                }
                Err(error) => {
                    warn!(%error, "The edge cannot accept connections: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, tls: Option<Arc<Acceptor>>) {
        let stream: Stream = match tls {
            None => Box::new(prepare(stream, peer)),
            Some(tls) => {
                let handshake = tls.tls_handshake(prepare(stream, peer));
                match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, handshake).await {
                    Ok(Ok(stream)) => Box::new(stream),
                    Ok(Err(error)) => return debug!(%error, "A TLS handshake failed: {error}"),
                    Err(_) => return debug!("A TLS handshake took too long"),
                }
            }
        };
        let mut next = Some(stream);
        while let Some(stream) = next {
            next = self.app.process_new(stream, &self.is_stopping).await;
        }
    }
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
