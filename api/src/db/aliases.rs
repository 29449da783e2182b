//! Aliases: the pointers that make a deployment visible.

use loggia_types::alias::AliasName;
use loggia_types::{DeploymentId, ProjectId};

use super::{DbError, GenericClient, statements, text};

statements! {
    /// Moves only forward: of two builds of one branch the later push wins, whichever ends first.
    ADVANCE = "
        insert into aliases (project_id, alias, deployment_id, push_sequence)
        select d.project_id, d.alias, d.deployment_id, d.push_sequence from deployments d where d.deployment_id = $1
        on conflict (project_id, alias) do update
            set deployment_id = excluded.deployment_id, push_sequence = excluded.push_sequence, updated_at = now()
            where aliases.push_sequence < excluded.push_sequence";

    /// What a person says goes, in both directions; pushes that come later still advance.
    POINT = "
        insert into aliases (project_id, alias, deployment_id, push_sequence)
        select d.project_id, $2, d.deployment_id, d.push_sequence from deployments d where d.deployment_id = $1
        on conflict (project_id, alias) do update
            set deployment_id = excluded.deployment_id, updated_at = now(),
                push_sequence = greatest(aliases.push_sequence, excluded.push_sequence)";

    FIND = "select deployment_id from aliases where project_id = $1 and alias = $2";

    FIND_BASE = "
        select deployment_id from aliases
        where project_id = $1 and alias in ($2, 'production')
        order by (alias = $2) desc limit 1";
}

/// Points the alias that the deployment was made for at it, unless a later push was faster. True if moved.
pub(crate) async fn advance(db: &impl GenericClient, id: DeploymentId) -> Result<bool, DbError> {
    Ok(db.execute(&db.prepare_cached(ADVANCE).await?, &[&id.as_str()]).await? == 1)
}

/// Points an alias at a deployment of the same project.
pub(crate) async fn point(
    db: &impl GenericClient,
    id: DeploymentId,
    alias: &AliasName,
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(POINT).await?, &[&id.as_str(), &alias.as_str()]).await?;
    Ok(())
}

/// What an alias points at.
pub(crate) async fn find(
    db: &impl GenericClient,
    project_id: ProjectId,
    alias: &AliasName,
) -> Result<Option<DeploymentId>, DbError> {
    let statement = db.prepare_cached(FIND).await?;
    let row = db.query_opt(&statement, &[&project_id.as_str(), &alias.as_str()]).await?;
    row.map(|row| text(&row, "deployment_id")).transpose()
}

/// The deployment that one for this alias most likely resembles: what it shows now, else what production shows.
pub(crate) async fn find_base(
    db: &impl GenericClient,
    project_id: ProjectId,
    alias: &AliasName,
) -> Result<Option<DeploymentId>, DbError> {
    let statement = db.prepare_cached(FIND_BASE).await?;
    let row = db.query_opt(&statement, &[&project_id.as_str(), &alias.as_str()]).await?;
    row.map(|row| text(&row, "deployment_id")).transpose()
}
