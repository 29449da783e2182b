//! Counts of wrong tries.

use std::time::Duration;

use super::{DbError, GenericClient, statements};

statements! {
    /// No row: blocked. A count that is an hour old starts anew.
    COUNT = "
        insert into failed_attempts (subject_hash, failures, last_failed_at) values ($1, 1, now())
        on conflict (subject_hash) do update set
            failures = case when failed_attempts.last_failed_at < now() - interval '1 hour' then 1
                            else failed_attempts.failures + 1 end,
            last_failed_at = now(),
            blocked_until = case
                when failed_attempts.last_failed_at >= now() - interval '1 hour' and failed_attempts.failures + 1 >= $2
                then now() + make_interval(secs => least($4, $3 * 2 ^ least(failed_attempts.failures + 1 - $2, 20)))
            end
        where failed_attempts.blocked_until is null or failed_attempts.blocked_until <= now()
        returning failures";

    FIND_WAIT = "
        select extract(epoch from blocked_until - now())::float8 as secs from failed_attempts where subject_hash = $1";

    CLEAR = "delete from failed_attempts where subject_hash = $1";

    PRUNE = "delete from failed_attempts where last_failed_at < now() - interval '1 day'";
}

/// How long to wait, for who came too early.
pub(crate) async fn count(
    db: &impl GenericClient,
    subject: &[u8],
    free: i32,
    wait: Duration,
    wait_max: Duration,
) -> Result<Option<Duration>, DbError> {
    let statement = db.prepare_cached(COUNT).await?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&subject, &free, &wait.as_secs_f64(), &wait_max.as_secs_f64()];
    if db.query_opt(&statement, &parameters).await?.is_some() {
        return Ok(None);
    }
    let row = db.query_opt(&db.prepare_cached(FIND_WAIT).await?, &[&subject]).await?;
    let secs = row.map(|row| row.try_get::<_, Option<f64>>("secs")).transpose()?.flatten().unwrap_or(1.0);
    Ok(Some(Duration::from_secs_f64(secs.max(1.0))))
}

pub(crate) async fn clear(db: &impl GenericClient, subject: &[u8]) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(CLEAR).await?, &[&subject]).await?;
    Ok(())
}

pub(crate) async fn prune(db: &impl GenericClient) -> Result<u64, DbError> {
    Ok(db.execute(&db.prepare_cached(PRUNE).await?, &[]).await?)
}
