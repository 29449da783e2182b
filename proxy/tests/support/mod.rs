//! A world of its own for each test: a real S3 server, a scripted api, an edge, and clients that are rude.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its part; a test ends at a surprise"
)]

pub mod api;
pub mod faulty_store;
pub mod http;
pub mod https;
pub mod openmetrics;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use loggia_proxy::{
    AccessLogConfig, AccessLogTarget, AdminListen, CacheConfig, CdnConfig, Config, Edge, Protection,
    SampleRate,
};

use loggia_runtime::Secret;
use loggia_storage::embedded::{EmbeddedS3, EmbeddedS3Config};
use loggia_storage::{Store, StoreConfig, publish};
use loggia_types::build::Environment;
use loggia_types::event::Change;
use loggia_types::manifest::{Facts, HtmlHandling, NewEntry, NewManifest, NotFound};
use loggia_types::route::{Route, ServeSettings, SurrogateKeys};
use loggia_types::rules::{Dialect, Rules};
use loggia_types::{
    ContentHash, DeploymentId, DeploymentRef, EventPosition, FolderRef, Hostname, ProjectId, Timestamp,
    media_type,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::api::FakeApi;
use self::faulty_store::FaultyStore;
use self::http::Answer;
use self::openmetrics::Exposition;

pub const HOST: &str = "shop.localhost";

pub struct World {
    pub api: FakeApi,
    pub s3: Option<EmbeddedS3>,
    pub faults: FaultyStore,
    pub store: Store,
    pub edge: RunningEdge,
    dir: TempDir,
    config: Config,
}

pub struct RunningEdge {
    pub addr: SocketAddr,
    pub https_addr: Option<SocketAddr>,
    pub admin_addr: Option<SocketAddr>,
    pub stop: CancellationToken,
    pub task: JoinHandle<anyhow::Result<()>>,
}

impl RunningEdge {
    pub async fn start(config: Config) -> Self {
        let edge = Edge::bind(config).await.unwrap();
        let (addr, https_addr, stop) = (edge.http_addr(), edge.https_addr(), CancellationToken::new());
        let admin_addr = edge.admin_addr();
        Self { addr, https_addr, admin_addr, stop: stop.clone(), task: tokio::spawn(edge.serve(stop)) }
    }
}

impl World {
    /// Everything runs, and the edge follows the events of the api.
    pub async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    pub async fn with(adjust: impl FnOnce(&mut Config, &Path)) -> Self {
        loggia_runtime::install_crypto_provider();
        let dir = tempfile::tempdir().unwrap();
        let s3 = start_s3(&dir.path().join("s3"), ([127, 0, 0, 1], 0).into()).await;
        let faults = FaultyStore::start(s3.addr()).await;
        let store_config = store_config(faults.addr());
        let api = FakeApi::start();
        let mut config = Config {
            http_listen: ([127, 0, 0, 1], 0).into(),
            https: None,
            admin_listen: AdminListen::On(([127, 0, 0, 1], 0).into()),
            access_log: AccessLogConfig { target: AccessLogTarget::Off, sample: SampleRate::ALL },
            api_url: format!("http://{}", api.addr()),
            token: Secret::new("edge-token"),
            base_domain: "localhost".parse().unwrap(),
            store: store_config.clone(),
            state_dir: dir.path().join("state"),
            threads: 2,
            handover_drain: Duration::from_secs(60),
            protection: Protection::default(),
            cache: CacheConfig::default(),
            cdn: CdnConfig::default(),
        };
        adjust(&mut config, dir.path());
        let edge = RunningEdge::start(config.clone()).await;
        let store = Store::connect(&StoreConfig { endpoint_url: Some(s3.endpoint_url()), ..store_config });
        let world = Self { api, s3: Some(s3), faults, store, edge, dir, config };
        let follows = async || world.metrics().await.get("loggia_proxy_events_position") > 0.0;
        eventually("the edge follows the events", follows).await;
        world
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Ends this edge and starts another with the same folder.
    pub async fn restart_edge(&mut self) {
        self.restart_edge_after(|_| {}).await;
    }

    /// As [`World::restart_edge`], with something done to the folder in between.
    pub async fn restart_edge_after(&mut self, between: impl FnOnce(&Path)) {
        self.edge.stop.cancel();
        (&mut self.edge.task).await.unwrap().unwrap();
        between(&self.config.state_dir);
        self.edge = RunningEdge::start(self.config.clone()).await;
    }

    pub async fn stop_s3(&mut self) -> SocketAddr {
        let s3 = self.s3.take().unwrap();
        let addr = s3.addr();
        s3.shutdown().await;
        addr
    }

    pub async fn start_s3(&mut self, addr: SocketAddr) {
        self.s3 = Some(start_s3(&self.dir.path().join("s3"), addr).await);
    }

    /// Uploads a deployment of the test's project.
    pub async fn deploy(&self, number: u64, files: &[(&str, &[u8])]) -> DeploymentRef {
        self.deploy_with(number, files, |_| {}).await
    }

    /// As [`World::deploy`], with a change to the manifest.
    pub async fn deploy_with(
        &self,
        number: u64,
        files: &[(&str, &[u8])],
        adjust: impl FnOnce(&mut NewManifest),
    ) -> DeploymentRef {
        let deployment_id = DeploymentId::from_parts(number, 0);
        let deployment = DeploymentRef { project_id: project(), deployment_id };
        let folder = FolderRef::of_attempt(deployment_id, 1);
        let mut entries = Vec::new();
        for (path, content) in files {
            let entry = NewEntry {
                path: path.parse().unwrap(),
                hash: ContentHash::of(content),
                size: content.len() as u64,
                folder,
                content_type: media_type::for_path(path),
                fingerprinted: false,
                immutable: false,
                source_path: path.parse().unwrap(),
                variants: Vec::new(),
                link: None,
            };
            let file = self.dir.path().join("upload");
            std::fs::write(&file, content).unwrap();
            self.store.put_file(deployment.project_id, &entry, &file).await.unwrap();
            entries.push(entry);
        }
        let mut new =
            NewManifest { facts: facts(deployment), rules: Rules::default(), entries, retired: Vec::new() };
        adjust(&mut new);
        publish::write_manifest(&self.store, new).await.unwrap();
        deployment
    }

    /// Makes [`HOST`] show a deployment, and tells the edges.
    pub fn promote(&self, deployment: DeploymentRef) {
        self.promote_silently(deployment);
        self.api.emit(Change::Routes {
            project_id: project(),
            hostnames: vec![hostname(HOST)],
            wildcards: Vec::new(),
        });
    }

    /// As [`World::promote`], without an event.
    pub fn promote_silently(&self, deployment: DeploymentRef) {
        let version = self.api.next_position();
        self.api.set_route(route(HOST, Some(deployment.deployment_id), version));
    }

    /// Deploys and promotes.
    pub async fn publish(&self, number: u64, files: &[(&str, &[u8])]) -> DeploymentRef {
        let deployment = self.deploy(number, files).await;
        self.promote(deployment);
        deployment
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).await
    }

    pub async fn get_with(&self, path: &str, header: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{header}\r\nConnection: close\r\n\r\n"))
            .await
    }

    pub async fn get_host(&self, host: &str) -> Answer {
        self.ask(&format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    }

    /// Tells the edge to purge, and waits until it has.
    pub async fn purge(&self, purge: &str) {
        let position = self.api.next_position();
        let purge = serde_json::from_str(purge).unwrap();
        self.api.emit(Change::Purge { project_id: project(), purge });
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let position = position as f64;
        let seen = async || self.metrics().await.get("loggia_proxy_events_position") >= position;
        eventually("the edge has purged", seen).await;
    }

    pub async fn metrics(&self) -> Exposition {
        let request = b"GET /metrics HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n";
        Exposition::parse(&http::ask(self.edge.admin_addr.unwrap(), request).await.text())
    }

    /// Sends bytes on a new connection and reads until it ends.
    pub async fn ask(&self, request: &str) -> Answer {
        http::ask(self.edge.addr, request.as_bytes()).await
    }
}

/// Every file comes from the store.
pub fn without_cache(config: &mut Config, _: &Path) {
    config.cache = CacheConfig { memory_bytes: 0, object_bytes_max: 0, ..CacheConfig::default() };
}

pub fn project() -> ProjectId {
    ProjectId::from_parts(1, 1)
}

pub fn hostname(name: &str) -> Hostname {
    name.parse().unwrap()
}

pub fn route(host: &str, deployment_id: Option<DeploymentId>, version: u64) -> Route {
    Route {
        hostname: hostname(host),
        project_id: project(),
        slug: "shop".parse().unwrap(),
        deployment_id,
        environment: Environment::Production,
        indexable: true,
        serve: ServeSettings::default(),
        surrogate_keys: SurrogateKeys::Listed(Box::default()),
        redirect: None,
        version: EventPosition(version),
    }
}

fn facts(deployment: DeploymentRef) -> Facts {
    Facts {
        deployment,
        created_at: Timestamp::from_unix_secs(1_700_000_000).unwrap(),
        commit: None,
        branch: None,
        framework: None,
        dialect: Dialect::default(),
        html_handling: HtmlHandling::default(),
        not_found: NotFound::Auto,
        permanent: false,
        problems: Vec::new(),
    }
}

fn store_config(addr: SocketAddr) -> StoreConfig {
    StoreConfig {
        endpoint_url: Some(format!("http://{addr}")),
        region: "us-east-1".into(),
        bucket: "loggia".into(),
        access_key: "test".into(),
        secret_key: "test-secret".into(),
    }
}

async fn start_s3(root: &Path, listen: SocketAddr) -> EmbeddedS3 {
    let config = EmbeddedS3Config {
        root: root.to_owned(),
        listen,
        access_key: "test".into(),
        secret_key: "test-secret".into(),
        buckets: vec!["loggia".into()],
    };
    EmbeddedS3::start(config).await.unwrap()
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), wait).await.is_ok(), "not within 20 s: {what}");
}
