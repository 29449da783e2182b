//! Sessions of browsers, by their cookie's hash.

use std::net::IpAddr;

use loggia_types::api::Session;
use loggia_types::{SessionId, Timestamp, UserId};

use super::{DbError, GenericClient, statements, text};

#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionRow {
    pub(crate) id: SessionId,
    pub(crate) user_id: UserId,
    pub(crate) is_operator: bool,
    /// Nobody wrote down that it is used for a while.
    pub(crate) is_used_again: bool,
}

#[derive(Debug)]
pub(crate) struct NewSession<'a> {
    pub(crate) id: SessionId,
    pub(crate) token_hash: &'a [u8],
    pub(crate) user_id: UserId,
    pub(crate) user_agent: &'a str,
    pub(crate) address: Option<IpAddr>,
}

statements! {
    FIND = "
        select s.session_id, s.user_id, u.is_operator,
               coalesce(s.last_used_at < now() - interval '10 minutes', true) as is_used_again
        from sessions s join users u on u.user_id = s.user_id
        where s.token_hash = $1 and s.expires_at > now() and u.disabled_at is null";

    /// A session that is used lives for 30 more days, and 90 in all.
    TOUCH = "
        update sessions set last_used_at = now(),
               expires_at = least(now() + interval '30 days', created_at + interval '90 days')
        where session_id = $1";

    INSERT = "
        insert into sessions (session_id, token_hash, user_id, user_agent, address, expires_at, last_used_at)
        values ($1, $2, $3, $4, $5, now() + interval '30 days', now())";

    IS_FRESH = "
        select authenticated_at > now() - interval '10 minutes' as is_fresh from sessions where session_id = $1";

    LIST = "
        select session_id, user_agent, host(address) as address, created_at, last_used_at, expires_at
        from sessions where user_id = $1 and expires_at > now()
        order by last_used_at desc nulls last, session_id";

    DELETE = "delete from sessions where user_id = $1 and session_id = $2";

    DELETE_BY_HASH = "delete from sessions where token_hash = $1";

    DELETE_OTHERS = "delete from sessions where user_id = $1 and session_id is distinct from $2";

    /// Whether the person is signed in from this network already.
    IS_KNOWN_PLACE = "
        select exists (select from sessions where user_id = $1 and address = $2 and expires_at > now()) as is_known";

    PRUNE = "delete from sessions where expires_at < now() - interval '1 day'";
}

pub(crate) async fn find(db: &impl GenericClient, hash: &[u8]) -> Result<Option<SessionRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND).await?, &[&hash]).await?;
    row.map(|row| {
        Ok(SessionRow {
            id: text(&row, "session_id")?,
            user_id: text(&row, "user_id")?,
            is_operator: row.try_get("is_operator")?,
            is_used_again: row.try_get("is_used_again")?,
        })
    })
    .transpose()
}

pub(crate) async fn touch(db: &impl GenericClient, id: SessionId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(TOUCH).await?, &[&id.as_str()]).await?;
    Ok(())
}

pub(crate) async fn insert(db: &impl GenericClient, new: &NewSession<'_>) -> Result<(), DbError> {
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&new.id.as_str(), &new.token_hash, &new.user_id.as_str(), &new.user_agent, &new.address];
    db.execute(&db.prepare_cached(INSERT).await?, &parameters).await?;
    Ok(())
}

/// Whether the person signed in a few minutes ago.
pub(crate) async fn is_fresh(db: &impl GenericClient, id: SessionId) -> Result<bool, DbError> {
    let row = db.query_opt(&db.prepare_cached(IS_FRESH).await?, &[&id.as_str()]).await?;
    Ok(row.map(|row| row.try_get("is_fresh")).transpose()?.unwrap_or(false))
}

/// The last used first. `this` is the one that asks.
pub(crate) async fn list(
    db: &impl GenericClient,
    user: UserId,
    this: Option<SessionId>,
) -> Result<Vec<Session>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&user.as_str()]).await?;
    let sessions = rows.iter().map(|row| {
        let id = text(row, "session_id")?;
        Ok(Session {
            id,
            is_this_one: Some(id) == this,
            user_agent: row.try_get("user_agent")?,
            address: row.try_get("address")?,
            created_at: Timestamp(row.try_get("created_at")?),
            last_used_at: row.try_get::<_, Option<_>>("last_used_at")?.map(Timestamp),
            expires_at: Timestamp(row.try_get("expires_at")?),
        })
    });
    sessions.collect()
}

/// False when the person has no such session.
pub(crate) async fn delete(db: &impl GenericClient, user: UserId, id: SessionId) -> Result<bool, DbError> {
    Ok(db.execute(&db.prepare_cached(DELETE).await?, &[&user.as_str(), &id.as_str()]).await? == 1)
}

pub(crate) async fn delete_by_hash(db: &impl GenericClient, hash: &[u8]) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DELETE_BY_HASH).await?, &[&hash]).await?;
    Ok(())
}

/// All but one, or all.
pub(crate) async fn delete_others(
    db: &impl GenericClient,
    user: UserId,
    kept: Option<SessionId>,
) -> Result<u64, DbError> {
    let kept = kept.as_ref().map(SessionId::as_str);
    Ok(db.execute(&db.prepare_cached(DELETE_OTHERS).await?, &[&user.as_str(), &kept]).await?)
}

pub(crate) async fn is_known_place(
    db: &impl GenericClient,
    user: UserId,
    address: Option<IpAddr>,
) -> Result<bool, DbError> {
    let row = db.query_one(&db.prepare_cached(IS_KNOWN_PLACE).await?, &[&user.as_str(), &address]).await?;
    Ok(row.try_get("is_known")?)
}

pub(crate) async fn prune(db: &impl GenericClient) -> Result<u64, DbError> {
    Ok(db.execute(&db.prepare_cached(PRUNE).await?, &[]).await?)
}
