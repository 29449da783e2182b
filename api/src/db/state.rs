//! How much waits: read for the metrics.

use super::{DbError, GenericClient, statements};

#[derive(Debug)]
pub(crate) struct StateRow {
    pub(crate) builds_queued: i64,
    pub(crate) builds_running: i64,
    pub(crate) oldest_build_secs: i64,
    pub(crate) mails_waiting: i64,
    pub(crate) oldest_mail_secs: i64,
    pub(crate) event_position: i64,
}

statements! {
    READ = "
        select (select count(*) from builds where state = 'queued') as builds_queued,
               (select count(*) from builds where state = 'claimed') as builds_running,
               (select coalesce(extract(epoch from now() - min(created_at)), 0)::bigint
                from builds where state = 'queued') as oldest_build_secs,
               (select count(*) from mail_outbox where sent_at is null and given_up_at is null) as mails_waiting,
               (select coalesce(extract(epoch from now() - min(created_at)), 0)::bigint
                from mail_outbox where sent_at is null and given_up_at is null) as oldest_mail_secs,
               (select coalesce(max(position), 0) from events) as event_position";
}

pub(crate) async fn read(db: &impl GenericClient) -> Result<StateRow, DbError> {
    let row = db.query_one(&db.prepare_cached(READ).await?, &[]).await?;
    Ok(StateRow {
        builds_queued: row.try_get("builds_queued")?,
        builds_running: row.try_get("builds_running")?,
        oldest_build_secs: row.try_get("oldest_build_secs")?,
        mails_waiting: row.try_get("mails_waiting")?,
        oldest_mail_secs: row.try_get("oldest_mail_secs")?,
        event_position: row.try_get("event_position")?,
    })
}
