//! The socket, and the connections until the end.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Server, request};

/// As the edge: for a head, and between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Running answers get this long at the end.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// Out of file descriptors, usually.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let next = address.port().checked_add(1).unwrap_or(8888);
            bail!(
                "port {} of {} is in use, perhaps by another `loggia dev`; end that, or take another one: --port {next}",
                address.port(),
                address.ip()
            )
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            bail!("port {} is for root only; take one from 1024 on, for example --port 8888", address.port())
        }
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            bail!("this machine has no address {}; try --listen 127.0.0.1", address.ip())
        }
        Err(error) => Err(error).with_context(|| format!("listening on {address}")),
    }
}

/// As a person types it.
pub(super) fn shown(address: SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_loopback() && ip.is_ipv4() || ip.is_unspecified() => {
            format!("localhost:{}", address.port())
        }
        _ => address.to_string(),
    }
}

/// Serves until told to stop, then lets running answers end.
pub(super) async fn serve(listener: TcpListener, server: Arc<Server>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    drop(connections.spawn(connection(stream, Arc::clone(&server), stop.clone())));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            () = stop.cancelled() => break,
        }
    }
    connections.close();
    let _ = tokio::time::timeout(DRAIN_MAX, connections.wait()).await;
}

async fn connection(stream: TcpStream, server: Arc<Server>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, std::convert::Infallible>(request::answer(&server, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    // A client that leaves or breaks the protocol ends its own connection and nothing else.
    let _ = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
}
