//! Looks at domains again, for ever: each when it is due.

use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::check::check;
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::domains::DomainRow;
use crate::db::{self, DbError};

/// Somebody who has just added a domain waits for its diagnosis.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Each holds its place for as long as name servers are silent: some ten seconds.
const AT_ONCE: usize = 16;
const CLAIMED_AT_ONCE: i64 = 64;

pub(crate) async fn run(app: App, shutdown: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = looks.tick() => {}
        }
        // What is claimed and not done when the process stops is due again in five minutes.
        match shutdown.run_until_cancelled(check_due(&app)).await {
            None => return,
            Some(Ok(())) => is_failing = false,
            Some(Err(error)) => {
                // Once per outage.
                if !is_failing {
                    tracing::warn!("Domains are not looked at for now: {error}");
                }
                is_failing = true;
            }
        }
    }
}

/// Until nothing is due any more.
async fn check_due(app: &App) -> Result<(), DbError> {
    loop {
        let due = db::domains::claim_due(&app.db().await?, CLAIMED_AT_ONCE).await?;
        if due.is_empty() {
            return Ok(());
        }
        let checks = due.into_iter().map(|row| look(app.clone(), row));
        let mut checks = stream::iter(checks).buffer_unordered(AT_ONCE);
        while let Some(checked) = checks.next().await {
            checked?;
        }
    }
}

async fn look(app: App, row: DomainRow) -> Result<(), DbError> {
    check(&app, &row).await
}

/// Removes what was lost for so long that it is nobody's any more, and ends quarantines.
pub(crate) async fn expire(app: &App) -> Result<(), DbError> {
    let mut client = app.db().await?;
    db::domains::expire_released(&client).await?;
    for id in db::domains::list_lost_for_good(&client).await? {
        let transaction = client.transaction().await?;
        let Some(row) =
            db::domains::lock(&transaction, id).await?.filter(|row| row.standing.lost_at.is_some())
        else {
            continue;
        };
        db::domains::delete(&transaction, id).await?;
        db::domains::choose_primary(&transaction, row.project_id).await?;
        let change = Change {
            before: json!({ "lost_at": row.standing.lost_at }),
            ..Change::new("domain.remove", row.hostname.as_str())
        };
        audit::record_by_platform(&transaction, row.organization_id, row.project_id, change).await?;
        db::events::publish_domains(&transaction, row.project_id, &[]).await?;
        transaction.commit().await?;
    }
    Ok(())
}
