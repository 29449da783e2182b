//! Sockets: accepts connections, limits them, and drains them on shutdown.

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::s3::{Endpoint, Strangers};
use super::store::Store;
use super::{EmbeddedS3Config, EmbeddedS3Error, s3};

/// The api, the builder, the edge and its cache share this server; each keeps some tens of connections. Each
/// costs a descriptor and at most one open object: half of the usual 4,096.
const CONNECTIONS_MAX: usize = 1024;

/// A head must arrive within this time, and a kept connection is closed after it. Longer than the 90 s for which
/// hyper's clients keep idle connections, so that it is they who close, and no request meets a closing socket.
const HEAD_MAX: Duration = Duration::from_secs(120);

/// Requests that still run at shutdown get this long. A build's largest files are uploaded in well under it.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Out of file descriptors, usually: trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running server. Dropping it stops it at once; [`EmbeddedS3::shutdown`] lets requests finish.
pub struct EmbeddedS3 {
    addr: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
    _abort_on_drop: DropGuard,
}

impl EmbeddedS3 {
    /// Prepares the directory, creates the buckets and listens. Needs a tokio runtime with IO and time.
    ///
    /// # Errors
    /// A bucket name is not one, another process uses the directory, or it or the address cannot be used.
    pub async fn start(config: EmbeddedS3Config) -> Result<Self, EmbeddedS3Error> {
        Self::start_for(config, Strangers::AreRefused).await
    }

    /// As [`EmbeddedS3::start`], but everybody may read the objects of all buckets: for servers without a signature
    /// that the edge is compared with. Nothing else starts one, and no setting does.
    pub async fn start_with_public_reads(config: EmbeddedS3Config) -> Result<Self, EmbeddedS3Error> {
        Self::start_for(config, Strangers::MayRead).await
    }

    async fn start_for(config: EmbeddedS3Config, strangers: Strangers) -> Result<Self, EmbeddedS3Error> {
        if config.access_key.is_empty() || config.secret_key.is_empty() {
            return Err(EmbeddedS3Error::EmptyCredentials);
        }
        let root = config.root.clone();
        let opened =
            spawn_blocking(move || Store::open(&config.root, &config.buckets, SystemTime::now())).await;
        let store = opened.map_err(|panicked| EmbeddedS3Error::Root { root, source: panicked.into() })??;

        let listen = config.listen;
        let failed = |source| EmbeddedS3Error::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let service = s3::service(Arc::new(store), &config.access_key, &config.secret_key, strangers);

        let (tasks, stop, abort) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let connections =
            Connections { service, tasks: tasks.clone(), stop: stop.clone(), abort: abort.clone() };
        tasks.spawn(connections.accept(listener));
        Ok(Self { addr, tasks, stop, _abort_on_drop: abort.clone().drop_guard(), abort })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// For clients with path-style addressing, e.g. `http://127.0.0.1:9000`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops accepting, lets running requests finish within five seconds, and closes what is left.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(DRAIN_MAX, self.tasks.wait()).await.is_err() {
            warn!("The embedded S3 server cuts {} connections that did not finish in time", self.tasks.len());
            self.abort.cancel();
            self.tasks.wait().await;
        }
    }
}

impl fmt::Debug for EmbeddedS3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedS3").field("addr", &self.addr).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Connections {
    service: Endpoint,
    tasks: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Connections {
    async fn accept(self, listener: TcpListener) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let next = async {
                // Never closed, so this is always a permit.
                let permit = Arc::clone(&permits).acquire_owned().await.ok();
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.abort.cancelled() => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, _)) => {
                    let connections = self.clone();
                    self.tasks.spawn(async move {
                        connections.serve(stream).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "The embedded S3 server cannot accept connections: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream) {
        // Without it a small answer waits for the client's delayed ACK: 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "Cannot set TCP_NODELAY: {error}");
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), self.service);
        let mut connection = pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.abort.cancelled() => return,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    served = connection => served,
                    () = self.abort.cancelled() => return,
                }
            }
        };
        if let Err(error) = served {
            // The client went away or spoke no HTTP: nothing to do about it here.
            debug!(%error, "A connection to the embedded S3 server ended: {error}");
        }
    }
}
