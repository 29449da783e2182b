//! The steps of a build up to its files: each calls one module and sorts what can go wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use loggia_publish::sources::Rules;
use loggia_types::Problem;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Halt, Running, failure};
use crate::checkout::{self, Checkout, CheckoutError, CheckoutLimits};
use crate::collect::{self, CollectError, Site};
use crate::detect::{self, BuildPlan, FileTree};
use crate::executor::{self, Limits};
use crate::variables::BuildVariables;

/// Lines between a step and its log; a full channel slows the step down.
const LINES_IN_FLIGHT: usize = 256;

pub(super) async fn check_out(build: &Running<'_>, source: &Path) -> Result<(), Halt> {
    let assignment = build.assignment;
    let checkout = Checkout {
        url: assignment.repository_url.clone(),
        branch: assignment.branch.clone(),
        commit: assignment.commit.clone(),
        into: source.to_owned(),
    };
    build.log.line(&format!(
        "Fetching {} ({}) from {}",
        checkout.commit.short(),
        checkout.branch,
        checkout.url
    ));
    let progress = |line: &str| build.log.line(line);
    let limits = CheckoutLimits::default();
    let fetched = checkout::fetch(checkout, &build.tools.git, limits, build.stop.token(), progress).await;
    fetched.map_err(|error| match error {
        CheckoutError::Theirs(reason) => build.failed(reason, None),
        CheckoutError::Ours(cause) => Halt::Fault(anyhow!(cause)),
        CheckoutError::Stopped => Halt::Stopped,
    })
}

pub(super) async fn detect(build: &Running<'_>, source: &Path) -> Result<BuildPlan, Halt> {
    let settings = build.assignment.settings.clone();
    let folder = source.to_owned();
    let work = move || {
        let tree =
            FileTree::of_folder(&folder, settings.root.trim_matches('/')).context("listing the checkout")?;
        anyhow::Ok(detect::plan(&tree, &settings))
    };
    let found = tokio::task::spawn_blocking(work).await.context("detecting the framework").flatten()?;
    let plan = found.map_err(|error| build.failed(error.to_string(), None))?;
    build.log.line(&plan.explanation);
    for problem in &plan.problems {
        build.log.line(&problem.message);
    }
    Ok(plan)
}

pub(super) async fn install(
    build: &Running<'_>,
    source: &Path,
    plan: &BuildPlan,
    variables: &BuildVariables,
) -> Result<Option<Problem>, Halt> {
    let Some(frozen) = plan.install.as_deref() else {
        return Ok(None);
    };
    let command = |command| Command {
        name: "install",
        command,
        setup: plan.setup.as_deref(),
        workdir: &plan.install_workdir,
    };
    let failure = match run(build, source, command(frozen), &variables.install).await {
        Err(Halt::Failed(failure)) => failure,
        other => return other.map(|()| None),
    };
    let Some(unfrozen) = plan.unfrozen_install.as_deref().filter(|_| is_lock_file_stale(&failure.log_tail))
    else {
        return Err(Halt::Failed(failure));
    };
    let problem = Problem::in_file(
        "package.json",
        "The lock file does not match package.json, so other versions may be installed in every build. Run the \
         install on your machine and commit the lock file.",
    );
    build.log.line(&problem.message);
    run(build, source, command(unfrozen), &variables.install).await?;
    Ok(Some(problem))
}

fn is_lock_file_stale(log_tail: &[String]) -> bool {
    log_tail.iter().any(|line| STALE_LOCK_FILE.iter().any(|sign| line.contains(sign)))
}

/// What npm, pnpm, yarn 1, yarn 2 and later, and bun say when a frozen install would change the lock file.
///
/// npm names its reason first and its hundred lines of usage last; of those only the end is kept.
const STALE_LOCK_FILE: [&str; 5] = [
    "Run \"npm help ci\" for more info",
    "ERR_PNPM_OUTDATED_LOCKFILE",
    "Your lockfile needs to be updated",
    "The lockfile would have been modified",
    "lockfile had changes, but lockfile is frozen",
];

pub(super) async fn build(
    build: &Running<'_>,
    source: &Path,
    plan: &BuildPlan,
    variables: &BuildVariables,
) -> Result<(), Halt> {
    let Some(command) = &plan.build else {
        build.log.line("There is nothing to build.");
        return Ok(());
    };
    let command = Command { name: "build", command, setup: plan.setup.as_deref(), workdir: &plan.workdir };
    run(build, source, command, &variables.build).await
}

pub(super) async fn collect(
    build: &Running<'_>,
    source: &Path,
    plan: &BuildPlan,
) -> Result<(Site, Rules), Halt> {
    let workdir = PathBuf::from(&plan.workdir);
    let token = build.stop.token().clone();
    let collected = collect::collect(source.to_owned(), workdir, plan.output.clone(), token).await;
    let site = collected.map_err(|error| match error {
        CollectError::Theirs(reason) => build.failed(reason, None),
        CollectError::Stopped => Halt::Stopped,
        CollectError::Io { .. } => Halt::Fault(error.into()),
    })?;
    build.log.line(&format!("Found {} files in {}", site.files.len(), site.folder));
    let rules = site.sources.compile().map_err(|refused| build.failed(refused.to_string(), None))?;
    for problem in site.problems.iter().chain(&rules.problems) {
        build.log.line(&format!("problem: {problem}"));
    }
    Ok((site, rules))
}

struct Command<'a> {
    name: &'static str,
    command: &'a str,
    setup: Option<&'a str>,
    workdir: &'a str,
}

async fn run(
    build: &Running<'_>,
    source: &Path,
    command: Command<'_>,
    env: &BTreeMap<String, String>,
) -> Result<(), Halt> {
    let timeout = build.deadline.saturating_duration_since(Instant::now());
    if timeout.is_zero() {
        return Err(build.out_of_time());
    }
    let assignment = build.assignment;
    let step = executor::Step {
        build_id: assignment.build_id.to_string(),
        attempt: assignment.attempt,
        name: command.name,
        command: with_setup(command.setup, command.command),
        workspace: source.to_owned(),
        workdir: PathBuf::from(command.workdir),
        cache: build.tools.work_dir.cache_of(assignment).context("creating the project's cache")?,
        env: env.clone(),
        limits: Limits {
            memory_bytes: assignment.limits.memory_bytes,
            cpu_millis: assignment.limits.cpu_millis,
            processes: assignment.limits.processes,
            timeout,
            ..Limits::default()
        },
    };
    build.log.line(&format!("$ {}", command.command));
    let exit = run_with_log(build, &step).await?;
    if exit == executor::Exit::Cancelled {
        return Err(Halt::Stopped);
    }
    match failure::of_exit(&exit, command.command, assignment.limits.total_secs) {
        None => Ok(()),
        Some((reason, exit_code)) => Err(build.failed(reason, exit_code)),
    }
}

async fn run_with_log(build: &Running<'_>, step: &executor::Step) -> Result<executor::Exit, Halt> {
    let (lines, mut received) = mpsc::channel::<executor::LogLine>(LINES_IN_FLIGHT);
    let work = async {
        let exit = build.tools.executor.run(step, &lines, build.stop.token()).await;
        drop(lines);
        exit
    };
    let forward = async {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        while let Some(line) = received.recv().await {
            let carried = if line.stream == executor::Stream::Stdout { &mut stdout } else { &mut stderr };
            build.log.piece(carried, &line.text, line.goes_on);
        }
        // A stream that ended exactly where its last line was cut.
        for mut carried in [stdout, stderr].into_iter().filter(|carried| !carried.is_empty()) {
            build.log.piece(&mut carried, "", false);
        }
    };
    let (exit, ()) = tokio::join!(work, forward);
    Ok(exit.with_context(|| format!("running the step {}", step.name))?)
}

/// Runs inside the isolation. The command is the owner's and may be of several lines, so the setup stands before it.
fn with_setup(setup: Option<&str>, command: &str) -> String {
    match setup {
        Some(setup) => format!("{{ {setup}; }} || exit $?\n{command}"),
        None => command.to_owned(),
    }
}
