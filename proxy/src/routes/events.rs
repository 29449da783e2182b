//! The api's event stream, followed for ever.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use loggia_client::{ClientError, EdgeClient};
use loggia_types::EventPosition;
use loggia_types::event::{Change, EdgeEvent, Told};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::gaps::Progress;
use crate::service::EdgeService;

const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);

/// Edges come back within this after an api restart; a fleet of them spreads over it.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// A stream that lasted as long was a good one, whatever ended it.
const GOOD_STREAM_MIN: Duration = Duration::from_secs(60);

/// Why a stream is no longer read.
enum Ended {
    Closed,
    /// Something that it told of did not come.
    Gap,
}

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
        let (before, started) = (position, Instant::now());
        let mut was_connected = false;
        let ended = read(api, edge, &mut position, &mut was_connected).await;
        routes.events_lost();
        // Gaps that follow each other must not become a storm of requests: their pauses grow.
        let is_gap = matches!(ended, Ok(Ended::Gap)) && started.elapsed() < GOOD_STREAM_MIN;
        if was_connected && !is_gap {
            (pause, is_reported) = (RETRY_PAUSE_MIN, false);
        }
        match ended {
            Err(error) if !is_reported => {
                is_reported = true;
                warn!(error = %error, "The event stream of the api is lost, routes are checked every 2 s meanwhile");
            }
            Ok(Ended::Gap) => {
                info!(position = ?position, "An event of the api did not arrive, its stream starts again where it is whole");
                // Also the stream that should have told of it did not: nothing that is held is relied upon.
                position = position.filter(|_| position != before);
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
) -> Result<Ended, ClientError> {
    let mut stream = pin!(api.events(*position).await?);
    *was_connected = true;
    edge.routes.events_connected(position.is_some());
    info!("Following the event stream of the api");
    let mut progress = Progress::from(*position);
    loop {
        let told = match next(&mut stream, progress.overdue_at()).await {
            Next::Told(told) => told?,
            Next::Nothing => return Ok(Ended::Closed),
            Next::Overdue => return Ok(Ended::Gap),
        };
        progress.note(&told, Instant::now());
        *position = progress.complete();
        if let Told::Event(event) = told {
            apply(edge, event).await;
        }
        if progress.is_too_far_ahead() {
            return Ok(Ended::Gap);
        }
    }
}

enum Next {
    Told(Result<Told, ClientError>),
    Nothing,
    Overdue,
}

/// What has arrived already is read first, even when it is late.
async fn next(
    stream: &mut (impl Stream<Item = Result<Told, ClientError>> + Unpin),
    overdue_at: Option<Instant>,
) -> Next {
    let told = match overdue_at {
        None => stream.next().await,
        Some(at) => match tokio::time::timeout_at(at.into(), stream.next()).await {
            Ok(told) => told,
            Err(_) => return Next::Overdue,
        },
    };
    told.map_or(Next::Nothing, Next::Told)
}

async fn apply(edge: &Arc<EdgeService>, event: EdgeEvent) {
    if let Change::Purge { project_id, purge } = &event.change {
        // Whoever purges and then looks finds it done: the events behind it wait.
        Arc::clone(edge).purge(*project_id, purge.clone()).await;
    }
    edge.routes.apply(event).await;
}
