//! Start and end of an edge: bind, serve, drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use loggia_client::EdgeClient;
use loggia_storage::Store;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::access_log::AccessLog;
use loggia_runtime::AdminListen;

use crate::admin::{self, Admin};
use crate::admission::Admission;
use crate::answers::Answers;
use crate::bodies::Bodies;
use crate::cache_headers::CacheHeaders;
use crate::config::Config;
use crate::handover::{Place, Role, Sockets};
use crate::listen::{self, Endpoint, Gate};
use crate::manifests::Manifests;
use crate::metrics::Metrics;
use crate::origin::{CONNECTIONS_IDLE_MAX, Origin};
use crate::record::Observer;
use crate::routes::journal::Journal;
use crate::routes::{Routes, events};
use crate::service::{EdgeService, Phases};
use crate::tls::{self, Certificates, Shelf};

/// How an edge is told to end. Both can happen, in this order: a process that has been replaced may be stopped.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Another process accepts connections now: what is open may take its time.
    pub handed_over: CancellationToken,
    /// Nobody comes after us, and somebody waits for the end.
    pub stop: CancellationToken,
}

impl Ending {
    pub fn new(stop: CancellationToken) -> Self {
        Self { handed_over: CancellationToken::new(), stop }
    }

    pub(crate) fn is_handover(&self) -> bool {
        self.handed_over.is_cancelled() && !self.stop.is_cancelled()
    }

    /// Drops `work` when the end begins.
    pub(crate) async fn run_until_begun(&self, work: impl Future<Output = ()>) {
        tokio::select! {
            () = self.handed_over.cancelled() => {}
            () = self.stop.cancelled() => {}
            () = work => {}
        }
    }
}

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
        Self::bind_on(config, &mut Sockets::default()).await
    }

    /// As [`Edge::bind`], with the sockets of a predecessor where it had some.
    pub(crate) async fn bind_on(config: Config, sockets: &mut Sockets) -> anyhow::Result<Self> {
        loggia_runtime::install_crypto_provider();
        let runtime = OwnRuntime::start(config.threads)?;
        let mut taken = std::mem::take(sockets);
        let prepared = runtime.handle().spawn(async move {
            let prepared = Prepared::new(config, &mut taken).await;
            prepared.map(|prepared| (prepared, taken))
        });
        let (prepared, used) = prepared.await.context("the edge failed while starting")??;
        *sockets = used;
        Ok(Self { runtime, prepared })
    }

    /// Where HTTP is served; tells the port when 0 was asked for.
    pub fn http_addr(&self) -> SocketAddr {
        self.prepared.http_addr
    }

    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.prepared.https_addr
    }

    /// Where metrics and health are, unless they are off.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.prepared.admin.as_ref().map(|admin| admin.addr)
    }

    /// Serves until `shutdown`, then lets running requests finish.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        self.serve_until(Ending::new(shutdown)).await
    }

    /// Serves until the end begins, then lets running requests finish.
    pub async fn serve_until(self, ending: Ending) -> anyhow::Result<()> {
        let Self { runtime, prepared } = self;
        let Prepared {
            endpoints,
            http_addr,
            https_addr,
            certificates,
            app,
            service,
            gate,
            api,
            admin,
            access_log,
            handover_drain,
        } = prepared;
        let admin_addr = admin.as_ref().map(|admin| admin.addr);
        info!(%http_addr, ?https_addr, ?admin_addr, "The edge serves on {http_addr}");
        if let Some(AdminSocket { listener, .. }) = admin {
            let (edge, stopping) = (Arc::clone(&service), ending.stop.clone());
            let serve = admin::serve(listener, Admin { edge, stopping });
            // Who asks wants to know of the process that takes visitors.
            let handed_over = ending.handed_over.clone();
            runtime.handle().spawn(async move { handed_over.run_until_cancelled(serve).await });
        }
        if let Some((certificates, shelf)) = certificates {
            let metrics = Arc::clone(&service.observer.metrics);
            runtime.handle().spawn(tls::follow(certificates, shelf, metrics));
        }
        let stop_events = CancellationToken::new();
        let _stop_events = stop_events.clone().drop_guard();
        let (handed_over, disk_of) = (ending.handed_over.clone(), Arc::clone(&service));
        runtime.handle().spawn(async move {
            handed_over.cancelled().await;
            disk_of.hand_over_disk();
        });
        runtime.handle().spawn(events::follow(api, Arc::clone(&service), stop_events));
        let serving = listen::serve(app, service, gate, endpoints, ending, handover_drain);
        let serving = runtime.handle().spawn(serving);
        serving.await.context("the edge failed while serving")?;
        access_log.flush().await;
        info!("The edge has stopped");
        Ok(())
    }
}

/// What [`Edge::bind`] makes inside of its runtime, which sockets belong to.
struct Prepared {
    endpoints: Vec<Endpoint>,
    http_addr: SocketAddr,
    https_addr: Option<SocketAddr>,
    certificates: Option<(Arc<Certificates>, Shelf)>,
    app: HttpProxy<Phases>,
    service: Arc<EdgeService>,
    gate: Gate,
    api: EdgeClient,
    admin: Option<AdminSocket>,
    access_log: AccessLog,
    handover_drain: Duration,
}

struct AdminSocket {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Prepared {
    async fn new(config: Config, sockets: &mut Sockets) -> anyhow::Result<Self> {
        let metrics = Metrics::new(config.threads);
        // First, for a mistake in it is told before a port is bound.
        let tls = config.https.as_ref().map(|https| Certificates::load(https, &metrics)).transpose()?;
        let (tls, shelf) = tls.unzip();

        let http = sockets.listen(Place { role: Role::Http, address: config.http_listen })?;
        let http_addr = http.local_addr()?;
        let https_place =
            config.https.as_ref().map(|https| Place { role: Role::Https, address: https.listen });
        let https = https_place.map(|place| sockets.listen(place)).transpose()?;
        let https_addr = https.as_ref().map(TcpListener::local_addr).transpose()?;
        let admin = bind_admin(config.admin_listen, sockets)?;

        let access_log = AccessLog::start(&config.access_log, Arc::clone(&metrics))
            .context("starting the thread that writes the access log")?;
        let origin = Arc::new(Origin::new(&config.store)?);
        let bodies =
            Bodies::open(&config.cache, &config.state_dir, Arc::clone(&origin), Arc::clone(&metrics))
                .context("starting the thread that writes files")?;
        let store = Store::connect(&config.store);
        let manifests_bytes = config.cache.manifests_disk_bytes;
        let manifests =
            Manifests::open(store.clone(), &config.state_dir, manifests_bytes, Arc::clone(&metrics))
                .context("starting the thread that writes manifests")?;
        let state_dir = config.state_dir.clone();
        let (journal, kept) = tokio::task::spawn_blocking(move || Journal::open(&state_dir))
            .await?
            .context("starting the thread that writes routes")?;
        info!("The edge starts with {} known routes", kept.len());
        let api = EdgeClient::new(&config.api_url, config.token.reveal());
        let routes = Routes::new(api.clone(), journal, kept, Arc::clone(&metrics)).await;

        let counters = Arc::clone(&metrics.turned_away);
        let gate = Gate::new(&config.protection, Arc::clone(&counters));
        let admission = Admission::new(&config.protection, &config.cdn, counters);
        let service = EdgeService {
            base_domain: config.base_domain,
            routes,
            manifests,
            origin,
            bodies,
            answers: Answers::new(),
            cache_headers: CacheHeaders::new(&config.cdn.name),
            store,
            admission,
            observer: Observer { metrics: Arc::clone(&metrics), access_log: access_log.clone() },
        };
        let service = Arc::new(service);
        let app = proxy(Arc::clone(&service));
        let https = https.map(|listener| Endpoint { listener, tls: tls.clone() });
        let endpoints = std::iter::once(Endpoint { listener: http, tls: None }).chain(https).collect();
        Ok(Self {
            endpoints,
            http_addr,
            https_addr,
            certificates: tls.zip(shelf),
            app,
            service,
            gate,
            api,
            admin,
            access_log,
            handover_drain: config.handover_drain,
        })
    }
}

fn bind_admin(listen: AdminListen, sockets: &mut Sockets) -> anyhow::Result<Option<AdminSocket>> {
    let AdminListen::On(address) = listen else { return Ok(None) };
    let listener =
        sockets.listen(Place { role: Role::Admin, address }).context("LOGGIA_PROXY_ADMIN_LISTEN")?;
    let addr = listener.local_addr()?;
    Ok(Some(AdminSocket { listener, addr }))
}

fn proxy(service: Arc<EdgeService>) -> HttpProxy<Phases> {
    let conf = ServerConf { upstream_keepalive_pool_size: CONNECTIONS_IDLE_MAX, ..ServerConf::default() };
    http_proxy(&Arc::new(conf), Phases(service))
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
