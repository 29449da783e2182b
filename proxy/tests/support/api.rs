//! A scripted api: routes in a map, events on command, and it can hang or be gone.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::{Stream, stream};
use loggia_types::EventPosition;
use loggia_types::event::{Change, EdgeEvent};
use loggia_types::route::Route;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;

pub struct FakeApi {
    addr: SocketAddr,
    script: Arc<Script>,
    /// Its own, so that it can die with all of its connections.
    runtime: Option<Runtime>,
}

struct Script {
    routes: Mutex<HashMap<String, Route>>,
    events: broadcast::Sender<EdgeEvent>,
    position: AtomicU64,
    followers: AtomicUsize,
    questions: AtomicUsize,
    is_hanging: AtomicBool,
    refuses_events: AtomicBool,
}

impl FakeApi {
    pub fn start() -> Self {
        let script = Script {
            routes: Mutex::default(),
            events: broadcast::channel(1000).0,
            position: AtomicU64::new(100),
            followers: AtomicUsize::new(0),
            questions: AtomicUsize::new(0),
            is_hanging: AtomicBool::new(false),
            refuses_events: AtomicBool::new(false),
        };
        let mut api = Self { addr: ([127, 0, 0, 1], 0).into(), script: Arc::new(script), runtime: None };
        api.resume();
        api
    }

    /// Dies like a killed process: connections end, the port refuses.
    pub fn kill(&mut self) {
        let runtime = self.runtime.take().unwrap();
        // A thread of its own, since a runtime must not be waited for inside of another.
        let end = std::thread::spawn(move || runtime.shutdown_timeout(std::time::Duration::from_secs(5)));
        end.join().unwrap();
        self.script.followers.store(0, Ordering::SeqCst);
    }

    /// Comes back at the same address.
    pub fn resume(&mut self) {
        let runtime = Runtime::new().unwrap();
        let listener = std::net::TcpListener::bind(self.addr).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.addr = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/internal/v1/routes/{hostname}", get(find_route))
            .route("/internal/v1/events", get(follow))
            .with_state(Arc::clone(&self.script));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        self.runtime = Some(runtime);
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn set_route(&self, route: Route) {
        self.script.routes.lock().unwrap().insert(route.hostname.to_string(), route);
    }

    pub fn remove_route(&self, hostname: &str) {
        self.script.routes.lock().unwrap().remove(hostname);
    }

    pub fn emit(&self, change: Change) {
        let position = EventPosition(self.script.position.load(Ordering::SeqCst));
        let _ = self.script.events.send(EdgeEvent { position, change });
    }

    pub fn next_position(&self) -> u64 {
        self.script.position.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Edges that follow the events.
    pub fn followers(&self) -> usize {
        self.script.followers.load(Ordering::SeqCst)
    }

    /// How often a route was asked for.
    pub fn questions(&self) -> usize {
        self.script.questions.load(Ordering::SeqCst)
    }

    /// Takes questions and never answers.
    pub fn hang(&self, is_hanging: bool) {
        self.script.is_hanging.store(is_hanging, Ordering::SeqCst);
    }

    pub fn refuse_events(&self, refuses: bool) {
        self.script.refuses_events.store(refuses, Ordering::SeqCst);
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn find_route(State(script): State<Arc<Script>>, Path(hostname): Path<String>) -> Response {
    script.questions.fetch_add(1, Ordering::SeqCst);
    if script.is_hanging.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let route = script.routes.lock().unwrap().get(&hostname).cloned();
    match route {
        Some(route) => Json(route).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn follow(State(script): State<Arc<Script>>) -> Response {
    if script.refuses_events.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let events = script.events.subscribe();
    script.followers.fetch_add(1, Ordering::SeqCst);
    Sse::new(as_sse(events)).into_response()
}

fn as_sse(events: broadcast::Receiver<EdgeEvent>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((events, true), |(mut events, is_first)| async move {
        if is_first {
            return Some((Ok(Event::default().comment("following")), (events, false)));
        }
        let event = events.recv().await.ok()?;
        let sse = Event::default().id(event.position.to_string()).json_data(&event).unwrap();
        Some((Ok(sse), (events, false)))
    })
}
