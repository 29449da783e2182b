//! Programs that wait to be let in.

use std::net::IpAddr;
use std::time::Duration;

use loggia_types::UserId;
use loggia_types::api::{TokenScope, WaitingDevice};
use tokio_postgres::types::ToSql;

use super::{DbError, GenericClient, optional_text, statements, text};

/// What a program that asks is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    Unknown,
    TooSoon,
    Pending,
    Denied,
    Approved { user_id: UserId, client: String, scope: TokenScope },
}

statements! {
    INSERT = "
        insert into device_codes (device_hash, user_code, client, scope, address, expires_at)
        values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) on conflict do nothing";

    /// An approved one is handed out once.
    TAKE = "
        delete from device_codes where device_hash = $1 and state = 'approved' and expires_at > now()
        returning user_id, client, scope";

    POLL = "
        update device_codes set last_poll_at = now()
        from (select device_hash, last_poll_at from device_codes where device_hash = $1 for update) before
        where device_codes.device_hash = before.device_hash and expires_at > now()
        returning state, coalesce(before.last_poll_at > now() - make_interval(secs => $2), false) as too_soon";

    FIND_WAITING = "
        select client, scope, host(address) as address from device_codes
        where user_code = $1 and state = 'pending' and expires_at > now()";

    DECIDE = "
        update device_codes set state = $2, user_id = $3
        where user_code = $1 and state = 'pending' and expires_at > now() returning client";

    PRUNE = "delete from device_codes where expires_at < now()";
}

#[derive(Debug)]
pub(crate) struct NewDevice<'a> {
    pub(crate) hash: &'a [u8],
    pub(crate) user_code: &'a str,
    pub(crate) client: &'a str,
    pub(crate) scope: TokenScope,
    pub(crate) address: Option<IpAddr>,
    pub(crate) good_for: Duration,
}

/// False when the code for the person is somebody else's just now.
pub(crate) async fn insert(db: &impl GenericClient, new: &NewDevice<'_>) -> Result<bool, DbError> {
    let parameters: [&(dyn ToSql + Sync); 6] = [
        &new.hash,
        &new.user_code,
        &new.client,
        &new.scope.as_str(),
        &new.address,
        &new.good_for.as_secs_f64(),
    ];
    Ok(db.execute(&db.prepare_cached(INSERT).await?, &parameters).await? == 1)
}

/// Questions come `interval` apart, or are told that they came too soon (RFC 8628, 3.5: `slow_down`).
pub(crate) async fn poll(
    db: &impl GenericClient,
    hash: &[u8],
    interval: Duration,
) -> Result<Polled, DbError> {
    if let Some(row) = db.query_opt(&db.prepare_cached(TAKE).await?, &[&hash]).await? {
        return Ok(match optional_text(&row, "user_id")? {
            Some(user_id) => {
                Polled::Approved { user_id, client: row.try_get("client")?, scope: text(&row, "scope")? }
            }
            None => Polled::Unknown,
        });
    }
    let row = db.query_opt(&db.prepare_cached(POLL).await?, &[&hash, &interval.as_secs_f64()]).await?;
    let Some(row) = row else { return Ok(Polled::Unknown) };
    Ok(match (row.try_get("state")?, row.try_get("too_soon")?) {
        ("denied", _) => Polled::Denied,
        (_, true) => Polled::TooSoon,
        (_, false) => Polled::Pending,
    })
}

pub(crate) async fn find_waiting(
    db: &impl GenericClient,
    user_code: &str,
) -> Result<Option<WaitingDevice>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND_WAITING).await?, &[&user_code]).await?;
    row.map(|row| {
        Ok(WaitingDevice {
            client: row.try_get("client")?,
            scope: text(&row, "scope")?,
            address: row.try_get("address")?,
        })
    })
    .transpose()
}

/// How the program is called, if one waits with this code.
pub(crate) async fn decide(
    db: &impl GenericClient,
    user_code: &str,
    user: UserId,
    approve: bool,
) -> Result<Option<String>, DbError> {
    let state = if approve { "approved" } else { "denied" };
    let row = db.query_opt(&db.prepare_cached(DECIDE).await?, &[&user_code, &state, &user.as_str()]).await?;
    Ok(row.map(|row| row.try_get("client")).transpose()?)
}

pub(crate) async fn prune(db: &impl GenericClient) -> Result<u64, DbError> {
    Ok(db.execute(&db.prepare_cached(PRUNE).await?, &[]).await?)
}
