//! The api's event stream, followed for ever.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use loggia_client::{ClientError, EdgeClient};
use loggia_types::EventPosition;
use loggia_types::event::Change;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::service::EdgeService;

const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);

/// Edges come back within this after an api restart; a fleet of them spreads over it.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Applies events to the edge until `stop`. While there is no stream, routes are checked more often.
pub(crate) async fn follow(api: EdgeClient, edge: Arc<EdgeService>, stop: CancellationToken) {
    stop.run_until_cancelled(reconnect_for_ever(&api, &edge)).await;
}

async fn reconnect_for_ever(api: &EdgeClient, edge: &Arc<EdgeService>) {
    let routes = &edge.routes;
    let mut position = None;
    let mut pause = RETRY_PAUSE_MIN;
    let mut is_reported = false;
    loop {
        let mut was_connected = false;
        let ended = read(api, edge, &mut position, &mut was_connected).await;
        routes.events_lost();
        if was_connected {
            (pause, is_reported) = (RETRY_PAUSE_MIN, false);
        }
        match ended {
            Err(error) if !is_reported => {
                is_reported = true;
                warn!(error = %error, "The event stream of the api is lost, routes are checked every 2 s meanwhile");
            }
            _ => debug!("The event stream of the api ended"),
        }
        tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>() * 0.5)).await;
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
    }
}

async fn read(
    api: &EdgeClient,
    edge: &Arc<EdgeService>,
    position: &mut Option<EventPosition>,
    was_connected: &mut bool,
) -> Result<(), ClientError> {
    let mut events = pin!(api.events(*position).await?);
    *was_connected = true;
    edge.routes.events_connected(position.is_some());
    info!("Following the event stream of the api");
    while let Some(event) = events.next().await {
        let event = event?;
        *position = Some(event.position);
        if let Change::Purge { project_id, purge } = &event.change {
            // Whoever purges and then looks finds it done: the events behind it wait.
            Arc::clone(edge).purge(*project_id, purge.clone()).await;
        }
        edge.routes.apply(event).await;
    }
    Ok(())
}
