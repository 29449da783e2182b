//! `/internal/v1`: what builders and edges ask.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use loggia_types::alias::AliasName;
use loggia_types::build::{BuildReport, ClaimRequest, Environment, Heartbeat, HeartbeatAnswer, LogBatch};
use loggia_types::event::{Change, EdgeEvent, POSITION, Told, WITH_POSITIONS};
use loggia_types::hostname::HostnameKind;
use loggia_types::route::{Route, ServeSettings, SurrogateKeys};
use loggia_types::{BuildId, EventPosition, Hostname};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::{Builder, Edge};
use crate::app::App;
use crate::db;
use crate::db::routes::RouteRow;
use crate::domains::routing;
use crate::error::ApiError;
use crate::extract::{Json, Path};
use crate::ops;

const CLAIM_WAIT_MAX: Duration = Duration::from_secs(60);
/// A build that waits for its backoff wakes nobody; look for it at times.
const CLAIM_LOOK_EVERY: Duration = Duration::from_secs(2);
const BUILDER_NAME_LEN_MAX: usize = 100;
const EVENTS_AT_ONCE: i64 = 500;
/// `client::edge` gives a stream up after 30 s of silence.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
/// A lost notification delays an event by this much at most. So often an edge hears where the stream stands, too: what was
/// lost on the way to it is noticed no later.
const EVENTS_LOOK_EVERY: Duration = Duration::from_secs(2);

#[utoipa::path(post, path = "/internal/v1/builds/claim")]
pub(crate) async fn claim(
    _: Builder,
    State(app): State<App>,
    Json(body): Json<ClaimRequest>,
) -> Result<Response, ApiError> {
    if body.builder.is_empty() || body.builder.len() > BUILDER_NAME_LEN_MAX {
        let message = format!("builder is a name of 1 to {BUILDER_NAME_LEN_MAX} bytes");
        return Err(ApiError::unprocessable("invalid_builder", message));
    }
    let deadline = Instant::now() + Duration::from_secs(body.wait_secs).min(CLAIM_WAIT_MAX);
    let mut queued = app.builds.subscribe();
    loop {
        queued.mark_unchanged();
        if let Some(assignment) = ops::builds::claim(&app, &body.builder).await? {
            return Ok(axum::Json(assignment).into_response());
        }
        let look_again = Instant::now() + CLAIM_LOOK_EVERY;
        if look_again.min(deadline) == deadline {
            wait(&app, deadline, &mut queued).await;
            let assignment = ops::builds::claim(&app, &body.builder).await?;
            return Ok(match assignment {
                Some(assignment) => axum::Json(assignment).into_response(),
                None => StatusCode::NO_CONTENT.into_response(),
            });
        }
        wait(&app, look_again, &mut queued).await;
        if app.stop.is_cancelled() {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
}

/// Until something changed, until `deadline`, or until the process stops.
async fn wait(app: &App, deadline: Instant, changed: &mut watch::Receiver<()>) {
    tokio::select! {
        _ = changed.changed() => {}
        () = tokio::time::sleep_until(deadline) => {}
        () = app.stop.cancelled() => {}
    }
}

#[utoipa::path(post, path = "/internal/v1/builds/{id}/heartbeat")]
pub(crate) async fn heartbeat(
    _: Builder,
    State(app): State<App>,
    Path(id): Path<BuildId>,
    Json(body): Json<Heartbeat>,
) -> Result<axum::Json<HeartbeatAnswer>, ApiError> {
    Ok(axum::Json(ops::builds::heartbeat(&app, id, &body).await?))
}

#[utoipa::path(post, path = "/internal/v1/builds/{id}/log")]
pub(crate) async fn log(
    _: Builder,
    State(app): State<App>,
    Path(id): Path<BuildId>,
    Json(body): Json<LogBatch>,
) -> Result<StatusCode, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    ops::builds::require_held(&transaction, id, body.attempt).await?;
    db::log_lines::insert(&transaction, id, ops::builds::attempt(body.attempt), &body.lines).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/internal/v1/builds/{id}/report")]
pub(crate) async fn report(
    _: Builder,
    State(app): State<App>,
    Path(id): Path<BuildId>,
    Json(body): Json<BuildReport>,
) -> Result<StatusCode, ApiError> {
    ops::builds::report(&app, id, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(get, path = "/internal/v1/routes/{hostname}")]
pub(crate) async fn route(
    _: Edge,
    State(app): State<App>,
    Path(hostname): Path<Hostname>,
) -> Result<axum::Json<Route>, ApiError> {
    let client = app.db().await?;
    let kind = app.config.base_domain.classify(&hostname);
    let environment = environment(&kind);
    // The alias that the hostname follows: none for a permanent address.
    let mut alias = Some(AliasName::Production);
    let (mut is_indexable, mut redirect) = (None, None);
    let row = match kind {
        HostnameKind::Production(slug) => {
            db::routes::find_by_alias(&client, &slug, &AliasName::Production).await?
        }
        HostnameKind::Alias(label, slug) => {
            let label = AliasName::Label(label);
            let row = db::routes::find_by_alias(&client, &slug, &label).await?;
            alias = Some(label);
            // A preview that nothing was deployed to is no hostname at all.
            row.filter(|row| row.deployment_id.is_some()).map(never_indexed)
        }
        HostnameKind::Deployment(id, slug) => {
            alias = None;
            db::routes::find_by_deployment(&client, &slug, id).await?.map(never_indexed)
        }
        HostnameKind::Domain => db::routes::find_by_domain(&client, &hostname).await?.map(|row| {
            is_indexable = Some(routing::is_indexable(&row));
            redirect = routing::redirect(&hostname, &row, &app.config.base_domain);
            row.route
        }),
        HostnameKind::Unused => None,
    };
    let row = row.ok_or_else(|| ApiError::not_found(format!("project at {hostname}")))?;
    let is_indexable = is_indexable.unwrap_or(!row.has_domain);
    Ok(axum::Json(Route { redirect, ..answer(hostname, row, environment, is_indexable, alias) }))
}

/// Previews and permanent names stay out of search engines whether or not the project has a domain.
fn never_indexed(row: RouteRow) -> RouteRow {
    RouteRow { has_domain: true, ..row }
}

fn environment(kind: &HostnameKind) -> Environment {
    match kind {
        HostnameKind::Production(_) | HostnameKind::Domain => Environment::Production,
        HostnameKind::Alias(..) | HostnameKind::Deployment(..) | HostnameKind::Unused => Environment::Preview,
    }
}

fn answer(
    hostname: Hostname,
    row: RouteRow,
    environment: Environment,
    indexable: bool,
    alias: Option<AliasName>,
) -> Route {
    Route {
        hostname,
        project_id: row.project_id,
        surrogate_keys: SurrogateKeys::usual(alias),
        slug: row.slug,
        deployment_id: row.deployment_id,
        environment,
        indexable,
        serve: ServeSettings { not_found: row.not_found },
        redirect: None,
        version: row.version,
    }
}

/// Every committed event after the reader's position, in order, for as long as it listens. Each tells which one came before
/// it, and whenever there is none left to send, a reader that asks for it is told up to where it was sent all of them: an event that does
/// not arrive is missed at once.
#[utoipa::path(get, path = "/internal/v1/events")]
pub(crate) async fn events(
    _: Edge,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let with_positions = query.is_some_and(|query| query.split('&').any(|part| part == WITH_POSITIONS));
    let wanted =
        headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let (first, last) = db::events::bounds(&app.db().await?).await?;
    let position = wanted.map(EventPosition).filter(|position| continues(*position, first, last));
    let stream = async_stream::stream! {
        let mut position = match position {
            Some(position) => position,
            None => {
                yield Ok(encode(&Told::Event(EdgeEvent { position: last, after: None, change: Change::Reset })));
                last
            }
        };
        let mut committed = app.events.subscribe();
        loop {
            committed.mark_unchanged();
            // An edge that is cut off knows what to do; one that hangs on a dead stream does not.
            let Ok(client) = app.db().await else { return };
            let Ok(events) = db::events::list_after(&client, position, EVENTS_AT_ONCE).await else { return };
            drop(client);
            let idle = events.is_empty();
            for event in events {
                position = event.position;
                yield Ok(encode(&Told::Event(event)));
            }
            if idle {
                if with_positions {
                    yield Ok(encode(&Told::Position(position)));
                }
                wait(&app, Instant::now() + EVENTS_LOOK_EVERY, &mut committed).await;
            }
            if app.stop.is_cancelled() {
                return;
            }
        }
    };
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_EVERY)))
}

/// Whether everything after `position` can still be told.
fn continues(position: EventPosition, first: EventPosition, last: EventPosition) -> bool {
    position <= last && position.0 + 1 >= first.0
}

fn encode(told: &Told) -> Event {
    match told {
        Told::Event(event) => {
            let data = serde_json::to_string(event).expect("our own shapes have only string keys");
            Event::default().id(event.position.to_string()).data(data)
        }
        Told::Position(position) => Event::default().event(POSITION).data(position.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_continues_only_without_a_gap() {
        let at = EventPosition;
        assert!(continues(at(5), at(3), at(9)));
        assert!(continues(at(9), at(3), at(9)));
        assert!(continues(at(2), at(3), at(9)));
        assert!(!continues(at(1), at(3), at(9)), "3 is the oldest, 2 is gone");
        assert!(!continues(at(10), at(3), at(9)), "a position from another database");
        assert!(continues(at(0), at(0), at(0)));
    }
}
