//! Which deployment a hostname shows.

use loggia_types::alias::AliasName;
use loggia_types::api::DomainRole;
use loggia_types::manifest::NotFound;
use loggia_types::{DeploymentId, DomainName, EventPosition, Hostname, ProjectId, ProjectSlug};
use tokio_postgres::Row;

use super::{DbError, GenericClient, domains, events, optional_text, statements, text};

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

    /// $1 is the hostname and $2 the wildcard that covers it: the very name comes first. A primary domain that does not lead
    /// here is no place to send anybody to.
    BY_DOMAIN = "
        select p.project_id, p.slug, p.not_found, a.deployment_id, true as has_domain,
               (select coalesce(max(position), 0) from events) as version,
               m.is_primary, m.redirect_to, m.redirect_status, h.hostname as primary_hostname,
               h.pointing = 'elsewhere' as primary_is_elsewhere,
               exists (select from domains t where t.hostname = m.redirect_to and t.verified_at is not null) as is_ours
        from domains m join projects p on p.project_id = m.project_id
        left join aliases a on a.project_id = p.project_id and a.alias = 'production'
        left join domains h on h.project_id = p.project_id and h.is_primary and h.verified_at is not null
        where m.hostname in ($1, $2) and m.verified_at is not null and p.deleted_at is null
        order by m.hostname = $1 desc limit 1";
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

/// What a domain shows, or where it leads.
#[derive(Debug, Clone)]
pub(crate) struct DomainRouteRow {
    pub(crate) route: RouteRow,
    pub(crate) is_primary: bool,
    pub(crate) role: DomainRole,
    /// Where a redirect to another hostname leads is a domain of this installation too.
    pub(crate) is_ours: bool,
    /// Proven, and leading here as far as we know.
    pub(crate) primary: Option<Hostname>,
    /// There is a proven one, wherever it leads.
    pub(crate) has_primary: bool,
}

pub(crate) async fn find_by_domain(
    db: &impl GenericClient,
    hostname: &Hostname,
) -> Result<Option<DomainRouteRow>, DbError> {
    // A name of one label has no parent, and nobody its wildcard.
    let wildcard = hostname
        .parent()
        .map(|parent| DomainName::wildcard(&parent))
        .unwrap_or_else(|| hostname.clone().into());
    let statement = db.prepare_cached(BY_DOMAIN).await?;
    let row = db.query_opt(&statement, &[&hostname.as_str(), &wildcard.as_str()]).await?;
    row.map(|row| {
        let primary: Option<Hostname> = optional_text(&row, "primary_hostname")?;
        let is_elsewhere = row.try_get::<_, Option<bool>>("primary_is_elsewhere")?.unwrap_or_default();
        Ok(DomainRouteRow {
            route: RouteRow::from_row(&row)?,
            is_primary: row.try_get("is_primary")?,
            role: domains::role(&row)?,
            is_ours: row.try_get("is_ours")?,
            has_primary: primary.is_some(),
            primary: primary.filter(|_| !is_elsewhere),
        })
    })
    .transpose()
}
