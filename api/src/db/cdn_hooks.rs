//! What each CDN was told, and when it may be called again.

use std::time::Duration;

use loggia_types::api::CdnHook;
use loggia_types::{EventPosition, Timestamp};

use super::{DbError, GenericClient, events, statements};

/// A CDN is told everything twice (docs/decisions/0010).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    AtOnce,
    Settled,
}

impl Pass {
    pub(crate) const ALL: [Self; 2] = [Self::AtOnce, Self::Settled];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::Settled => "settled",
        }
    }
}

/// A turn to call the CDN, for as long as the lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    /// Everything up to here was told.
    pub(crate) position: EventPosition,
    /// Calls that failed since the last one that did not.
    pub(crate) failures: i32,
}

statements! {
    /// A CDN that is new to us holds nothing of ours: it begins with the present.
    ENSURE = "
        insert into cdn_hooks (hook, pass, position)
        select $1, $2, coalesce(max(position), 0) from events
        on conflict (hook, pass) do nothing";

    /// Only if there is something to tell. Of several apis one wins: the others find `not_before` moved.
    CLAIM = "
        update cdn_hooks h set not_before = now() + $4 * interval '1 second', looked_at = now()
        where h.hook = $1 and h.pass = $2 and h.not_before <= now()
          and exists (select from events e
                      where e.position > h.position and e.created_at <= now() - $3 * interval '1 second')
        returning h.position, h.failures";

    EXTEND = "update cdn_hooks set not_before = now() + $3 * interval '1 second' where hook = $1 and pass = $2";

    MARK_TOLD = "
        update cdn_hooks set position = greatest(position, $3), not_before = now(), failures = 0,
            failing_since = null, last_error = null, looked_at = now()
        where hook = $1 and pass = $2";

    MARK_FAILED = "
        update cdn_hooks set not_before = now() + $3 * interval '1 second', failures = failures + 1,
            failing_since = coalesce(failing_since, now()), last_error = $4, looked_at = now()
        where hook = $1 and pass = $2";

    MARK_LOOKED_AT = "update cdn_hooks set looked_at = now() where hook = $1 and pass = $2";

    LIST = "
        select h.hook, min(h.failing_since) as failing_since, max(h.last_error) as last_error,
               (select count(*) from events e where e.position > min(h.position) filter (where h.pass = 'at_once'))
                   as waiting,
               (select count(*) from events e where e.position > min(h.position) filter (where h.pass = 'settled'))
                   as settling
        from cdn_hooks h where h.hook = any($1) group by h.hook order by h.hook";
}

pub(crate) async fn ensure(db: &impl GenericClient, hook: &str, pass: Pass) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(ENSURE).await?, &[&hook, &pass.as_str()]).await?;
    Ok(())
}

/// The turn to tell what was committed at least `delay` ago; `None` when there is nothing, or it is not our turn.
pub(crate) async fn claim(
    db: &impl GenericClient,
    hook: &str,
    pass: Pass,
    delay: Duration,
    lease: Duration,
) -> Result<Option<Claim>, DbError> {
    let statement = db.prepare_cached(CLAIM).await?;
    let (delay, lease) = (delay.as_secs_f64(), lease.as_secs_f64());
    let row = db.query_opt(&statement, &[&hook, &pass.as_str(), &delay, &lease]).await?;
    row.map(|row| {
        Ok(Claim { position: events::position(row.try_get("position")?), failures: row.try_get("failures")? })
    })
    .transpose()
}

/// Keeps the turn from now on for `lease`; nothing ends it at once when that is zero.
pub(crate) async fn extend(
    db: &impl GenericClient,
    hook: &str,
    pass: Pass,
    lease: Duration,
) -> Result<(), DbError> {
    let statement = db.prepare_cached(EXTEND).await?;
    db.execute(&statement, &[&hook, &pass.as_str(), &lease.as_secs_f64()]).await?;
    Ok(())
}

pub(crate) async fn mark_told(
    db: &impl GenericClient,
    hook: &str,
    pass: Pass,
    position: EventPosition,
) -> Result<(), DbError> {
    let position = i64::try_from(position.0).unwrap_or(i64::MAX);
    let statement = db.prepare_cached(MARK_TOLD).await?;
    db.execute(&statement, &[&hook, &pass.as_str(), &position]).await?;
    Ok(())
}

pub(crate) async fn mark_failed(
    db: &impl GenericClient,
    hook: &str,
    pass: Pass,
    pause: Duration,
    cause: &str,
) -> Result<(), DbError> {
    let statement = db.prepare_cached(MARK_FAILED).await?;
    db.execute(&statement, &[&hook, &pass.as_str(), &pause.as_secs_f64(), &cause]).await?;
    Ok(())
}

pub(crate) async fn mark_looked_at(db: &impl GenericClient, hook: &str, pass: Pass) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(MARK_LOOKED_AT).await?, &[&hook, &pass.as_str()]).await?;
    Ok(())
}

pub(crate) async fn list(db: &impl GenericClient, hooks: &[String]) -> Result<Vec<CdnHook>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&hooks]).await?;
    rows.iter()
        .map(|row| {
            let count = |column| Ok::<_, DbError>(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or(0));
            Ok(CdnHook {
                hook: row.try_get("hook")?,
                waiting: count("waiting")?,
                settling: count("settling")?,
                failing_since: row.try_get::<_, Option<_>>("failing_since")?.map(Timestamp),
                last_error: row.try_get("last_error")?,
            })
        })
        .collect()
}
