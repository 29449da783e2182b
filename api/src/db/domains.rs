//! Domains: hostnames that users attached.

use loggia_types::{DomainId, Hostname, ProjectId, Timestamp};
use tokio_postgres::Row;

use super::{DbError, GenericClient, statements, text};

pub(crate) const ONCE_PER_PROJECT: &str = "domains_once_per_project";
pub(crate) const HOSTNAME_IS_UNIQUE: &str = "domains_hostname_is_unique";

#[derive(Debug, Clone)]
pub(crate) struct DomainRow {
    pub(crate) id: DomainId,
    pub(crate) hostname: Hostname,
    pub(crate) verification_token: String,
    pub(crate) created_at: Timestamp,
    pub(crate) verified_at: Option<Timestamp>,
}

impl DomainRow {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: text(row, "domain_id")?,
            hostname: text(row, "hostname")?,
            verification_token: row.try_get("verification_token")?,
            created_at: Timestamp(row.try_get("created_at")?),
            verified_at: row.try_get::<_, Option<_>>("verified_at")?.map(Timestamp),
        })
    }
}

statements! {
    INSERT = "
        insert into domains (domain_id, project_id, hostname, verification_token) values ($1, $2, $3, $4)
        returning domain_id, hostname, verification_token, created_at, verified_at";

    FIND = "
        select domain_id, hostname, verification_token, created_at, verified_at
        from domains where project_id = $1 and domain_id = $2";

    LIST = "
        select domain_id, hostname, verification_token, created_at, verified_at
        from domains where project_id = $1 order by domain_id";

    MARK_VERIFIED = "
        update domains set verified_at = coalesce(verified_at, now()), checked_at = now() where domain_id = $1";

    MARK_CHECKED = "update domains set checked_at = now() where domain_id = $1";

    DELETE = "delete from domains where domain_id = $1";
}

/// Breaks `domains_once_per_project`.
pub(crate) async fn insert(
    db: &impl GenericClient,
    id: DomainId,
    project_id: ProjectId,
    hostname: &Hostname,
    token: &str,
) -> Result<DomainRow, DbError> {
    let statement = db.prepare_cached(INSERT).await?;
    let row =
        db.query_one(&statement, &[&id.as_str(), &project_id.as_str(), &hostname.as_str(), &token]).await?;
    DomainRow::from_row(&row)
}

pub(crate) async fn find(
    db: &impl GenericClient,
    project_id: ProjectId,
    id: DomainId,
) -> Result<Option<DomainRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND).await?, &[&project_id.as_str(), &id.as_str()]).await?;
    row.as_ref().map(DomainRow::from_row).transpose()
}

pub(crate) async fn list(db: &impl GenericClient, project_id: ProjectId) -> Result<Vec<DomainRow>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&project_id.as_str()]).await?;
    rows.iter().map(DomainRow::from_row).collect()
}

/// Breaks `domains_hostname_is_unique` when another project proved the name first.
pub(crate) async fn mark_verified(db: &impl GenericClient, id: DomainId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(MARK_VERIFIED).await?, &[&id.as_str()]).await?;
    Ok(())
}

pub(crate) async fn mark_checked(db: &impl GenericClient, id: DomainId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(MARK_CHECKED).await?, &[&id.as_str()]).await?;
    Ok(())
}

pub(crate) async fn delete(db: &impl GenericClient, id: DomainId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DELETE).await?, &[&id.as_str()]).await?;
    Ok(())
}
