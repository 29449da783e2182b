//! The life of a build: claimed, kept, reported, taken back.

use loggia_types::alias::AliasName;
use loggia_types::build::{
    BuildAssignment, BuildFailure, BuildReport, Environment, Heartbeat, HeartbeatAnswer, Outcome, Step,
    StepTiming,
};
use loggia_types::{BuildId, DeploymentId, Timestamp};

use crate::app::App;
use crate::db::builds::{ClaimedRow, HeldRow};
use crate::db::deployments::State;
use crate::db::{self, DbError, GenericClient};
use crate::error::ApiError;
use crate::mail::notices;
use crate::ops;
use crate::ops::variables::{self, BuildVariables, OpenBuildError};

/// The first try and two more: a fault that outlives them needs a person.
const TRIES_MAX: i16 = 3;
/// 5 s, then 25 s: a store or an engine that restarts is back by then.
const BACKOFF_BASE_SECS: f64 = 5.0;

fn lease_lost() -> ApiError {
    ApiError::conflict("lease_lost", "this build was cancelled or given to another builder")
}

/// Takes the next build off the queue. One whose secrets cannot be opened fails, and does not stand in the others' way.
pub(crate) async fn claim(app: &App, builder: &str) -> Result<Option<BuildAssignment>, ApiError> {
    let mut client = app.db().await?;
    let lease = app.config.build_lease;
    loop {
        let transaction = client.transaction().await?;
        let Some(claimed) = db::builds::claim_next(&transaction, builder, lease.as_secs_f64()).await? else {
            return Ok(None);
        };
        let deployment_id = claimed.deployment_id;
        match variables::of_build(&app.vault, &transaction, &claimed).await {
            Ok(variables) => {
                db::deployments::set_state(&transaction, deployment_id, State::Building).await?;
                let base = db::aliases::find_base(&transaction, claimed.project_id, &claimed.alias).await?;
                let assignment = assignment(app, claimed, variables, base)?;
                transaction.commit().await?;
                return Ok(Some(assignment));
            }
            Err(OpenBuildError::Db(error)) => return Err(error.into()),
            Err(OpenBuildError::Unreadable(reason)) => {
                let id = claimed.build_id;
                tracing::error!(build.id = %id, "Build {id} cannot begin: {reason}");
                let failure =
                    BuildFailure { step: Step::Queue, reason, exit_code: None, log_tail: Vec::new() };
                let held = HeldRow { deployment_id, faults: 0 };
                fail(app, &transaction, held, &failure, &[]).await?;
                transaction.commit().await?;
            }
        }
    }
}

fn assignment(
    app: &App,
    claimed: ClaimedRow,
    variables: BuildVariables,
    base: Option<DeploymentId>,
) -> Result<BuildAssignment, ApiError> {
    let repository_url = claimed.repository_url.ok_or_else(|| {
        ApiError::internal(format!("project {} has builds but no repository", claimed.project_id))
    })?;
    let config = &app.config;
    Ok(BuildAssignment {
        build_id: claimed.build_id,
        deployment_id: claimed.deployment_id,
        project_id: claimed.project_id,
        attempt: u16::try_from(claimed.attempt).unwrap_or(u16::MAX),
        lease_secs: config.build_lease.as_secs(),
        repository_url,
        branch: claimed.branch,
        commit: claimed.commit,
        environment: claimed.environment,
        settings: claimed.settings,
        env: variables.env,
        secret_names: variables.secret_names,
        withheld_names: variables.withheld_names,
        base,
        url: config.edge_url.of(&claimed.alias.hostname(&claimed.slug, &config.base_domain)),
        deployment_url: config
            .edge_url
            .of(&config.base_domain.deployment(claimed.deployment_id, &claimed.slug)),
        slug: claimed.slug,
        limits: config.build_limits,
        queued_at: claimed.created_at,
    })
}

/// Extends the lease and tells the builder whether its work is still wanted.
pub(crate) async fn heartbeat(app: &App, id: BuildId, beat: &Heartbeat) -> Result<HeartbeatAnswer, ApiError> {
    let client = app.db().await?;
    let lease = app.config.build_lease;
    let held = db::builds::extend_lease(&client, id, attempt(beat.attempt), lease.as_secs_f64()).await?;
    let Some(held) = held else {
        let ended = db::builds::find_done(&client, id, attempt(beat.attempt)).await?;
        let cancelled = ended == Some(State::Cancelled);
        return if cancelled { Ok(HeartbeatAnswer { lease_secs: 0, cancelled }) } else { Err(lease_lost()) };
    };
    let wanted = db::deployments::set_phase(&client, held.deployment_id, beat.phase).await?;
    Ok(HeartbeatAnswer { lease_secs: lease.as_secs(), cancelled: !wanted })
}

/// Ends a build. Reporting the same end twice is answered alike; anybody who no longer holds the build is refused.
pub(crate) async fn report(app: &App, id: BuildId, report: BuildReport) -> Result<(), ApiError> {
    let received = Timestamp::now();
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let Some(held) = db::builds::find_held(&transaction, id, attempt(report.attempt)).await? else {
        let ended = db::builds::find_done(&transaction, id, attempt(report.attempt)).await?;
        return match ended {
            Some(State::Ready | State::Failed) => Ok(()),
            _ => Err(lease_lost()),
        };
    };
    match &report.outcome {
        Outcome::Ready { counts, framework, problems } => {
            let framework = Some(framework.as_str());
            let id = held.deployment_id;
            let ready =
                db::deployments::mark_ready(&transaction, id, counts, framework, problems, &report.timings)
                    .await?;
            if !ready {
                return Err(lease_lost());
            }
            db::builds::mark_done(&transaction, id).await?;
            let switch = StepTiming { step: Step::Switch, millis: millis(Timestamp::now().since(received)) };
            db::deployments::add_timing(&transaction, id, switch).await?;
            ops::deployments::advance_alias(app, &transaction, id).await?;
            notices::deployment_ready(app, &transaction, id).await?;
        }
        Outcome::Failed(failure) => fail(app, &transaction, held, failure, &report.timings).await?,
        Outcome::Fault { message } => give_back(app, &transaction, id, held, message).await?,
        Outcome::Released => {
            db::deployments::set_state(&transaction, held.deployment_id, State::Pending).await?;
            db::builds::requeue(&transaction, id, 0, 0.0).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Takes builds back whose builder let its lease run out.
pub(crate) async fn take_back_expired(app: &App) -> Result<(), DbError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    for (id, held) in db::builds::list_expired(&transaction).await? {
        tracing::warn!(build.id = %id, "The builder of {id} is silent, the build goes to another");
        give_back(app, &transaction, id, held, SILENT).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// After a fault of ours: back into the queue, or failed once the tries are used up.
async fn give_back(
    app: &App,
    db: &impl GenericClient,
    id: BuildId,
    held: HeldRow,
    message: &str,
) -> Result<(), DbError> {
    let faults = held.faults + 1;
    if faults < TRIES_MAX {
        db::deployments::set_state(db, held.deployment_id, State::Pending).await?;
        // A silent builder is nothing to wait for; a fault that was reported may pass.
        let delay = if message == SILENT { 0.0 } else { BACKOFF_BASE_SECS.powi(i32::from(faults)) };
        return db::builds::requeue(db, id, 1, delay).await;
    }
    let failure = BuildFailure {
        step: Step::Queue,
        reason: format!(
            "the platform could not carry out this build in {TRIES_MAX} tries; the last time: {message}"
        ),
        exit_code: None,
        log_tail: Vec::new(),
    };
    fail(app, db, held, &failure, &[]).await
}

const SILENT: &str = "its builder stopped answering";

async fn fail(
    app: &App,
    db: &impl GenericClient,
    held: HeldRow,
    failure: &BuildFailure,
    timings: &[StepTiming],
) -> Result<(), DbError> {
    db::deployments::mark_failed(db, held.deployment_id, failure, timings).await?;
    db::builds::mark_done(db, held.deployment_id).await?;
    notices::deployment_failed(app, db, held.deployment_id, failure).await
}

/// Whether the holder may still write to the log.
pub(crate) async fn require_held(db: &impl GenericClient, id: BuildId, number: u16) -> Result<(), ApiError> {
    db::builds::find_held(db, id, attempt(number)).await?.map(drop).ok_or_else(lease_lost)
}

pub(crate) fn attempt(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The environment of an alias.
pub(crate) fn environment(alias: &AliasName) -> Environment {
    match alias {
        AliasName::Production => Environment::Production,
        AliasName::Label(_) => Environment::Preview,
    }
}
