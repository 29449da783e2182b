//! Invitations that wait to be accepted.

use std::time::Duration;

use loggia_types::api::{Invitation, Role};
use loggia_types::{EmailAddress, InvitationId, OrganizationId, Timestamp, UserId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{DbError, GenericClient, statements, text};

#[derive(Debug)]
pub(crate) struct NewInvitation<'a> {
    pub(crate) organization_id: OrganizationId,
    pub(crate) email: &'a EmailAddress,
    pub(crate) role: Role,
    pub(crate) token_hash: &'a [u8],
    pub(crate) invited_by: Option<UserId>,
    pub(crate) good_for: Duration,
}

/// An invitation whose link was opened.
#[derive(Debug)]
pub(crate) struct OpenedRow {
    pub(crate) organization_id: OrganizationId,
    pub(crate) organization_name: String,
    pub(crate) email: EmailAddress,
    pub(crate) role: Role,
}

statements! {
    PUT = "
        insert into invitations (invitation_id, organization_id, email, role, token_hash, invited_by, expires_at)
        values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
        on conflict (organization_id, email) do update
        set role = excluded.role, token_hash = excluded.token_hash, invited_by = excluded.invited_by,
            expires_at = excluded.expires_at
        returning invitation_id, email, role, created_at, expires_at";

    LIST = "
        select invitation_id, email, role, created_at, expires_at from invitations
        where organization_id = $1 and expires_at > now() order by created_at, invitation_id";

    DELETE = "delete from invitations where organization_id = $1 and invitation_id = $2 returning email";

    FIND = "
        select i.organization_id, o.name as organization_name, i.email, i.role
        from invitations i join organizations o on o.organization_id = i.organization_id
        where i.token_hash = $1 and i.expires_at > now()";

    /// Two at once: the second finds nothing.
    TAKE = "delete from invitations where token_hash = $1 and expires_at > now() returning invitation_id";
}

fn invitation(row: &Row) -> Result<Invitation, DbError> {
    Ok(Invitation {
        id: text(row, "invitation_id")?,
        email: text(row, "email")?,
        role: text(row, "role")?,
        created_at: Timestamp(row.try_get("created_at")?),
        expires_at: Timestamp(row.try_get("expires_at")?),
    })
}

/// A second one for an address takes the place of the first.
pub(crate) async fn put(db: &impl GenericClient, new: &NewInvitation<'_>) -> Result<Invitation, DbError> {
    let id = InvitationId::generate();
    let parameters: [&(dyn ToSql + Sync); 7] = [
        &id.as_str(),
        &new.organization_id.as_str(),
        &new.email.as_str(),
        &new.role.as_str(),
        &new.token_hash,
        &new.invited_by.as_ref().map(UserId::as_str),
        &new.good_for.as_secs_f64(),
    ];
    invitation(&db.query_one(&db.prepare_cached(PUT).await?, &parameters).await?)
}

pub(crate) async fn list(db: &impl GenericClient, id: OrganizationId) -> Result<Vec<Invitation>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&id.as_str()]).await?;
    rows.iter().map(invitation).collect()
}

/// The address that it was for.
pub(crate) async fn delete(
    db: &impl GenericClient,
    organization: OrganizationId,
    id: InvitationId,
) -> Result<Option<EmailAddress>, DbError> {
    let statement = db.prepare_cached(DELETE).await?;
    let row = db.query_opt(&statement, &[&organization.as_str(), &id.as_str()]).await?;
    row.map(|row| text(&row, "email")).transpose()
}

pub(crate) async fn find(db: &impl GenericClient, hash: &[u8]) -> Result<Option<OpenedRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND).await?, &[&hash]).await?;
    row.map(|row| {
        Ok(OpenedRow {
            organization_id: text(&row, "organization_id")?,
            organization_name: row.try_get("organization_name")?,
            email: text(&row, "email")?,
            role: text(&row, "role")?,
        })
    })
    .transpose()
}

/// Uses it up. False when somebody was faster.
pub(crate) async fn take(db: &impl GenericClient, hash: &[u8]) -> Result<bool, DbError> {
    Ok(db.query_opt(&db.prepare_cached(TAKE).await?, &[&hash]).await?.is_some())
}
