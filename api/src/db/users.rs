//! People.

use loggia_types::api::{Membership, Role, User};
use loggia_types::{EmailAddress, OrganizationId, OrganizationSlug, Timestamp, UserId};
use tokio_postgres::Row;

use super::{DbError, GenericClient, statements, text};

pub(crate) const EMAIL_IS_UNIQUE: &str = "users_email_is_unique";

#[derive(Debug, Clone)]
pub(crate) struct UserRow {
    pub(crate) id: UserId,
    pub(crate) email: EmailAddress,
    pub(crate) name: String,
    pub(crate) password_hash: Option<String>,
    pub(crate) is_operator: bool,
    pub(crate) is_disabled: bool,
    pub(crate) has_two_factor: bool,
    pub(crate) created_at: Timestamp,
}

impl UserRow {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: text(row, "user_id")?,
            email: text(row, "email")?,
            name: row.try_get("name")?,
            password_hash: row.try_get("password_hash")?,
            is_operator: row.try_get("is_operator")?,
            is_disabled: row.try_get("is_disabled")?,
            has_two_factor: row.try_get("has_two_factor")?,
            created_at: Timestamp(row.try_get("created_at")?),
        })
    }

    pub(crate) fn view(&self) -> User {
        User {
            id: self.id,
            email: self.email.clone(),
            name: self.name.clone(),
            is_operator: self.is_operator,
            has_password: self.password_hash.is_some(),
            has_two_factor: self.has_two_factor,
            created_at: self.created_at,
        }
    }
}

#[derive(Debug)]
pub(crate) struct NewUser<'a> {
    pub(crate) id: UserId,
    pub(crate) email: &'a EmailAddress,
    pub(crate) name: &'a str,
    pub(crate) password_hash: Option<&'a str>,
    pub(crate) is_operator: bool,
}

statements! {
    GET = "
        select u.user_id, u.email, u.name, u.password_hash, u.is_operator, u.disabled_at is not null as is_disabled,
               exists (select from two_factors t where t.user_id = u.user_id and t.confirmed_at is not null) as has_two_factor,
               u.created_at
        from users u where u.user_id = $1";

    FIND_BY_EMAIL = "
        select u.user_id, u.email, u.name, u.password_hash, u.is_operator, u.disabled_at is not null as is_disabled,
               exists (select from two_factors t where t.user_id = u.user_id and t.confirmed_at is not null) as has_two_factor,
               u.created_at
        from users u where u.email = $1";

    /// Whoever comes first locks the table for the moment: there is one first person.
    LOCK = "lock table users in share row exclusive mode";

    ANYBODY = "select exists (select from users) as anybody";

    /// Whoever is stored proved the address.
    INSERT = "
        insert into users (user_id, email, name, password_hash, is_operator, email_verified_at)
        values ($1, $2, $3, $4, $5, now())";

    INSERT_PERSONAL = "
        insert into organizations (organization_id, slug, name, personal_of) values ($1, $2, $3, $4)
        on conflict on constraint organizations_slug_is_unique do nothing";

    JOIN_PERSONAL = "
        insert into members (organization_id, user_id, role) values ($1, $2, 'owner')";

    JOIN_FIRST = "
        insert into members (organization_id, user_id, role)
        select organization_id, $1, 'owner' from organizations where personal_of is null
        order by created_at, organization_id limit 1 on conflict do nothing";

    LIST_MEMBERSHIPS = "
        select o.slug, o.name, m.role, o.personal_of is not distinct from $1 as is_personal
        from members m join organizations o on o.organization_id = m.organization_id
        where m.user_id = $1 order by is_personal desc, o.slug";

    SET_NAME = "update users set name = $2 where user_id = $1";

    SET_PASSWORD = "update users set password_hash = $2 where user_id = $1";

    SET_EMAIL = "update users set email = $2, email_verified_at = now() where user_id = $1";

    /// Organizations with other members or projects that would be without an owner.
    SOLE_OWNER_OF = "
        select o.slug from organizations o join members m on m.organization_id = o.organization_id
        where m.user_id = $1 and m.role = 'owner'
          and not exists (select from members other where other.organization_id = o.organization_id
                          and other.user_id <> $1 and other.role = 'owner')
          and (o.personal_of is null
               or exists (select from projects p where p.organization_id = o.organization_id))
        order by o.slug";

    DELETE = "delete from users where user_id = $1";
}

pub(crate) async fn get(db: &impl GenericClient, id: UserId) -> Result<UserRow, DbError> {
    UserRow::from_row(&db.query_one(&db.prepare_cached(GET).await?, &[&id.as_str()]).await?)
}

pub(crate) async fn find_by_email(
    db: &impl GenericClient,
    email: &EmailAddress,
) -> Result<Option<UserRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND_BY_EMAIL).await?, &[&email.as_str()]).await?;
    row.as_ref().map(UserRow::from_row).transpose()
}

/// Until the end of the transaction nobody else is stored.
pub(crate) async fn lock(db: &impl GenericClient) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(LOCK).await?, &[]).await?;
    Ok(())
}

pub(crate) async fn is_anybody_there(db: &impl GenericClient) -> Result<bool, DbError> {
    Ok(db.query_one(&db.prepare_cached(ANYBODY).await?, &[]).await?.try_get("anybody")?)
}

/// Breaks `users_email_is_unique` when there is somebody with this address.
pub(crate) async fn insert(db: &impl GenericClient, new: &NewUser<'_>) -> Result<(), DbError> {
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&new.id.as_str(), &new.email.as_str(), &new.name, &new.password_hash, &new.is_operator];
    db.execute(&db.prepare_cached(INSERT).await?, &parameters).await?;
    Ok(())
}

/// False when the slug is taken.
pub(crate) async fn insert_personal(
    db: &impl GenericClient,
    user: UserId,
    slug: &OrganizationSlug,
    name: &str,
) -> Result<bool, DbError> {
    let id = OrganizationId::generate();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&id.as_str(), &slug.as_str(), &name, &user.as_str()];
    if db.execute(&db.prepare_cached(INSERT_PERSONAL).await?, &parameters).await? == 0 {
        return Ok(false);
    }
    db.execute(&db.prepare_cached(JOIN_PERSONAL).await?, &[&id.as_str(), &user.as_str()]).await?;
    Ok(true)
}

/// Makes the person an owner of the organization that every installation begins with.
pub(crate) async fn join_first(db: &impl GenericClient, user: UserId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(JOIN_FIRST).await?, &[&user.as_str()]).await?;
    Ok(())
}

pub(crate) async fn list_memberships(
    db: &impl GenericClient,
    user: UserId,
) -> Result<Vec<Membership>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST_MEMBERSHIPS).await?, &[&user.as_str()]).await?;
    let memberships = rows.iter().map(|row| {
        Ok(Membership {
            slug: text(row, "slug")?,
            name: row.try_get("name")?,
            role: text::<Role>(row, "role")?,
            is_personal: row.try_get("is_personal")?,
        })
    });
    memberships.collect()
}

pub(crate) async fn set_name(db: &impl GenericClient, id: UserId, name: &str) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(SET_NAME).await?, &[&id.as_str(), &name]).await?;
    Ok(())
}

pub(crate) async fn set_password(db: &impl GenericClient, id: UserId, hash: &str) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(SET_PASSWORD).await?, &[&id.as_str(), &hash]).await?;
    Ok(())
}

/// Breaks `users_email_is_unique` when somebody else has the address.
pub(crate) async fn set_email(
    db: &impl GenericClient,
    id: UserId,
    email: &EmailAddress,
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(SET_EMAIL).await?, &[&id.as_str(), &email.as_str()]).await?;
    Ok(())
}

/// What would be nobody's without this person.
pub(crate) async fn sole_owner_of(
    db: &impl GenericClient,
    id: UserId,
) -> Result<Vec<OrganizationSlug>, DbError> {
    let rows = db.query(&db.prepare_cached(SOLE_OWNER_OF).await?, &[&id.as_str()]).await?;
    rows.iter().map(|row| text(row, "slug")).collect()
}

pub(crate) async fn delete(db: &impl GenericClient, id: UserId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DELETE).await?, &[&id.as_str()]).await?;
    Ok(())
}
