//! The listener for operators: metrics and health. On loopback by default, for it asks nobody who they are.
//!
//! `GET /metrics`, `GET /healthz` (the process answers), `GET /readyz` ([`ready`]). Nothing can be changed here.

mod ready;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::ready::{Facts, Readiness, judge};
use crate::metrics::exposition::{self, Gauges};
use crate::service::EdgeService;

/// A few collectors and a person. More wait in the kernel.
const CONNECTIONS_MAX: usize = 32;

const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// One request each: it is answered from memory.
const CONNECTION_MAX: Duration = Duration::from_secs(10);

const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Out of file descriptors, usually.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is looked at when somebody asks.
#[derive(Clone)]
pub(crate) struct Admin {
    pub edge: Arc<EdgeService>,
    /// Cancelled when the edge begins to drain.
    pub stopping: CancellationToken,
}

/// Answers for ever: also while the edge drains, which is when a load balancer wants to know.
pub(crate) async fn serve(listener: TcpListener, admin: Admin) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let admin = admin.clone();
                tokio::spawn(async move {
                    let _place = place;
                    admin.serve(stream).await;
                });
            }
            Err(error) => {
                debug!(%error, "The admin listener cannot accept connections: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Admin {
    async fn serve(self, stream: TcpStream) {
        let service = service_fn(|request: Request<Incoming>| {
            let admin = self.clone();
            async move { Ok::<_, Infallible>(admin.answer(request.method(), request.uri().path()).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_MAX, connection).await {
            debug!(%error, "A connection of the admin listener failed: {error}");
        }
    }

    async fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        const TEXT: &str = "text/plain; charset=utf-8";
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/healthz") => answer(StatusCode::OK, TEXT, "ok\n"),
            (&Method::GET | &Method::HEAD, "/readyz") => {
                let readiness = self.readiness(self.edge.routes.count());
                let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                let json = serde_json::to_vec(&readiness).unwrap_or_default();
                answer(status, "application/json", json)
            }
            (&Method::GET | &Method::HEAD, "/metrics") => {
                match exposition::text(&self.edge.observer.metrics, self.gauges().await) {
                    Ok(text) => answer(StatusCode::OK, exposition::CONTENT_TYPE, text),
                    Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
                }
            }
            _ => answer(StatusCode::NOT_FOUND, TEXT, "here are /metrics, /healthz and /readyz\n"),
        }
    }

    async fn gauges(&self) -> Gauges {
        let routes = self.edge.routes.count();
        let (manifests, manifests_bytes) = self.edge.manifests.size();
        let (bodies, bodies_bytes) = self.edge.bodies.size();
        let (answers, answers_bytes) = self.edge.answers.size();
        Gauges {
            routes,
            routes_unsaved: self.edge.routes.unsaved(),
            manifests,
            manifests_bytes,
            bodies,
            bodies_bytes,
            bodies_bytes_max: self.edge.bodies.bytes_max(),
            answers,
            answers_bytes,
            is_ready: self.readiness(routes).ready,
        }
    }

    fn readiness(&self, routes: u64) -> Readiness {
        let metrics = &self.edge.observer.metrics;
        judge(Facts {
            is_stopping: self.stopping.is_cancelled(),
            routes,
            was_api_heard: metrics.was_api_heard(),
            api_silent_for: metrics.api_silent_for(),
            store_failures: metrics.store_failures(),
        })
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
