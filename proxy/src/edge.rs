//! Start and end of an edge: bind, serve, drain.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use loggia_client::EdgeClient;
use loggia_storage::Store;
use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::{Config, HttpsConfig};
use crate::listen::{self, Endpoint};
use crate::manifests::Manifests;
use crate::origin::Origin;
use crate::routes::journal::Journal;
use crate::routes::{Routes, events};
use crate::service::EdgeService;
use crate::tls;

/// SECURITY: HTTP/2.
const H2_STREAMS_MAX: u32 = 100;
const H2_HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
const H2_IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// Idle connections to the store that are kept for the next miss.
const STORE_CONNECTIONS_IDLE_MAX: usize = 256;

/// Runs an edge until `shutdown`: binds, serves, lets running requests finish.
///
/// # Errors
/// Before anything is served: an address that cannot be listened on, a certificate that cannot be used, a
/// store address that is none.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    Edge::bind(config).await?.serve(shutdown).await
}

/// An edge whose sockets are bound; connections wait in the kernel until [`Edge::serve`].
pub struct Edge {
    runtime: OwnRuntime,
    prepared: Prepared,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Edge({}, https {:?})", self.http_addr(), self.https_addr())
    }
}

impl Edge {
    /// Prepares everything that can fail.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        loggia_runtime::install_crypto_provider();
        let runtime = OwnRuntime::start(config.threads)?;
        let prepared = runtime.handle().spawn(async move { Prepared::new(config).await });
        let prepared = prepared.await.context("the edge failed while starting")??;
        Ok(Self { runtime, prepared })
    }

    /// Where HTTP is served; tells the port when 0 was asked for.
    pub fn http_addr(&self) -> SocketAddr {
        self.prepared.http_addr
    }

    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.prepared.https_addr
    }

    /// Serves until `shutdown`, then lets running requests finish.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { runtime, prepared } = self;
        let Prepared { endpoints, http_addr, https_addr, app, api, routes } = prepared;
        info!(%http_addr, ?https_addr, "The edge serves on {http_addr}");
        let stop_events = CancellationToken::new();
        let _stop_events = stop_events.clone().drop_guard();
        runtime.handle().spawn(events::follow(api, routes, stop_events));
        let serving = runtime.handle().spawn(listen::serve(app, endpoints, shutdown));
        serving.await.context("the edge failed while serving")?;
        info!("The edge has stopped");
        Ok(())
    }
}

/// What [`Edge::bind`] makes inside of its runtime, which sockets belong to.
struct Prepared {
    endpoints: Vec<Endpoint>,
    http_addr: SocketAddr,
    https_addr: Option<SocketAddr>,
    app: HttpProxy<EdgeService>,
    api: EdgeClient,
    routes: Routes,
}

impl Prepared {
    async fn new(config: Config) -> anyhow::Result<Self> {
        let http = listen::bind(config.http_listen)?;
        let http_addr = http.local_addr()?;
        let https = config.https.as_ref().map(bind_https).transpose()?;
        let https_addr = https.as_ref().map(|endpoint| endpoint.listener.local_addr()).transpose()?;

        let origin = Origin::new(&config.store)?;
        let manifests = Manifests::new(Store::connect(&config.store));
        let state_dir = config.state_dir.clone();
        let (journal, kept) = tokio::task::spawn_blocking(move || Journal::open(&state_dir))
            .await?
            .context("starting the thread that writes routes")?;
        info!("The edge starts with {} known routes", kept.len());
        let api = EdgeClient::new(&config.api_url, config.token.reveal());
        let routes = Routes::new(api.clone(), journal, kept).await;

        let service =
            EdgeService { base_domain: config.base_domain, routes: routes.clone(), manifests, origin };
        let endpoints = std::iter::once(Endpoint { listener: http, tls: None }).chain(https).collect();
        Ok(Self { endpoints, http_addr, https_addr, app: proxy(service), api, routes })
    }
}

fn bind_https(https: &HttpsConfig) -> anyhow::Result<Endpoint> {
    let tls = tls::acceptor(https)?;
    Ok(Endpoint { listener: listen::bind(https.listen)?, tls: Some(tls) })
}

fn proxy(service: EdgeService) -> HttpProxy<EdgeService> {
    let conf =
        ServerConf { upstream_keepalive_pool_size: STORE_CONNECTIONS_IDLE_MAX, ..ServerConf::default() };
    let mut proxy = http_proxy(&Arc::new(conf), service);
    let mut server = HttpServerOptions::default();
    server.h2_idle_timeout = Some(H2_IDLE_TIMEOUT);
    proxy.server_options = Some(server);
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(H2_STREAMS_MAX).max_header_list_size(H2_HEADER_LIST_BYTES_MAX);
    proxy.h2_options = Some(h2);
    proxy
}

/// Worker threads of its own: in one process with an api and a builder, their work must not delay visitors.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn start(threads: usize) -> anyhow::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        if threads > 0 {
            builder.worker_threads(threads);
        }
        let runtime =
            builder.enable_all().thread_name("edge").build().context("starting the edge's threads")?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> &tokio::runtime::Handle {
        self.0.as_ref().expect("only Drop takes it").handle()
    }
}

impl Drop for OwnRuntime {
    /// A runtime that is dropped within another one panics; this ends it without waiting.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
