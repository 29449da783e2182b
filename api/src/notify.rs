//! Postgres' LISTEN, turned into wake-ups. What happened is read from the tables: a lost notification
//! costs time, never an event.

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio_postgres::{AsyncMessage, NoTls};
use tokio_util::sync::CancellationToken;

use crate::app::App;

const RECONNECT_AFTER: Duration = Duration::from_millis(500);

/// Listens until `shutdown`, over a connection of its own.
pub(crate) async fn listen(app: App, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let outcome = tokio::select! {
            outcome = follow(&app) => outcome,
            () = shutdown.cancelled() => return,
        };
        if let Err(error) = outcome {
            tracing::warn!("Postgres' notifications are interrupted: {error}");
        }
        tokio::select! {
            () = tokio::time::sleep(RECONNECT_AFTER) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

async fn follow(app: &App) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = app.config.database.connect(NoTls).await?;
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    // The connection makes progress only while its messages are read.
    let listening = client.batch_execute("listen loggia_events; listen loggia_builds; listen loggia_mail");
    tokio::pin!(listening);
    let mut ready = false;
    loop {
        tokio::select! {
            outcome = &mut listening, if !ready => {
                outcome?;
                ready = true;
                // Whatever was committed while nobody listened.
                app.events.send_replace(());
                app.builds.send_replace(());
                app.mails.send_replace(());
            }
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(notification))) => match notification.channel() {
                    "loggia_events" => { app.events.send_replace(()); }
                    "loggia_mail" => { app.mails.send_replace(()); }
                    _ => { app.builds.send_replace(()); }
                },
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
}
