//! Organizations and who belongs to them.

use loggia_types::api::Role;
use loggia_types::{OrganizationId, OrganizationSlug, UserId};
use tokio_postgres::Row;

use super::{DbError, GenericClient, optional_text, statements, text};

pub(crate) const SLUG_IS_UNIQUE: &str = "organizations_slug_is_unique";

#[derive(Debug, Clone)]
pub(crate) struct OrganizationRow {
    pub(crate) id: OrganizationId,
    pub(crate) slug: OrganizationSlug,
    pub(crate) name: String,
    /// Whose personal one it is.
    pub(crate) personal_of: Option<UserId>,
}

impl OrganizationRow {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: text(row, "organization_id")?,
            slug: text(row, "slug")?,
            name: row.try_get("name")?,
            personal_of: optional_text(row, "personal_of")?,
        })
    }
}

statements! {
    FIND_WITH_ROLE = "
        select o.organization_id, o.slug, o.name, o.personal_of, m.role
        from organizations o
        left join members m on m.organization_id = o.organization_id and m.user_id = $2
        where o.slug = $1";

    /// Where a project goes that names no organization: the personal one, else the first that one may make projects in; for the
    /// configuration's token the oldest of all.
    FIND_HOME = "
        select o.organization_id, o.slug, o.name, o.personal_of
        from organizations o
        left join members m on m.organization_id = o.organization_id and m.user_id = $1
        where $1::text is null or o.personal_of = $1 or m.role in ('owner', 'admin')
        order by (o.personal_of = $1) desc nulls last, o.created_at, o.organization_id limit 1";

    LIST = "
        select o.organization_id, o.slug, o.name, o.personal_of, m.role
        from organizations o left join members m on m.organization_id = o.organization_id and m.user_id = $1
        where $1::text is null or m.user_id is not null
        order by o.slug";

    INSERT = "insert into organizations (organization_id, slug, name) values ($1, $2, $3)";

    UPDATE = "
        update organizations set slug = coalesce($2, slug), name = coalesce($3, name) where organization_id = $1";

    DELETE = "delete from organizations where organization_id = $1";

    COUNT_PROJECTS = "select count(*) as projects from projects where organization_id = $1";

    /// Every installation has one organization to begin with.
    ENSURE_FIRST = "
        insert into organizations (organization_id, slug, name)
        select $1, 'default', 'Default' where not exists (select from organizations)
        on conflict do nothing";
}

/// With the person's role in it, if there is one.
pub(crate) async fn find_with_role(
    db: &impl GenericClient,
    slug: &OrganizationSlug,
    user: Option<UserId>,
) -> Result<Option<(OrganizationRow, Option<Role>)>, DbError> {
    let user = user.as_ref().map(UserId::as_str);
    let row = db.query_opt(&db.prepare_cached(FIND_WITH_ROLE).await?, &[&slug.as_str(), &user]).await?;
    row.map(|row| Ok((OrganizationRow::from_row(&row)?, optional_text(&row, "role")?))).transpose()
}

pub(crate) async fn find_home(
    db: &impl GenericClient,
    user: Option<UserId>,
) -> Result<Option<OrganizationRow>, DbError> {
    let user = user.as_ref().map(UserId::as_str);
    let row = db.query_opt(&db.prepare_cached(FIND_HOME).await?, &[&user]).await?;
    row.as_ref().map(OrganizationRow::from_row).transpose()
}

pub(crate) async fn ensure_first(db: &impl GenericClient) -> Result<(), DbError> {
    let id = OrganizationId::generate();
    db.execute(&db.prepare_cached(ENSURE_FIRST).await?, &[&id.as_str()]).await?;
    Ok(())
}

/// What the person is a member of, or all of them.
pub(crate) async fn list(
    db: &impl GenericClient,
    user: Option<UserId>,
) -> Result<Vec<(OrganizationRow, Option<Role>)>, DbError> {
    let user = user.as_ref().map(UserId::as_str);
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&user]).await?;
    rows.iter().map(|row| Ok((OrganizationRow::from_row(row)?, optional_text(row, "role")?))).collect()
}

/// Breaks `organizations_slug_is_unique` when the slug is taken.
pub(crate) async fn insert(
    db: &impl GenericClient,
    id: OrganizationId,
    slug: &OrganizationSlug,
    name: &str,
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(INSERT).await?, &[&id.as_str(), &slug.as_str(), &name]).await?;
    Ok(())
}

/// As [`insert`]; what is `None` stays.
pub(crate) async fn update(
    db: &impl GenericClient,
    id: OrganizationId,
    slug: Option<&OrganizationSlug>,
    name: Option<&str>,
) -> Result<(), DbError> {
    let slug = slug.map(OrganizationSlug::as_str);
    db.execute(&db.prepare_cached(UPDATE).await?, &[&id.as_str(), &slug, &name]).await?;
    Ok(())
}

pub(crate) async fn delete(db: &impl GenericClient, id: OrganizationId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DELETE).await?, &[&id.as_str()]).await?;
    Ok(())
}

/// Also those that are deleted and not yet gone.
pub(crate) async fn count_projects(db: &impl GenericClient, id: OrganizationId) -> Result<i64, DbError> {
    Ok(db.query_one(&db.prepare_cached(COUNT_PROJECTS).await?, &[&id.as_str()]).await?.try_get("projects")?)
}
