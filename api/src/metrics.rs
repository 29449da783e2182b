//! What the api counts about itself, and what it looks up when somebody asks. Served by [`serve`], on a listener of its
//! own.

use std::fmt;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db;
use crate::error::ApiError;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// From a statement that is prepared to one that is cut off.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            in_flight: Gauge::default(),
        }
    }
}

/// Counts a request as under way until it is dropped.
pub(crate) struct InFlight(Gauge<i64, AtomicI64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// `route` is the pattern of the table, so that there are as many series as routes.
    pub(crate) fn count(&self, method: &Method, route: &str, status: u16, elapsed: Duration) {
        // A method that nobody has is anything a client likes.
        let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let method = if known.contains(method) { method.as_str() } else { "other" };
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { route: route.to_owned() };
        self.durations.get_or_create(&labels).observe(elapsed.as_secs_f64());
    }

    fn text(&self, looked_up: &LookedUp) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("loggia_api");
        registry.register("requests", "Requests answered", self.requests.clone());
        let help = "Time from the head of a request to the head of its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, self.durations.clone());
        registry.register("requests_in_flight", "Requests under way", self.in_flight.clone());
        for (name, help, value) in looked_up.gauges() {
            let gauge = Gauge::<i64>::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        }
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// What stands in the database and the pool.
#[derive(Debug)]
struct LookedUp {
    connections: i64,
    connections_max: i64,
    waiting_for_connection: i64,
    /// `None` while the database does not answer.
    database: Option<db::state::StateRow>,
}

impl LookedUp {
    async fn now(app: &App) -> Self {
        let pool = app.pool.status();
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let database = async { db::state::read(&app.db().await?).await };
        Self {
            connections: count(pool.size),
            connections_max: count(pool.max_size),
            waiting_for_connection: count(pool.waiting),
            database: database.await.ok(),
        }
    }

    fn gauges(&self) -> Vec<(&'static str, &'static str, i64)> {
        let mut gauges = vec![
            ("database_up", "Whether the database answers", i64::from(self.database.is_some())),
            ("database_connections", "Open connections of this process", self.connections),
            ("database_connections_max", "Connections that this process may open", self.connections_max),
            ("database_waiting", "Requests that wait for a connection", self.waiting_for_connection),
        ];
        if let Some(row) = &self.database {
            gauges.extend([
                ("builds_queued", "Builds that wait for a builder", row.builds_queued),
                ("builds_running", "Builds that a builder holds", row.builds_running),
                (
                    "oldest_build_seconds",
                    "How long the first build of the queue waits",
                    row.oldest_build_secs,
                ),
                ("mails_waiting", "Mails that are not sent yet", row.mails_waiting),
                ("oldest_mail_seconds", "How long the first of them waits", row.oldest_mail_secs),
                ("event_position", "Where the event stream stands", row.event_position),
            ]);
        }
        gauges
    }
}

/// `GET /metrics` on the listener for operators, until `shutdown`.
pub(crate) async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let router = Router::new().route("/metrics", get(exposition)).with_state(app);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
        .context("serving the api's metrics")
}

async fn exposition(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let looked_up = LookedUp::now(&app).await;
    let text = app.metrics.text(&looked_up).map_err(ApiError::internal)?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text))
}
