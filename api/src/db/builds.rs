//! The queue of builds: claimed with a lease, fenced by the attempt.

use loggia_types::alias::AliasName;
use loggia_types::build::{BuildSettings, Environment};
use loggia_types::{
    BranchName, BuildId, CommitSha, DeploymentId, ProjectId, ProjectSlug, RepositoryUrl, Timestamp,
};
use tokio_postgres::Row;

use super::{DbError, GenericClient, json, optional_text, statements, text};

/// A build that a builder just got, with what it needs to know.
#[derive(Debug)]
pub(crate) struct ClaimedRow {
    pub(crate) build_id: BuildId,
    pub(crate) deployment_id: DeploymentId,
    pub(crate) project_id: ProjectId,
    pub(crate) slug: ProjectSlug,
    pub(crate) attempt: i16,
    pub(crate) repository_url: Option<RepositoryUrl>,
    pub(crate) branch: BranchName,
    pub(crate) commit: CommitSha,
    pub(crate) environment: Environment,
    pub(crate) alias: AliasName,
    pub(crate) settings: BuildSettings,
    /// False for code from outside.
    pub(crate) is_trusted: bool,
    pub(crate) created_at: Timestamp,
}

impl ClaimedRow {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            build_id: text(row, "build_id")?,
            deployment_id: text(row, "deployment_id")?,
            project_id: text(row, "project_id")?,
            slug: text(row, "slug")?,
            attempt: row.try_get("attempt")?,
            repository_url: optional_text(row, "repository_url")?,
            branch: text(row, "branch")?,
            commit: text(row, "commit_sha")?,
            environment: text(row, "environment")?,
            alias: text(row, "alias")?,
            settings: json(row, "build_settings")?,
            is_trusted: row.try_get("is_trusted")?,
            created_at: Timestamp(row.try_get("created_at")?),
        })
    }
}

/// What a builder that calls about a build holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldRow {
    pub(crate) deployment_id: DeploymentId,
    pub(crate) faults: i16,
}

statements! {
    INSERT = "insert into builds (build_id, deployment_id) values ($1, $2)";

    NOTIFY = "select pg_notify('loggia_builds', '')";

    /// `skip locked`: two builders asking at once get two different builds instead of queueing on one row.
    CLAIM_NEXT = "
        with next as (
            select build_id from builds where state = 'queued' and run_after <= now()
            order by run_after, build_id for update skip locked limit 1
        )
        update builds b set state = 'claimed', builder = $1, attempt = b.attempt + 1, claimed_at = now(),
               lease_until = now() + $2 * interval '1 second'
        from next, deployments d, projects p
        where b.build_id = next.build_id and d.deployment_id = b.deployment_id and p.project_id = d.project_id
        returning b.build_id, b.deployment_id, b.attempt, b.created_at, d.project_id, d.branch, d.commit_sha,
                  d.environment, d.alias, d.is_trusted, p.slug, p.repository_url, p.build_settings";

    /// Zero rows: the lease ran out and the build went to another, or it was cancelled.
    EXTEND_LEASE = "
        update builds set lease_until = now() + $3 * interval '1 second'
        where build_id = $1 and attempt = $2 and state = 'claimed'
        returning deployment_id, faults";

    /// Locks the row, so that a report and a takeover cannot both believe they hold it.
    FIND_HELD = "
        select deployment_id, faults from builds
        where build_id = $1 and attempt = $2 and state = 'claimed' for update";

    FIND_DONE = "
        select d.state from builds b join deployments d on d.deployment_id = b.deployment_id
        where b.build_id = $1 and b.attempt = $2 and b.state = 'done'";

    MARK_DONE = "update builds set state = 'done', lease_until = null where deployment_id = $1";

    REQUEUE = "
        update builds set state = 'queued', lease_until = null, builder = null, faults = faults + $2,
               run_after = now() + $3 * interval '1 second'
        where build_id = $1";

    LIST_EXPIRED = "
        select build_id, deployment_id, faults from builds
        where state = 'claimed' and lease_until < now()
        order by lease_until for update skip locked limit 100";

    FIND_BY_DEPLOYMENT = "select build_id, attempt from builds where deployment_id = $1";
}

pub(crate) async fn insert(
    db: &impl GenericClient,
    id: BuildId,
    deployment_id: DeploymentId,
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(INSERT).await?, &[&id.as_str(), &deployment_id.as_str()]).await?;
    notify(db).await
}

/// Wakes waiting builders once the transaction commits.
pub(crate) async fn notify(db: &impl GenericClient) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(NOTIFY).await?, &[]).await?;
    Ok(())
}

pub(crate) async fn claim_next(
    db: &impl GenericClient,
    builder: &str,
    lease_secs: f64,
) -> Result<Option<ClaimedRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(CLAIM_NEXT).await?, &[&builder, &lease_secs]).await?;
    row.as_ref().map(ClaimedRow::from_row).transpose()
}

/// `None` when the caller no longer holds the build.
pub(crate) async fn extend_lease(
    db: &impl GenericClient,
    id: BuildId,
    attempt: i16,
    lease_secs: f64,
) -> Result<Option<HeldRow>, DbError> {
    let statement = db.prepare_cached(EXTEND_LEASE).await?;
    let row = db.query_opt(&statement, &[&id.as_str(), &attempt, &lease_secs]).await?;
    row.as_ref().map(held).transpose()
}

/// `None` when the caller no longer holds the build. Locks it until the transaction ends.
pub(crate) async fn find_held(
    db: &impl GenericClient,
    id: BuildId,
    attempt: i16,
) -> Result<Option<HeldRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND_HELD).await?, &[&id.as_str(), &attempt]).await?;
    row.as_ref().map(held).transpose()
}

fn held(row: &Row) -> Result<HeldRow, DbError> {
    Ok(HeldRow { deployment_id: text(row, "deployment_id")?, faults: row.try_get("faults")? })
}

/// The state of the deployment, if exactly this attempt ended the build.
pub(crate) async fn find_done(
    db: &impl GenericClient,
    id: BuildId,
    attempt: i16,
) -> Result<Option<super::deployments::State>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND_DONE).await?, &[&id.as_str(), &attempt]).await?;
    row.map(|row| text(&row, "state")).transpose()
}

pub(crate) async fn mark_done(db: &impl GenericClient, deployment_id: DeploymentId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(MARK_DONE).await?, &[&deployment_id.as_str()]).await?;
    Ok(())
}

/// Puts a build back; `faults` is 1 when that counts as a try.
pub(crate) async fn requeue(
    db: &impl GenericClient,
    id: BuildId,
    faults: i16,
    delay_secs: f64,
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(REQUEUE).await?, &[&id.as_str(), &faults, &delay_secs]).await?;
    notify(db).await
}

/// Builds whose builder has not been heard of within its lease, locked.
pub(crate) async fn list_expired(db: &impl GenericClient) -> Result<Vec<(BuildId, HeldRow)>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST_EXPIRED).await?, &[]).await?;
    rows.iter().map(|row| Ok((text(row, "build_id")?, held(row)?))).collect()
}

pub(crate) async fn find_by_deployment(
    db: &impl GenericClient,
    deployment_id: DeploymentId,
) -> Result<Option<(BuildId, i16)>, DbError> {
    let statement = db.prepare_cached(FIND_BY_DEPLOYMENT).await?;
    let row = db.query_opt(&statement, &[&deployment_id.as_str()]).await?;
    let Some(row) = row else { return Ok(None) };
    let id = optional_text(&row, "build_id")?;
    Ok(id.zip(Some(row.try_get("attempt")?)))
}
