//! Who changed what.

use std::net::IpAddr;

use loggia_types::api::AuditEntry;
use loggia_types::{ApiTokenId, OrganizationId, ProjectId, Timestamp, UserId};
use tokio_postgres::types::ToSql;

use super::{DbError, GenericClient, statements};

/// One change, as it is written down.
#[derive(Debug)]
pub(crate) struct NewAuditRow<'a> {
    pub(crate) organization_id: Option<OrganizationId>,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) user_id: Option<UserId>,
    pub(crate) api_token_id: Option<ApiTokenId>,
    /// A noun and what became of it, e.g. `project.update`.
    pub(crate) action: &'a str,
    /// What it was done to, as people call it.
    pub(crate) target: &'a str,
    pub(crate) details: &'a serde_json::Value,
    pub(crate) address: Option<IpAddr>,
    pub(crate) request_id: &'a str,
}

statements! {
    LIST = "
        select audit_log_id, happened_at, actor, action, target, details, host(address) as address, request_id
        from audit_log
        where audit_log_id < $1 and ($3::text is null or organization_id = $3) and ($4::text is null or project_id = $4)
          and ($5::text is null or starts_with(action, $5)) and ($6::text is null or position($6 in actor) > 0)
          and ($7::timestamptz is null or happened_at >= $7) and ($8::timestamptz is null or happened_at < $8)
        order by audit_log_id desc limit $2";

    INSERT = "
        insert into audit_log (organization_id, project_id, user_id, api_token_id, actor, action, target, details,
                               address, request_id)
        values ($1, $2, $3, $4,
                coalesce((select email from users where user_id = $3), 'configuration')
                    || coalesce((select ' (token ' || name || ')' from api_tokens where api_token_id = $4 and user_id = $3), ''),
                $5, $6, $7, $8, $9)";

    INSERT_BY_PLATFORM = "
        insert into audit_log (organization_id, project_id, actor, action, target, details)
        values ($1, $2, 'platform', $3, $4, $5)";
}

/// What is looked for; everything that is `None` is no limit.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditFilter {
    pub(crate) organization_id: Option<OrganizationId>,
    pub(crate) project_id: Option<ProjectId>,
    /// The start of the action, e.g. `project.`.
    pub(crate) action: Option<String>,
    /// A part of who did it.
    pub(crate) actor: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

/// The newest first; `before` is the last one of the page before.
pub(crate) async fn list(
    db: &impl GenericClient,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<AuditEntry>, DbError> {
    let parameters: [&(dyn ToSql + Sync); 8] = [
        &before.unwrap_or(i64::MAX),
        &limit,
        &filter.organization_id.as_ref().map(OrganizationId::as_str),
        &filter.project_id.as_ref().map(ProjectId::as_str),
        &filter.action,
        &filter.actor,
        &filter.since.map(|at| at.0),
        &filter.until.map(|at| at.0),
    ];
    let rows = db.query(&db.prepare_cached(LIST).await?, &parameters).await?;
    let entries = rows.iter().map(|row| {
        let mut details: serde_json::Value = row.try_get("details")?;
        Ok(AuditEntry {
            id: row.try_get("audit_log_id")?,
            happened_at: Timestamp(row.try_get("happened_at")?),
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            target: row.try_get("target")?,
            before: details["before"].take(),
            after: details["after"].take(),
            address: row.try_get("address")?,
            request_id: row.try_get("request_id")?,
        })
    });
    entries.collect()
}

pub(crate) async fn insert(db: &impl GenericClient, row: &NewAuditRow<'_>) -> Result<(), DbError> {
    db.execute(
        &db.prepare_cached(INSERT).await?,
        &[
            &row.organization_id.as_ref().map(OrganizationId::as_str),
            &row.project_id.as_ref().map(ProjectId::as_str),
            &row.user_id.as_ref().map(UserId::as_str),
            &row.api_token_id.as_ref().map(ApiTokenId::as_str),
            &row.action,
            &row.target,
            row.details,
            &row.address,
            &row.request_id,
        ],
    )
    .await?;
    Ok(())
}

/// A change that nobody asked for.
pub(crate) async fn insert_by_platform(
    db: &impl GenericClient,
    organization_id: OrganizationId,
    project_id: ProjectId,
    action: &str,
    target: &str,
    details: &serde_json::Value,
) -> Result<(), DbError> {
    let statement = db.prepare_cached(INSERT_BY_PLATFORM).await?;
    db.execute(&statement, &[&organization_id.as_str(), &project_id.as_str(), &action, &target, details])
        .await?;
    Ok(())
}
