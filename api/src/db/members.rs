//! Members of organizations, and collaborators of projects.

use loggia_types::api::{Member, Role};
use loggia_types::{OrganizationId, ProjectId, Timestamp, UserId};
use tokio_postgres::Row;

use super::{DbError, GenericClient, statements, text};

statements! {
    LIST = "
        select u.user_id, u.email, u.name, m.role, m.created_at,
               exists (select from two_factors t where t.user_id = u.user_id and t.confirmed_at is not null) as has_two_factor
        from members m join users u on u.user_id = m.user_id
        where m.organization_id = $1 order by m.created_at, u.user_id";

    /// Changes of members of one organization come one after the other, so that two owners cannot both leave.
    LOCK = "select from organizations where organization_id = $1 for update";

    FIND_ROLE = "select role from members where organization_id = $1 and user_id = $2";

    COUNT_OWNERS = "select count(*) as owners from members where organization_id = $1 and role = 'owner'";

    INSERT = "
        insert into members (organization_id, user_id, role) values ($1, $2, $3)
        on conflict (organization_id, user_id) do nothing";

    SET_ROLE = "update members set role = $3 where organization_id = $1 and user_id = $2";

    DELETE = "delete from members where organization_id = $1 and user_id = $2";

    LIST_COLLABORATORS = "
        select u.user_id, u.email, u.name, c.role, c.created_at,
               exists (select from two_factors t where t.user_id = u.user_id and t.confirmed_at is not null) as has_two_factor
        from collaborators c join users u on u.user_id = c.user_id
        where c.project_id = $1 order by c.created_at, u.user_id";

    SET_COLLABORATOR = "
        insert into collaborators (project_id, user_id, role) values ($1, $2, $3)
        on conflict (project_id, user_id) do update set role = excluded.role";

    DELETE_COLLABORATOR = "delete from collaborators where project_id = $1 and user_id = $2";
}

fn member(row: &Row) -> Result<Member, DbError> {
    Ok(Member {
        id: text(row, "user_id")?,
        email: text(row, "email")?,
        name: row.try_get("name")?,
        role: text(row, "role")?,
        has_two_factor: row.try_get("has_two_factor")?,
        created_at: Timestamp(row.try_get("created_at")?),
    })
}

pub(crate) async fn list(db: &impl GenericClient, id: OrganizationId) -> Result<Vec<Member>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&id.as_str()]).await?;
    rows.iter().map(member).collect()
}

pub(crate) async fn lock(db: &impl GenericClient, id: OrganizationId) -> Result<(), DbError> {
    db.query_opt(&db.prepare_cached(LOCK).await?, &[&id.as_str()]).await?;
    Ok(())
}

pub(crate) async fn find_role(
    db: &impl GenericClient,
    id: OrganizationId,
    user: UserId,
) -> Result<Option<Role>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND_ROLE).await?, &[&id.as_str(), &user.as_str()]).await?;
    row.map(|row| text(&row, "role")).transpose()
}

pub(crate) async fn count_owners(db: &impl GenericClient, id: OrganizationId) -> Result<i64, DbError> {
    Ok(db.query_one(&db.prepare_cached(COUNT_OWNERS).await?, &[&id.as_str()]).await?.try_get("owners")?)
}

/// False for who is a member already.
pub(crate) async fn insert(
    db: &impl GenericClient,
    id: OrganizationId,
    user: UserId,
    role: Role,
) -> Result<bool, DbError> {
    let statement = db.prepare_cached(INSERT).await?;
    Ok(db.execute(&statement, &[&id.as_str(), &user.as_str(), &role.as_str()]).await? == 1)
}

pub(crate) async fn set_role(
    db: &impl GenericClient,
    id: OrganizationId,
    user: UserId,
    role: Role,
) -> Result<(), DbError> {
    let statement = db.prepare_cached(SET_ROLE).await?;
    db.execute(&statement, &[&id.as_str(), &user.as_str(), &role.as_str()]).await?;
    Ok(())
}

pub(crate) async fn delete(db: &impl GenericClient, id: OrganizationId, user: UserId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DELETE).await?, &[&id.as_str(), &user.as_str()]).await?;
    Ok(())
}

pub(crate) async fn list_collaborators(
    db: &impl GenericClient,
    id: ProjectId,
) -> Result<Vec<Member>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST_COLLABORATORS).await?, &[&id.as_str()]).await?;
    rows.iter().map(member).collect()
}

pub(crate) async fn set_collaborator(
    db: &impl GenericClient,
    id: ProjectId,
    user: UserId,
    role: Role,
) -> Result<(), DbError> {
    let statement = db.prepare_cached(SET_COLLABORATOR).await?;
    db.execute(&statement, &[&id.as_str(), &user.as_str(), &role.as_str()]).await?;
    Ok(())
}

/// False when they were none.
pub(crate) async fn delete_collaborator(
    db: &impl GenericClient,
    id: ProjectId,
    user: UserId,
) -> Result<bool, DbError> {
    let statement = db.prepare_cached(DELETE_COLLABORATOR).await?;
    Ok(db.execute(&statement, &[&id.as_str(), &user.as_str()]).await? == 1)
}
