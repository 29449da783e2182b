//! The api's half of serving: routes that it was told, and a stream of events on which nothing happens.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use futures::{Stream, StreamExt, stream};
use loggia_types::route::Route;

/// As the real api does, so that the edge does not take the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

type Routes = Arc<Mutex<HashMap<String, Route>>>;

pub(super) fn router() -> Router {
    Router::new()
        .route("/internal/v1/routes/{hostname}", get(find_route))
        .route("/internal/v1/events", get(follow))
        .route("/routes/{hostname}", put(set_route))
        .with_state(Routes::default())
}

async fn find_route(State(routes): State<Routes>, Path(hostname): Path<String>) -> Response {
    let route = routes.lock().unwrap_or_else(PoisonError::into_inner).get(&hostname).cloned();
    route.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |route| Json(route).into_response())
}

async fn set_route(State(routes): State<Routes>, Path(hostname): Path<String>, Json(route): Json<Route>) {
    routes.lock().unwrap_or_else(PoisonError::into_inner).insert(hostname, route);
}

async fn follow() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = stream::once(async { Ok(Event::default().comment("following")) });
    Sse::new(first.chain(stream::pending())).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}
