//! Sends what waits in the outbox, for as long as the api runs. Several apis share it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::transport::SendError;
use crate::app::App;
use crate::db::mails::DueMail;
use crate::db::{self, DbError};

/// A lost notification, or a mail that waits for its next try, is found this late at most.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A sender that has not told how it went by then is dead, and the mail goes again: rather twice than never.
const LEASE: Duration = Duration::from_secs(120);
/// The first wait after a failure; each further one is twice as long.
const BACKOFF_FIRST: Duration = Duration::from_secs(30);
const BACKOFF_MAX: Duration = Duration::from_secs(4 * 60 * 60);
/// Mail servers try for four to five days (RFC 5321, 4.5.4.1); our links are dead by then.
const TRY_FOR: Duration = Duration::from_secs(2 * 24 * 60 * 60);

pub(crate) async fn run(app: App, shutdown: CancellationToken) {
    let mut queued = app.mails.subscribe();
    let mut failing = false;
    loop {
        queued.mark_unchanged();
        match send_due(&app, &shutdown).await {
            Ok(()) => failing = false,
            // Once per outage.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!("The outbox cannot be read: {error}");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = queued.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Everything that is due now.
async fn send_due(app: &App, shutdown: &CancellationToken) -> Result<(), DbError> {
    while !shutdown.is_cancelled() {
        let Some(mail) = db::mails::take(&app.db().await?, LEASE).await? else { return Ok(()) };
        let sent = app.mail.send(&mail).await;
        // A connection of the pool is not held while a mail server thinks.
        settle(app, &mail, sent).await?;
    }
    Ok(())
}

async fn settle(app: &App, mail: &DueMail, sent: Result<(), SendError>) -> Result<(), DbError> {
    let client = app.db().await?;
    match sent {
        Ok(()) => db::mails::mark_sent(&client, mail.id).await,
        Err(SendError::Later(cause)) if mail.age_secs < TRY_FOR.as_secs_f64() => {
            let wait = backoff(mail.attempts, rand::random_range(0.8..1.2));
            tracing::warn!(
                mail.id,
                attempts = mail.attempts,
                "Mail {} waits for its next try: {cause}",
                mail.id
            );
            db::mails::defer(&client, mail.id, wait, &cause).await
        }
        Err(SendError::Later(cause) | SendError::Never(cause)) => {
            tracing::error!(mail.id, attempts = mail.attempts, "Mail {} is given up: {cause}", mail.id);
            db::mails::give_up(&client, mail.id, &cause).await
        }
    }
}

/// After so many tries.
fn backoff(attempts: u32, jitter: f64) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    doubled.min(BACKOFF_MAX).mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let secs: Vec<u64> = [1, 2, 3, 10, 100].map(|attempts| backoff(attempts, 1.0).as_secs()).into();
        assert_eq!(secs, [30, 60, 120, 14_400, 14_400]);
    }
}
