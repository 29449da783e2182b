//! What the api does without being asked: take builds back from dead builders, forget what has expired.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::{db, idempotency, ops};

/// A dead builder's work is taken over at most this long after its lease.
const LEASES_EVERY: Duration = Duration::from_secs(1);
const EXPIRY_EVERY: Duration = Duration::from_secs(600);

pub(crate) async fn run(app: App, shutdown: CancellationToken) {
    let mut leases = tokio::time::interval(LEASES_EVERY);
    let mut expiry = tokio::time::interval(EXPIRY_EVERY);
    let mut failing = false;
    loop {
        let outcome = tokio::select! {
            () = shutdown.cancelled() => return,
            _ = leases.tick() => ops::builds::take_back_expired(&app).await,
            _ = expiry.tick() => expire(&app).await,
        };
        // Once per outage, not once a second.
        match outcome {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!("Upkeep is interrupted: {error}");
            }
            Err(_) => {}
        }
    }
}

async fn expire(app: &App) -> Result<(), db::DbError> {
    let client = app.db().await?;
    let uploads = db::deployments::expire_uploads(&client).await?;
    let events = db::events::prune(&client).await?;
    db::mails::prune(&client).await?;
    db::sessions::prune(&client).await?;
    db::one_time_tokens::prune(&client).await?;
    db::failed_attempts::prune(&client).await?;
    db::device_codes::prune(&client).await?;
    db::idempotent_calls::prune(&client, idempotency::KEPT_FOR).await?;
    app.rates.forget_idle();
    drop(client);
    crate::domains::recheck::expire(app).await?;
    tracing::debug!(uploads, events, "Expired uploads and events");
    Ok(())
}
