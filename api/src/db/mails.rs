//! The outbox.

use std::time::Duration;

use tokio_postgres::Row;

use super::{DbError, GenericClient, statements};
use crate::mail::Kind;

#[derive(Debug)]
pub(crate) struct NewMail<'a> {
    pub(crate) recipient: &'a str,
    pub(crate) kind: Kind,
    /// A second mail of this event is not stored.
    pub(crate) event: Option<&'a str>,
    pub(crate) subject: &'a str,
    pub(crate) text: &'a str,
    pub(crate) html: &'a str,
    pub(crate) unsubscribe: Option<&'a str>,
}

/// A mail that is to be sent now.
#[derive(Debug)]
pub(crate) struct DueMail {
    pub(crate) id: i64,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) unsubscribe: Option<String>,
    /// With this one.
    pub(crate) attempts: u32,
    pub(crate) age_secs: f64,
}

impl DueMail {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("mail_id")?,
            recipient: row.try_get("recipient")?,
            subject: row.try_get("subject")?,
            text: row.try_get("text_body")?,
            html: row.try_get("html_body")?,
            unsubscribe: row.try_get("unsubscribe")?,
            attempts: u32::try_from(row.try_get::<_, i16>("attempts")?).unwrap_or(1),
            age_secs: row.try_get("age_secs")?,
        })
    }
}

statements! {
    INSERT = "
        insert into mail_outbox (recipient, kind, event, subject, text_body, html_body, unsubscribe)
        values ($1, $2, $3, $4, $5, $6, $7) on conflict (event) do nothing";

    /// Takes the mail that waits longest. Until the lease ends nobody else does, and if the sender dies, it is due again.
    TAKE = "
        update mail_outbox set attempts = attempts + 1, send_after = now() + make_interval(secs => $1)
        where mail_id = (
            select mail_id from mail_outbox
            where sent_at is null and given_up_at is null and send_after <= now()
            order by send_after, mail_id limit 1 for update skip locked)
        returning mail_id, recipient, subject, text_body, html_body, unsubscribe, attempts,
                  extract(epoch from now() - created_at)::float8 as age_secs";

    /// One-time links are in the bodies: they go as soon as nobody needs them.
    MARK_SENT = "
        update mail_outbox set sent_at = now(), text_body = '', html_body = '', unsubscribe = null, last_error = null
        where mail_id = $1";

    DEFER = "
        update mail_outbox set send_after = now() + make_interval(secs => $2), last_error = $3 where mail_id = $1";

    GIVE_UP = "
        update mail_outbox set given_up_at = now(), text_body = '', html_body = '', unsubscribe = null, last_error = $2
        where mail_id = $1";

    PRUNE = "delete from mail_outbox where coalesce(sent_at, given_up_at) < now() - interval '30 days'";

    NOTIFY = "select pg_notify('loggia_mail', '')";
}

pub(crate) async fn insert(db: &impl GenericClient, mail: &NewMail<'_>) -> Result<(), DbError> {
    db.execute(
        &db.prepare_cached(INSERT).await?,
        &[
            &mail.recipient,
            &mail.kind.as_str(),
            &mail.event,
            &mail.subject,
            &mail.text,
            &mail.html,
            &mail.unsubscribe,
        ],
    )
    .await?;
    // Heard when the transaction commits.
    db.execute(&db.prepare_cached(NOTIFY).await?, &[]).await?;
    Ok(())
}

/// The next mail that is due, for `lease`.
pub(crate) async fn take(db: &impl GenericClient, lease: Duration) -> Result<Option<DueMail>, DbError> {
    let row = db.query_opt(&db.prepare_cached(TAKE).await?, &[&lease.as_secs_f64()]).await?;
    row.as_ref().map(DueMail::from_row).transpose()
}

pub(crate) async fn mark_sent(db: &impl GenericClient, id: i64) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(MARK_SENT).await?, &[&id]).await?;
    Ok(())
}

pub(crate) async fn defer(
    db: &impl GenericClient,
    id: i64,
    wait: Duration,
    cause: &str,
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DEFER).await?, &[&id, &wait.as_secs_f64(), &cause]).await?;
    Ok(())
}

pub(crate) async fn give_up(db: &impl GenericClient, id: i64, cause: &str) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(GIVE_UP).await?, &[&id, &cause]).await?;
    Ok(())
}

pub(crate) async fn prune(db: &impl GenericClient) -> Result<u64, DbError> {
    Ok(db.execute(&db.prepare_cached(PRUNE).await?, &[]).await?)
}
