//! One build from claim to outcome: a list of steps, each with a limit. Control flow stays here.
//!
//! What goes wrong is sorted into three: the project's own failure (told to people, not retried), our fault (given
//! back, retried), and a stop from outside (see [`StopReason`]).

mod failure;
mod publish;
mod steps;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use loggia_publish::Compressors;
use loggia_storage::Store;
use loggia_types::build::{BuildAssignment, BuildFailure, Outcome, Phase, Step, StepTiming};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::checkout::GitPolicy;
use crate::executor::Executor;
use crate::log::BuildLog;
use crate::stop::{Stop, StopReason};
use crate::variables;
use crate::work_dir::{WorkDir, Workspace};

/// What all builds of a builder share.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) executor: Executor,
    pub(crate) store: Store,
    pub(crate) compressors: Compressors,
    pub(crate) git: GitPolicy,
    pub(crate) work_dir: WorkDir,
}

/// One build that is under way.
pub(crate) struct Running<'a> {
    pub(crate) assignment: &'a BuildAssignment,
    pub(crate) tools: &'a Tools,
    pub(crate) log: BuildLog,
    pub(crate) stop: Stop,
    pub(crate) phase: watch::Sender<Phase>,
    /// Nothing of the build may outlive this.
    pub(crate) deadline: Instant,
    timings: Mutex<Vec<StepTiming>>,
}

/// Why a build did not come to its end.
enum Halt {
    Failed(BuildFailure),
    Fault(anyhow::Error),
    /// `Running::stop` knows why.
    Stopped,
}

impl From<anyhow::Error> for Halt {
    fn from(error: anyhow::Error) -> Self {
        Self::Fault(error)
    }
}

impl<'a> Running<'a> {
    pub(crate) fn new(
        assignment: &'a BuildAssignment,
        tools: &'a Tools,
        log: BuildLog,
        stop: Stop,
        claimed_at: Instant,
    ) -> Self {
        let (phase, _) = watch::channel(Phase::Building);
        let deadline = claimed_at + Duration::from_secs(assignment.limits.total_secs);
        Self { assignment, tools, log, stop, phase, deadline, timings: Mutex::default() }
    }

    /// Runs a step under its name, and takes its time.
    async fn timed<T>(&self, step: Step, work: impl Future<Output = Result<T, Halt>>) -> Result<T, Halt> {
        self.log.begin(step);
        let begun_at = Instant::now();
        let done = work.await;
        self.add_timing(step, begun_at.elapsed());
        done
    }

    pub(crate) fn add_timing(&self, step: Step, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.timings.lock().unwrap_or_else(PoisonError::into_inner).push(StepTiming { step, millis });
    }

    pub(crate) fn timings(&self) -> Vec<StepTiming> {
        self.timings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Work that can simply be dropped when the build has to stop.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Halt> {
        tokio::select! {
            done = work => Ok(done),
            () = self.stop.token().cancelled() => Err(Halt::Stopped),
        }
    }

    /// A failure of the step that is under way, with the last lines that it wrote.
    fn failed(&self, reason: impl Into<String>, exit_code: Option<i32>) -> Halt {
        let (step, log_tail) = self.log.tail();
        let reason = self.log.masked(&reason.into());
        Halt::Failed(BuildFailure { step, reason, exit_code, log_tail })
    }

    /// The end of the build's time, in whichever way it was noticed.
    fn out_of_time(&self) -> Halt {
        self.failed(failure::out_of_time(self.assignment.limits.total_secs), None)
    }
}

/// Carries the build out. `None`: nobody waits for a report.
pub(crate) async fn run(build: &Running<'_>) -> Option<Outcome> {
    let ended = deploy(build).await;
    let outcome = match (build.stop.reason(), ended) {
        (Some(StopReason::Cancelled | StopReason::LeaseLost), _) => return None,
        (_, Ok(outcome)) => return Some(outcome),
        (_, Err(Halt::Failed(failure))) => Outcome::Failed(failure),
        (Some(StopReason::Shutdown), Err(_)) => Outcome::Released,
        (Some(StopReason::Deadline), Err(_)) => match build.out_of_time() {
            Halt::Failed(failure) => Outcome::Failed(failure),
            Halt::Fault(_) | Halt::Stopped => return None,
        },
        (None, Err(Halt::Fault(error))) => fault(build, &error),
        // Nothing stops a step but `stop`.
        (None, Err(Halt::Stopped)) => {
            Outcome::Fault { message: "the build was stopped without a reason".to_owned() }
        }
    };
    match &outcome {
        Outcome::Failed(failure) => build.log.line(&failure.reason),
        Outcome::Fault { .. } => build.log.line("The build could not be carried out. It is tried again."),
        Outcome::Released => build.log.line("The builder is being stopped. Another one takes the build."),
        Outcome::Ready { .. } => {}
    }
    Some(outcome)
}

fn fault(build: &Running<'_>, error: &anyhow::Error) -> Outcome {
    let id = build.assignment.build_id;
    let message = build.log.masked(&format!("{error:#}"));
    tracing::warn!(build.id = %id, error = message, "Build {id} hit our own fault, giving it back");
    Outcome::Fault { message }
}

async fn deploy(build: &Running<'_>) -> Result<Outcome, Halt> {
    // An earlier attempt that died between its manifest and its report has done all the work.
    if let Some(outcome) = publish::find_earlier(build).await? {
        return Ok(outcome);
    }
    let workspace = create_workspace(build).await?;
    let outcome = build_and_publish(build, &workspace.source()).await;
    if let Err(cause) = workspace.remove().await {
        let id = build.assignment.build_id;
        tracing::warn!(build.id = %id, %cause, "The workspace of build {id} could not be removed");
    }
    outcome
}

async fn create_workspace(build: &Running<'_>) -> Result<Workspace, Halt> {
    let assignment = build.assignment;
    let created = build.tools.work_dir.create_workspace(assignment.build_id, assignment.attempt);
    created.map_err(|cause| Halt::Fault(anyhow::Error::new(cause).context("creating the build's workspace")))
}

async fn build_and_publish(build: &Running<'_>, source: &Path) -> Result<Outcome, Halt> {
    build.timed(Step::Checkout, steps::check_out(build, source)).await?;
    let plan = build.timed(Step::Detect, steps::detect(build, source)).await?;
    let variables = variables::of(build.assignment);
    if let Some(withheld) = variables::withheld(build.assignment) {
        build.log.line(&withheld);
    }
    let stale_lock_file =
        build.timed(Step::Install, steps::install(build, source, &plan, &variables)).await?;
    build.timed(Step::Build, steps::build(build, source, &plan, &variables)).await?;
    let (mut site, mut rules) = build.timed(Step::Collect, steps::collect(build, source, &plan)).await?;
    site.problems.splice(0..0, plan.problems.into_iter().chain(stale_lock_file).chain(variables.problems));
    // They quote the project's files, which a build may have written a secret into.
    for problem in site.problems.iter_mut().chain(&mut rules.problems) {
        problem.file = build.log.masked(&problem.file);
        problem.message = build.log.masked(&problem.message);
    }
    build.timed(Step::Upload, publish::publish(build, plan.framework, site, rules)).await
}
