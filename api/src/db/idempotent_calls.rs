//! Calls that carry an `Idempotency-Key`, and what they were answered.

use std::time::Duration;

use super::{DbError, GenericClient, statements};

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Nobody used it, or whoever did died over it: this call is the one.
    First,
    /// Another call is at it.
    UnderWay,
    /// It was used for something else.
    OfAnotherCall,
    Answered {
        status: u16,
        sealed: Vec<u8>,
    },
}

statements! {
    INSERT = "
        insert into idempotent_calls (key_hash, route, body_hash) values ($1, $2, $3)
        on conflict (key_hash) do nothing";

    FIND = "select route, body_hash, status, answer from idempotent_calls where key_hash = $1";

    /// A call that did not end in time ended with its process.
    TAKE_OVER = "
        update idempotent_calls set started_at = now()
        where key_hash = $1 and status is null and started_at < now() - make_interval(secs => $2)";

    ANSWER = "update idempotent_calls set status = $2, answer = $3 where key_hash = $1";

    DELETE = "delete from idempotent_calls where key_hash = $1";

    PRUNE = "delete from idempotent_calls where started_at < now() - make_interval(secs => $1)";
}

/// `patience` is how long a call may take before it counts as dead.
pub(crate) async fn begin(
    db: &impl GenericClient,
    key_hash: &[u8],
    route: &str,
    body_hash: &[u8],
    patience: Duration,
) -> Result<Begun, DbError> {
    if db.execute(&db.prepare_cached(INSERT).await?, &[&key_hash, &route, &body_hash]).await? == 1 {
        return Ok(Begun::First);
    }
    let Some(row) = db.query_opt(&db.prepare_cached(FIND).await?, &[&key_hash]).await? else {
        // Forgotten between the two statements: as good as under way, and the next try is the first.
        return Ok(Begun::UnderWay);
    };
    let same =
        row.try_get::<_, &str>("route")? == route && row.try_get::<_, &[u8]>("body_hash")? == body_hash;
    if !same {
        return Ok(Begun::OfAnotherCall);
    }
    if let Some(status) = row.try_get::<_, Option<i16>>("status")? {
        let sealed = row.try_get::<_, Option<Vec<u8>>>("answer")?.unwrap_or_default();
        return Ok(Begun::Answered { status: u16::try_from(status).unwrap_or_default(), sealed });
    }
    let taken =
        db.execute(&db.prepare_cached(TAKE_OVER).await?, &[&key_hash, &patience.as_secs_f64()]).await?;
    Ok(if taken == 1 { Begun::First } else { Begun::UnderWay })
}

pub(crate) async fn answer(
    db: &impl GenericClient,
    key_hash: &[u8],
    status: u16,
    sealed: &[u8],
) -> Result<(), DbError> {
    let status = i16::try_from(status).unwrap_or_default();
    db.execute(&db.prepare_cached(ANSWER).await?, &[&key_hash, &status, &sealed]).await?;
    Ok(())
}

/// The call changed nothing: the key may be used again.
pub(crate) async fn delete(db: &impl GenericClient, key_hash: &[u8]) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DELETE).await?, &[&key_hash]).await?;
    Ok(())
}

/// Forgets keys that are older than `age`.
pub(crate) async fn prune(db: &impl GenericClient, age: Duration) -> Result<u64, DbError> {
    Ok(db.execute(&db.prepare_cached(PRUNE).await?, &[&age.as_secs_f64()]).await?)
}
