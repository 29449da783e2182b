//! A builder in a world of its own: a fake api with state, a real S3 server, a real Git server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use loggia_builder::Config;
use loggia_builder::checkout::GitPolicy;
use loggia_builder::executor::{ExecutorChoice, ExecutorConfig};
use loggia_runtime::Secret;
use loggia_storage::embedded::{EmbeddedS3, EmbeddedS3Config};
use loggia_storage::{Store, StoreConfig};
use loggia_types::api::ErrorBody;
use loggia_types::build::{
    BuildAssignment, BuildEnv, BuildLimits, BuildReport, BuildSettings, Environment, Heartbeat,
    HeartbeatAnswer, LogBatch, LogLine, Phase,
};
use loggia_types::{BuildId, DeploymentId, DeploymentRef, Manifest, ProjectId, Timestamp};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::checkout_support::GitServer;

/// A build of a few files takes a second; machines that run these tests are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the api knows, and how it misbehaves.
#[derive(Debug, Default)]
pub(crate) struct ApiState {
    queue: VecDeque<BuildAssignment>,
    pub(crate) reports: Vec<BuildReport>,
    pub(crate) log: BTreeMap<u32, LogLine>,
    pub(crate) lines_received: usize,
    pub(crate) phases: Vec<Phase>,
    /// Somebody cancels the deployment once the log has this text.
    pub(crate) cancel_at: Option<&'static str>,
    pub(crate) refuses_lease: bool,
    pub(crate) heartbeats_fail: bool,
    pub(crate) claims: usize,
    /// So many calls of each kind are answered with 503 first.
    pub(crate) log_outage: usize,
    pub(crate) report_outage: usize,
}

#[derive(Clone)]
struct Api {
    state: Arc<Mutex<ApiState>>,
    /// Rises whenever the state has changed.
    changed: watch::Sender<u64>,
}

pub(crate) struct World {
    api: Api,
    pub(crate) git: GitServer,
    pub(crate) store: Store,
    pub(crate) dir: TempDir,
    shutdown: CancellationToken,
    builder: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
    next_id: u32,
    _s3: EmbeddedS3,
    _api: AbortOnDropHandle<()>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let s3 = start_s3(&dir).await;
        let store_config = StoreConfig {
            endpoint_url: Some(s3.endpoint_url()),
            region: "us-east-1".to_owned(),
            bucket: "loggia".to_owned(),
            access_key: "test".to_owned(),
            secret_key: "test-secret".to_owned(),
        };
        let (changed, _) = watch::channel(0);
        let api = Api { state: Arc::default(), changed };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}", listener.local_addr().unwrap());
        let router = routes(api.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let git = GitServer::start().await;
        let config = Config {
            api_url,
            token: Secret::new("token"),
            name: format!("test-{}", std::process::id()),
            work_dir: dir.path().join("work"),
            concurrency: 1,
            executor: ExecutorChoice::Sandbox,
            executor_config: ExecutorConfig {
                builder: format!("test-{}", std::process::id()),
                ..ExecutorConfig::default()
            },
            store: store_config.clone(),
            git: GitPolicy { http_hosts: vec![git.authority.clone()] },
        };
        let shutdown = CancellationToken::new();
        let builder = tokio::spawn(loggia_builder::run(config, shutdown.clone()));
        Self {
            api,
            git,
            store: Store::connect(&store_config),
            dir,
            shutdown,
            builder: Some(builder),
            next_id: 0,
            _s3: s3,
            _api: AbortOnDropHandle::new(serving),
        }
    }

    pub(crate) fn api(&self) -> MutexGuard<'_, ApiState> {
        self.api.state.lock().unwrap()
    }

    /// An assignment of the commit, with generous limits.
    pub(crate) fn assignment(&mut self, repository: &str, commit: &str) -> BuildAssignment {
        self.next_id += 1;
        BuildAssignment {
            build_id: BuildId::from_parts(1, self.next_id),
            deployment_id: DeploymentId::from_parts(2, self.next_id),
            project_id: ProjectId::from_parts(3, 1),
            slug: "shop".parse().unwrap(),
            attempt: 1,
            lease_secs: 30,
            repository_url: self.git.url(repository).parse().unwrap(),
            branch: "main".parse().unwrap(),
            commit: commit.parse().unwrap(),
            environment: Environment::Production,
            settings: BuildSettings::default(),
            env: BuildEnv::default(),
            secret_names: BTreeSet::new(),
            withheld_names: BTreeSet::new(),
            base: None,
            url: "https://shop.example.com".to_owned(),
            deployment_url: "https://d-0000000000000001--shop.example.com".to_owned(),
            limits: BuildLimits {
                memory_bytes: 512 << 20,
                cpu_millis: 2000,
                processes: 256,
                total_secs: 300,
            },
            queued_at: Timestamp::now(),
        }
    }

    /// Puts a build into the queue and waits for its report.
    pub(crate) async fn build(&self, assignment: &BuildAssignment) -> BuildReport {
        let reports = self.api().reports.len();
        self.enqueue(assignment);
        self.wait_for("a report", |state| state.reports.len() > reports).await;
        self.api().reports[reports].clone()
    }

    pub(crate) fn enqueue(&self, assignment: &BuildAssignment) {
        self.api().queue.push_back(assignment.clone());
        self.api.changed.send_modify(|count| *count += 1);
    }

    pub(crate) async fn wait_for(&self, what: &str, is_there: impl Fn(&ApiState) -> bool) {
        let mut changes = self.api.changed.subscribe();
        let there = changes.wait_for(|_| is_there(&self.api()));
        let waited = timeout(PATIENCE, there).await.is_ok();
        assert!(waited, "{what} did not come; {:#?}", self.api());
    }

    pub(crate) async fn shut_down(&mut self) {
        self.shutdown.cancel();
        let builder = self.builder.take().unwrap();
        timeout(PATIENCE, builder).await.unwrap().unwrap().unwrap();
    }

    pub(crate) async fn manifest(&self, assignment: &BuildAssignment) -> Option<Manifest> {
        let deployment =
            DeploymentRef { project_id: assignment.project_id, deployment_id: assignment.deployment_id };
        self.store.find_manifest(deployment).await.unwrap()
    }

    /// The log of all builds as one text.
    pub(crate) fn log(&self) -> String {
        self.api().log.values().map(|line| format!("{}: {}\n", line.step.as_str(), line.text)).collect()
    }

    pub(crate) fn workspaces(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("work/builds")).unwrap().count()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A builder that is dropped instead would leave its processes to the next test.
        self.shutdown.cancel();
    }
}

async fn start_s3(dir: &TempDir) -> EmbeddedS3 {
    let config = EmbeddedS3Config {
        root: dir.path().join("s3"),
        listen: ([127, 0, 0, 1], 0).into(),
        access_key: "test".to_owned(),
        secret_key: "test-secret".to_owned(),
        buckets: vec!["loggia".to_owned()],
    };
    EmbeddedS3::start(config).await.unwrap()
}

fn routes(api: Api) -> Router {
    Router::new()
        .route("/internal/v1/builds/claim", post(claim))
        .route("/internal/v1/builds/{id}/heartbeat", post(heartbeat))
        .route("/internal/v1/builds/{id}/log", post(log))
        .route("/internal/v1/builds/{id}/report", post(report))
        .with_state(api)
}

impl Api {
    fn change<T>(&self, change: impl FnOnce(&mut ApiState) -> T) -> T {
        let done = change(&mut self.state.lock().unwrap());
        self.changed.send_modify(|count| *count += 1);
        done
    }
}

async fn claim(State(api): State<Api>) -> Response {
    api.change(|state| state.claims += 1);
    let mut changes = api.changed.subscribe();
    loop {
        if let Some(assignment) = api.state.lock().unwrap().queue.pop_front() {
            return Json(assignment).into_response();
        }
        changes.changed().await.unwrap();
    }
}

async fn heartbeat(State(api): State<Api>, Path(_): Path<BuildId>, Json(body): Json<Heartbeat>) -> Response {
    api.change(|state| {
        state.phases.push(body.phase);
        if state.refuses_lease {
            return lease_lost();
        }
        if state.heartbeats_fail {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let has = |text: &str| state.log.values().any(|line| line.text.contains(text));
        let cancelled = state.cancel_at.is_some_and(has);
        Json(HeartbeatAnswer { lease_secs: 1, cancelled }).into_response()
    })
}

async fn log(State(api): State<Api>, Path(_): Path<BuildId>, Json(batch): Json<LogBatch>) -> Response {
    api.change(|state| {
        if state.log_outage > 0 {
            state.log_outage -= 1;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        state.lines_received += batch.lines.len();
        state.log.extend(batch.lines.into_iter().map(|line| (line.sequence, line)));
        StatusCode::NO_CONTENT.into_response()
    })
}

async fn report(State(api): State<Api>, Path(_): Path<BuildId>, Json(report): Json<BuildReport>) -> Response {
    api.change(|state| {
        if state.report_outage > 0 {
            state.report_outage -= 1;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        if state.refuses_lease {
            return lease_lost();
        }
        state.reports.push(report);
        StatusCode::NO_CONTENT.into_response()
    })
}

fn lease_lost() -> Response {
    let body = ErrorBody {
        kind: ErrorBody::kind_of("lease_lost"),
        title: "Conflict".to_owned(),
        status: 409,
        detail: "the build was given to another builder".to_owned(),
        code: "lease_lost".to_owned(),
        field: None,
        request_id: String::new(),
    };
    (StatusCode::CONFLICT, Json(body)).into_response()
}
