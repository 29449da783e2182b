//! Deployments: their states, and the transitions between them.
//!
//! Every transition names the states that it may start from; zero rows means that it was lost to another
//! (a cancel, a takeover), not that something broke.

use loggia_types::alias::AliasName;
use loggia_types::api::DeploymentStatus;
use loggia_types::build::{BuildFailure, Environment, Phase, StepTiming};
use loggia_types::publish::PublishCounts;
use loggia_types::{BranchName, CommitSha, DeploymentId, Problem, ProjectId, ProjectSlug, Timestamp};
use tokio_postgres::Row;

use super::{DbError, GenericClient, json, optional_json, optional_text, statements, text, to_json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Git,
    Upload,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Upload => "upload",
        }
    }
}

impl std::str::FromStr for Source {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "git" => Ok(Self::Git),
            "upload" => Ok(Self::Upload),
            _ => Err("not a source"),
        }
    }
}

/// As stored; what people see is [`DeploymentRow::status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Building,
    Deploying,
    Ready,
    Failed,
    Cancelled,
}

impl State {
    pub(crate) const ALL: [Self; 6] =
        [Self::Pending, Self::Building, Self::Deploying, Self::Ready, Self::Failed, Self::Cancelled];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Building => "building",
            Self::Deploying => "deploying",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::str::FromStr for State {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or("not a state")
    }
}

/// What is known about a deployment when it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct NewDeployment {
    pub(crate) id: DeploymentId,
    pub(crate) project_id: ProjectId,
    pub(crate) source: Source,
    pub(crate) state: State,
    pub(crate) environment: Environment,
    pub(crate) alias: AliasName,
    pub(crate) branch: Option<BranchName>,
    pub(crate) commit: Option<CommitSha>,
    pub(crate) before: Option<CommitSha>,
    pub(crate) message: String,
    pub(crate) author: String,
    pub(crate) counts: Option<PublishCounts>,
}

#[derive(Debug, Clone)]
pub(crate) struct DeploymentRow {
    pub(crate) id: DeploymentId,
    pub(crate) source: Source,
    pub(crate) state: State,
    pub(crate) environment: Environment,
    pub(crate) alias: AliasName,
    pub(crate) branch: Option<BranchName>,
    pub(crate) commit: Option<CommitSha>,
    pub(crate) message: String,
    pub(crate) author: String,
    pub(crate) framework: Option<String>,
    pub(crate) counts: Option<PublishCounts>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) failure: Option<BuildFailure>,
    pub(crate) timings: Vec<StepTiming>,
    pub(crate) created_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    /// The names that point here now.
    pub(crate) aliases: Vec<AliasName>,
}

impl DeploymentRow {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        let aliases: Vec<String> = row.try_get("aliases")?;
        Ok(Self {
            id: text(row, "deployment_id")?,
            source: text(row, "source")?,
            state: text(row, "state")?,
            environment: text(row, "environment")?,
            alias: text(row, "alias")?,
            branch: optional_text(row, "branch")?,
            commit: optional_text(row, "commit_sha")?,
            message: row.try_get("message")?,
            author: row.try_get("author")?,
            framework: row.try_get("framework")?,
            counts: optional_json(row, "counts")?,
            problems: json(row, "problems")?,
            failure: optional_json(row, "failure")?,
            timings: json(row, "timings")?,
            created_at: Timestamp(row.try_get("created_at")?),
            finished_at: row.try_get::<_, Option<_>>("finished_at")?.map(Timestamp),
            aliases: aliases.iter().filter_map(|alias| alias.parse().ok()).collect(),
        })
    }

    pub(crate) fn status(&self) -> DeploymentStatus {
        match self.state {
            State::Pending => DeploymentStatus::Pending,
            State::Building => DeploymentStatus::Building,
            State::Deploying => DeploymentStatus::Deploying,
            State::Ready if self.aliases.is_empty() => DeploymentStatus::Superseded,
            State::Ready => DeploymentStatus::Live,
            State::Failed => DeploymentStatus::Failed,
            State::Cancelled => DeploymentStatus::Cancelled,
        }
    }
}

statements! {
    /// Zero rows: this commit of this branch has a deployment already.
    INSERT = "
        insert into deployments (deployment_id, project_id, source, state, environment, alias, branch, commit_sha,
                                 before_sha, message, author, counts)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        on conflict (project_id, branch, commit_sha) where source = 'git' do nothing";

    FIND = "
        select d.deployment_id, d.source, d.state, d.environment, d.alias, d.branch, d.commit_sha,
               d.message, d.author, d.framework, d.counts, d.problems, d.failure, d.timings,
               d.created_at, d.finished_at,
               array(select a.alias from aliases a where a.deployment_id = d.deployment_id order by a.alias) as aliases
        from deployments d where d.project_id = $1 and d.deployment_id = $2";

    FIND_PLACE = "
        select d.project_id, d.alias, p.slug from deployments d join projects p on p.project_id = d.project_id
        where d.deployment_id = $1";

    /// The build for the same alias that was asked for before this one, if it ended.
    FIND_TOLD = "
        select d.project_id, p.slug, d.branch, d.commit_sha, d.message, d.alias = 'production' as is_production,
               coalesce((select before.state = 'failed' from deployments before
                         where before.project_id = d.project_id and before.alias = d.alias
                           and before.push_sequence < d.push_sequence and before.state in ('ready', 'failed')
                         order by before.push_sequence desc limit 1), false) as follows_failure
        from deployments d join projects p on p.project_id = d.project_id
        where d.deployment_id = $1";

    FIND_BY_COMMIT = "
        select deployment_id, before_sha from deployments
        where project_id = $1 and branch = $2 and commit_sha = $3 and source = 'git'
        for update";

    FIND_FOREIGN = "
        select wanted from unnest($2::text[]) wanted
        where not exists (select from deployments where deployment_id = wanted and project_id = $1) limit 1";

    LIST = "
        select d.deployment_id, d.source, d.state, d.environment, d.alias, d.branch, d.commit_sha,
               d.message, d.author, d.framework, d.counts, d.problems, d.failure, d.timings,
               d.created_at, d.finished_at,
               array(select a.alias from aliases a where a.deployment_id = d.deployment_id order by a.alias) as aliases
        from deployments d
        where d.project_id = $1 and d.deployment_id < $2
        order by d.deployment_id desc limit $3";

    /// What production shows now, and the newest ready deployment that was made for it before that.
    FIND_BEFORE_PRODUCTION = "
        select older.deployment_id
        from aliases a
        join deployments current on current.deployment_id = a.deployment_id
        join deployments older on older.project_id = a.project_id and older.alias = 'production'
             and older.state = 'ready' and older.push_sequence < current.push_sequence
        where a.project_id = $1 and a.alias = 'production'
        order by older.push_sequence desc limit 1";

    /// A branch came back to a commit that was built before: it counts as pushed now.
    PUSH_AGAIN = "
        update deployments set push_sequence = nextval(pg_get_serial_sequence('deployments', 'push_sequence')),
               before_sha = $2
        where deployment_id = $1";

    SET_PHASE = "
        update deployments set state = $2
        where deployment_id = $1 and state in ('pending', 'building', 'deploying')";

    MARK_READY = "
        update deployments set state = 'ready', finished_at = now(), counts = $2,
               framework = coalesce($3, framework), problems = $4, timings = $5
        where deployment_id = $1 and state in ('building', 'deploying')";

    MARK_FAILED = "
        update deployments set state = 'failed', finished_at = now(), failure = $2, timings = $3
        where deployment_id = $1 and state in ('pending', 'building', 'deploying')";

    MARK_CANCELLED = "
        update deployments set state = 'cancelled', finished_at = now()
        where deployment_id = $1 and state in ('pending', 'building', 'deploying')";

    ADD_TIMING = "update deployments set timings = timings || $2 where deployment_id = $1";

    /// Uploads that nobody finished within a day.
    EXPIRE_UPLOADS = "
        update deployments set state = 'cancelled', finished_at = now()
        where source = 'upload' and state = 'deploying' and created_at < now() - interval '24 hours'";
}

/// False when the commit was deployed on this branch before.
pub(crate) async fn insert(db: &impl GenericClient, new: &NewDeployment) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            &db.prepare_cached(INSERT).await?,
            &[
                &new.id.as_str(),
                &new.project_id.as_str(),
                &new.source.as_str(),
                &new.state.as_str(),
                &new.environment.as_str(),
                &new.alias.as_str(),
                &new.branch.as_ref().map(BranchName::as_str),
                &new.commit.as_ref().map(CommitSha::as_str),
                &new.before.as_ref().map(CommitSha::as_str),
                &new.message,
                &new.author,
                &new.counts.as_ref().map(to_json),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub(crate) async fn find(
    db: &impl GenericClient,
    project_id: ProjectId,
    id: DeploymentId,
) -> Result<Option<DeploymentRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND).await?, &[&project_id.as_str(), &id.as_str()]).await?;
    row.as_ref().map(DeploymentRow::from_row).transpose()
}

/// What a mail says about a deployment.
#[derive(Debug, Clone)]
pub(crate) struct ToldRow {
    pub(crate) project_id: ProjectId,
    pub(crate) slug: ProjectSlug,
    pub(crate) branch: Option<BranchName>,
    pub(crate) commit: Option<CommitSha>,
    pub(crate) message: String,
    pub(crate) is_production: bool,
    /// The one before it failed.
    pub(crate) follows_failure: bool,
}

pub(crate) async fn find_told(db: &impl GenericClient, id: DeploymentId) -> Result<Option<ToldRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND_TOLD).await?, &[&id.as_str()]).await?;
    row.map(|row| {
        Ok(ToldRow {
            project_id: text(&row, "project_id")?,
            slug: text(&row, "slug")?,
            branch: optional_text(&row, "branch")?,
            commit: optional_text(&row, "commit_sha")?,
            message: row.try_get("message")?,
            is_production: row.try_get("is_production")?,
            follows_failure: row.try_get("follows_failure")?,
        })
    })
    .transpose()
}

/// What a deployment is made for.
#[derive(Debug, Clone)]
pub(crate) struct PlaceRow {
    pub(crate) project_id: ProjectId,
    pub(crate) slug: ProjectSlug,
    pub(crate) alias: AliasName,
}

/// One of these that is no deployment of the project.
pub(crate) async fn find_foreign(
    db: &impl GenericClient,
    project_id: ProjectId,
    ids: &[DeploymentId],
) -> Result<Option<DeploymentId>, DbError> {
    let ids: Vec<&str> = ids.iter().map(DeploymentId::as_str).collect();
    let row = db.query_opt(&db.prepare_cached(FIND_FOREIGN).await?, &[&project_id.as_str(), &ids]).await?;
    row.map(|row| text(&row, "wanted")).transpose()
}

pub(crate) async fn find_place(
    db: &impl GenericClient,
    id: DeploymentId,
) -> Result<Option<PlaceRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND_PLACE).await?, &[&id.as_str()]).await?;
    row.map(|row| {
        Ok(PlaceRow {
            project_id: text(&row, "project_id")?,
            slug: text(&row, "slug")?,
            alias: text(&row, "alias")?,
        })
    })
    .transpose()
}

/// The deployment of a commit, and where its branch was before that push. Locks the row.
pub(crate) async fn find_by_commit(
    db: &impl GenericClient,
    project_id: ProjectId,
    branch: &BranchName,
    commit: &CommitSha,
) -> Result<Option<(DeploymentId, Option<CommitSha>)>, DbError> {
    let statement = db.prepare_cached(FIND_BY_COMMIT).await?;
    let row = db.query_opt(&statement, &[&project_id.as_str(), &branch.as_str(), &commit.as_str()]).await?;
    row.map(|row| Ok((text(&row, "deployment_id")?, optional_text(&row, "before_sha")?))).transpose()
}

/// Newest first; `before` is the last id of the page before, or `~`, which sorts behind every id.
pub(crate) async fn list(
    db: &impl GenericClient,
    project_id: ProjectId,
    before: &str,
    limit: i64,
) -> Result<Vec<DeploymentRow>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&project_id.as_str(), &before, &limit]).await?;
    rows.iter().map(DeploymentRow::from_row).collect()
}

pub(crate) async fn find_before_production(
    db: &impl GenericClient,
    project_id: ProjectId,
) -> Result<Option<DeploymentId>, DbError> {
    let row =
        db.query_opt(&db.prepare_cached(FIND_BEFORE_PRODUCTION).await?, &[&project_id.as_str()]).await?;
    row.map(|row| text(&row, "deployment_id")).transpose()
}

pub(crate) async fn push_again(
    db: &impl GenericClient,
    id: DeploymentId,
    before: Option<&CommitSha>,
) -> Result<(), DbError> {
    let before = before.map(CommitSha::as_str);
    db.execute(&db.prepare_cached(PUSH_AGAIN).await?, &[&id.as_str(), &before]).await?;
    Ok(())
}

/// False when the deployment has ended meanwhile.
pub(crate) async fn set_phase(
    db: &impl GenericClient,
    id: DeploymentId,
    phase: Phase,
) -> Result<bool, DbError> {
    let state = match phase {
        Phase::Building => State::Building,
        Phase::Deploying => State::Deploying,
    };
    set_state(db, id, state).await
}

/// Moves between the states that are not final.
pub(crate) async fn set_state(
    db: &impl GenericClient,
    id: DeploymentId,
    state: State,
) -> Result<bool, DbError> {
    let statement = db.prepare_cached(SET_PHASE).await?;
    Ok(db.execute(&statement, &[&id.as_str(), &state.as_str()]).await? == 1)
}

/// False when the deployment has ended meanwhile.
pub(crate) async fn mark_ready(
    db: &impl GenericClient,
    id: DeploymentId,
    counts: &PublishCounts,
    framework: Option<&str>,
    problems: &[Problem],
    timings: &[StepTiming],
) -> Result<bool, DbError> {
    let statement = db.prepare_cached(MARK_READY).await?;
    let problems = to_json(&problems);
    let updated = db
        .execute(&statement, &[&id.as_str(), &to_json(counts), &framework, &problems, &to_json(&timings)])
        .await?;
    Ok(updated == 1)
}

/// False when the deployment has ended meanwhile.
pub(crate) async fn mark_failed(
    db: &impl GenericClient,
    id: DeploymentId,
    failure: &BuildFailure,
    timings: &[StepTiming],
) -> Result<bool, DbError> {
    let statement = db.prepare_cached(MARK_FAILED).await?;
    Ok(db.execute(&statement, &[&id.as_str(), &to_json(failure), &to_json(&timings)]).await? == 1)
}

/// False when the deployment has ended meanwhile.
pub(crate) async fn mark_cancelled(db: &impl GenericClient, id: DeploymentId) -> Result<bool, DbError> {
    Ok(db.execute(&db.prepare_cached(MARK_CANCELLED).await?, &[&id.as_str()]).await? == 1)
}

pub(crate) async fn add_timing(
    db: &impl GenericClient,
    id: DeploymentId,
    timing: StepTiming,
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(ADD_TIMING).await?, &[&id.as_str(), &to_json(&[timing])]).await?;
    Ok(())
}

pub(crate) async fn expire_uploads(db: &impl GenericClient) -> Result<u64, DbError> {
    Ok(db.execute(&db.prepare_cached(EXPIRE_UPLOADS).await?, &[]).await?)
}
