//! One line of the log and one count for each request. Neither tells a path, a query or a body: a path may hold a
//! secret, as that of a deploy hook does. The route and the request's id say what is needed.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::request_id::RequestId;
use tracing::{Instrument, info, info_span};

use crate::app::App;

/// Asked every few seconds by load balancers.
const QUIET: [&str; 2] = ["/healthz", "/readyz"];

pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    let id = id.unwrap_or_default().to_owned();
    let span = info_span!("request", request.id = %id);
    let in_flight = app.metrics.enter();
    let response = next.run(request).instrument(span.clone()).await;
    drop(in_flight);
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    app.metrics.count(&method, &route, status, elapsed);
    if !QUIET.contains(&route.as_str()) {
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| info!(%method, route, status, millis, "{method} {route} {status} in {millis} ms"));
    }
    response
}
