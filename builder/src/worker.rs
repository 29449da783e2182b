//! Claims builds and carries them out until it is told to stop. The one place that logs how builds ended.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::FutureExt;
use loggia_client::BuilderClient;
use loggia_publish::Compressors;
use loggia_storage::Store;
use loggia_types::Timestamp;
use loggia_types::build::{BuildAssignment, BuildReport, Outcome, Step};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::Config;
use crate::executor::Executor;
use crate::lease::{Lease, is_over};
use crate::log::{BuildLog, LogTarget};
use crate::pipeline::{self, Running, Tools};
use crate::stop::{Stop, StopReason};
use crate::variables;
use crate::work_dir::WorkDir;

/// Below the minute for which proxies between us and the api usually keep a silent connection.
const CLAIM_WAIT: Duration = Duration::from_secs(25);

/// The wait after a failed call; doubles up to the maximum, and jitters, so that builders do not return in step.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(15);

/// The end of a log is worth a moment, and never the deployment.
const LOG_FLUSH_MAX: Duration = Duration::from_secs(10);

/// A finished build is worth some patience with an api that restarts; after that its manifest tells the next attempt.
const REPORT_MAX: Duration = Duration::from_secs(120);

/// Whoever stops the builder waits for it.
const REPORT_MAX_AT_SHUTDOWN: Duration = Duration::from_secs(5);

/// Runs a builder until `shutdown`. Builds that are under way then are given back.
///
/// # Errors
/// The work folder or the executor cannot be used; later trouble is logged and tried again.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let folder = config.work_dir.clone();
    // Removing what was left behind may take long.
    let work_dir = tokio::task::spawn_blocking(move || WorkDir::open(&folder)).await??;
    let executor = Executor::choose(config.executor, config.executor_config.clone()).await?;
    for gap in executor.gaps() {
        tracing::warn!("Builds are less isolated than they could be: {gap}");
    }
    let removed = executor.remove_leftovers().await.context("removing what an earlier run left behind")?;
    let store = Store::connect(&config.store);
    if let Err(error) = store.check().await {
        tracing::warn!(%error, "The object store does not answer yet; builds are given back until it does");
    }
    tracing::info!(
        builder = config.name,
        executor = executor.name(),
        leftovers = removed,
        "Builder {} waits for builds, up to {} at a time",
        config.name,
        config.concurrency
    );
    let worker = Arc::new(Worker {
        client: BuilderClient::new(&config.api_url, config.token.reveal()),
        name: config.name,
        tools: Tools { executor, store, compressors: Compressors::default(), git: config.git, work_dir },
        shutdown,
    });
    let mut loops = JoinSet::new();
    for _ in 0..config.concurrency {
        let worker = Arc::clone(&worker);
        loops.spawn(async move { worker.claim_builds().await });
    }
    while let Some(ended) = loops.join_next().await {
        ended.context("a claim loop panicked")?;
    }
    Ok(())
}

struct Worker {
    client: BuilderClient,
    name: String,
    tools: Tools,
    shutdown: CancellationToken,
}

impl Worker {
    async fn claim_builds(&self) {
        let mut wait = RETRY_AFTER;
        loop {
            let claimed = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                claimed = self.client.claim(&self.name, CLAIM_WAIT) => claimed,
            };
            match claimed {
                Ok(None) => wait = RETRY_AFTER,
                Ok(Some(assignment)) => {
                    wait = RETRY_AFTER;
                    let span = tracing::info_span!("build", build.id = %assignment.build_id, attempt = assignment.attempt);
                    self.carry_out(&assignment).boxed().instrument(span).await;
                }
                Err(error) => {
                    tracing::warn!(%error, retry_in_ms = wait.as_millis(), "No builds can be claimed: {error}");
                    tokio::select! {
                        () = sleep(wait.mul_f64(rand::random_range(0.5..1.0))) => {}
                        () = self.shutdown.cancelled() => return,
                    }
                    wait = (wait * 2).min(RETRY_AFTER_MAX);
                }
            }
        }
    }

    async fn carry_out(&self, assignment: &BuildAssignment) {
        let claimed_at = Instant::now();
        let queued_for = Timestamp::now().since(assignment.queued_at);
        let id = assignment.build_id;
        tracing::info!("Build {id} of {} at {} begins", assignment.slug, assignment.commit.short());
        let stop = Stop::default();
        let target = LogTarget { client: self.client.clone(), build_id: id, attempt: assignment.attempt };
        let (log, sender) = BuildLog::start(target, &variables::secrets(assignment));
        let build = Running::new(assignment, &self.tools, log, stop.clone(), claimed_at);
        build.add_timing(Step::Queue, queued_for);
        // All of these end with the build.
        let _log_sender = AbortOnDropHandle::new(sender);
        let _lease = AbortOnDropHandle::new(tokio::spawn(self.lease(&build, claimed_at)));
        let _watch =
            AbortOnDropHandle::new(tokio::spawn(watch(stop.clone(), self.shutdown.clone(), build.deadline)));

        let outcome = pipeline::run(&build).await;
        build.log.flush(LOG_FLUSH_MAX.min(self.patience())).await;
        let Some(outcome) = outcome else {
            return tracing::info!("Build {id} ends without a report: {:?}", stop.reason());
        };
        tracing::info!("Build {id} ends: {}", summary(&outcome));
        let report = BuildReport { attempt: assignment.attempt, outcome, timings: build.timings() };
        if timeout(self.patience(), self.report(assignment, &report)).await.is_err() {
            tracing::warn!("The report of build {id} could not be delivered; it will be tried again");
        }
    }

    fn lease(&self, build: &Running<'_>, granted_at: Instant) -> impl Future<Output = ()> + Send + 'static {
        let lease = Lease {
            client: self.client.clone(),
            build_id: build.assignment.build_id,
            attempt: build.assignment.attempt,
            length: Duration::from_secs(build.assignment.lease_secs),
            granted_at,
        };
        lease.keep(build.phase.subscribe(), build.stop.clone())
    }

    async fn report(&self, assignment: &BuildAssignment, report: &BuildReport) {
        let mut wait = RETRY_AFTER;
        loop {
            let id = assignment.build_id;
            match self.client.report(id, report).await {
                Ok(()) => return,
                Err(error) if is_over(&error) => {
                    return tracing::info!(
                        "Build {id} was given to another builder, its report is not wanted"
                    );
                }
                Err(error) if error.is_temporary() => {
                    tracing::warn!(%error, "The report of build {id} waits for the api");
                }
                Err(error) => return tracing::error!(%error, "The api refused the report of build {id}"),
            }
            sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
            wait = (wait * 2).min(RETRY_AFTER_MAX);
        }
    }

    fn patience(&self) -> Duration {
        if self.shutdown.is_cancelled() { REPORT_MAX_AT_SHUTDOWN } else { REPORT_MAX }
    }
}

/// Stops the build when its time is over or the builder's is.
async fn watch(stop: Stop, shutdown: CancellationToken, deadline: Instant) {
    tokio::select! {
        () = shutdown.cancelled() => stop.stop(StopReason::Shutdown),
        () = tokio::time::sleep_until(deadline) => stop.stop(StopReason::Deadline),
    }
}

fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ready { counts, framework, .. } => {
            format!("ready, {} files of {framework}, {} uploaded", counts.files, counts.uploaded)
        }
        Outcome::Failed(failure) => format!("failed at {}: {}", failure.step.as_str(), failure.reason),
        Outcome::Released => "given back, since the builder is being stopped".to_owned(),
        Outcome::Fault { message } => format!("given back: {message}"),
    }
}
