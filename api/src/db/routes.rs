//! Which deployment a hostname shows.

use loggia_types::alias::AliasName;
use loggia_types::manifest::NotFound;
use loggia_types::{DeploymentId, EventPosition, Hostname, ProjectId, ProjectSlug};
use tokio_postgres::Row;

use super::{DbError, GenericClient, events, optional_text, statements, text};

#[derive(Debug, Clone)]
pub(crate) struct RouteRow {
    pub(crate) project_id: ProjectId,
    pub(crate) slug: ProjectSlug,
    pub(crate) deployment_id: Option<DeploymentId>,
    pub(crate) not_found: NotFound,
    /// The project has a domain of its own that is verified.
    pub(crate) has_domain: bool,
    pub(crate) version: EventPosition,
}

impl RouteRow {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            project_id: text(row, "project_id")?,
            slug: text(row, "slug")?,
            deployment_id: optional_text(row, "deployment_id")?,
            not_found: text(row, "not_found")?,
            has_domain: row.try_get("has_domain")?,
            version: events::position(row.try_get("version")?),
        })
    }
}

statements! {
    /// The version is read in the same snapshot as the pointer, so a later pointer has a later version.
    BY_ALIAS = "
        select p.project_id, p.slug, p.not_found, a.deployment_id,
               exists (select from domains m where m.project_id = p.project_id and m.verified_at is not null) as has_domain,
               (select coalesce(max(position), 0) from events) as version
        from projects p left join aliases a on a.project_id = p.project_id and a.alias = $2
        where p.slug = $1 and p.deleted_at is null";

    BY_DEPLOYMENT = "
        select p.project_id, p.slug, p.not_found, d.deployment_id, true as has_domain,
               (select coalesce(max(position), 0) from events) as version
        from projects p join deployments d on d.project_id = p.project_id
        where p.slug = $1 and d.deployment_id = $2 and d.state = 'ready' and p.deleted_at is null";

    BY_DOMAIN = "
        select p.project_id, p.slug, p.not_found, a.deployment_id, true as has_domain,
               (select coalesce(max(position), 0) from events) as version
        from domains m join projects p on p.project_id = m.project_id
        left join aliases a on a.project_id = p.project_id and a.alias = 'production'
        where m.hostname = $1 and m.verified_at is not null and p.deleted_at is null";
}

pub(crate) async fn find_by_alias(
    db: &impl GenericClient,
    slug: &ProjectSlug,
    alias: &AliasName,
) -> Result<Option<RouteRow>, DbError> {
    let statement = db.prepare_cached(BY_ALIAS).await?;
    let row = db.query_opt(&statement, &[&slug.as_str(), &alias.as_str()]).await?;
    row.as_ref().map(RouteRow::from_row).transpose()
}

pub(crate) async fn find_by_deployment(
    db: &impl GenericClient,
    slug: &ProjectSlug,
    id: DeploymentId,
) -> Result<Option<RouteRow>, DbError> {
    let statement = db.prepare_cached(BY_DEPLOYMENT).await?;
    let row = db.query_opt(&statement, &[&slug.as_str(), &id.as_str()]).await?;
    row.as_ref().map(RouteRow::from_row).transpose()
}

pub(crate) async fn find_by_domain(
    db: &impl GenericClient,
    hostname: &Hostname,
) -> Result<Option<RouteRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(BY_DOMAIN).await?, &[&hostname.as_str()]).await?;
    row.as_ref().map(RouteRow::from_row).transpose()
}
