//! A scripted api: routes in a map, events on command, and it can hang or be gone.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::stream;
use loggia_types::EventPosition;
use loggia_types::event::{Change, EdgeEvent, POSITION, Told};
use loggia_types::route::Route;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;

/// As the real one does.
const TELLS_POSITION_EVERY: Duration = Duration::from_secs(2);

/// Where the events begin.
const POSITION_AT_FIRST: u64 = 100;

pub struct FakeApi {
    addr: SocketAddr,
    script: Arc<Script>,
    /// Its own, so that it can die with all of its connections.
    runtime: Option<Runtime>,
}

struct Script {
    routes: Mutex<HashMap<String, Route>>,
    /// Every event that there was, also those that no stream carried.
    log: Mutex<Vec<EdgeEvent>>,
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
            log: Mutex::default(),
            events: broadcast::channel(1000).0,
            position: AtomicU64::new(POSITION_AT_FIRST),
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
        let end = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
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
        self.deliver(&self.lose(change));
    }

    /// It happened, and the streams that are open do not carry it.
    pub fn lose(&self, change: Change) -> EdgeEvent {
        let position = EventPosition(self.script.position.load(Ordering::SeqCst));
        let mut log = self.script.log.lock().unwrap();
        let before = log.last().map_or(EventPosition(POSITION_AT_FIRST), |event| event.position);
        let event = EdgeEvent { position, after: Some(before), change };
        log.push(event.clone());
        event
    }

    /// Lets the streams that are open carry an event, whatever they carried before.
    pub fn deliver(&self, event: &EdgeEvent) {
        let _ = self.script.events.send(event.clone());
    }

    pub fn next_position(&self) -> u64 {
        self.script.position.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// How often somebody began to follow the events.
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

async fn follow(State(script): State<Arc<Script>>, headers: HeaderMap) -> Response {
    if script.refuses_events.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let begin = headers.get("last-event-id").map(|id| EventPosition(id.to_str().unwrap().parse().unwrap()));
    let following = Following::start(script, begin);
    following.script.followers.fetch_add(1, Ordering::SeqCst);
    Sse::new(stream::unfold(following, Following::next)).into_response()
}

struct Following {
    script: Arc<Script>,
    position: EventPosition,
    /// What there was before it began to listen.
    first: VecDeque<EdgeEvent>,
    events: broadcast::Receiver<EdgeEvent>,
}

impl Following {
    fn start(script: Arc<Script>, begin: Option<EventPosition>) -> Self {
        let events = script.events.subscribe();
        let now = EventPosition(script.position.load(Ordering::SeqCst));
        let reset = EdgeEvent { position: now, after: None, change: Change::Reset };
        let first = match begin {
            None => VecDeque::from([reset]),
            Some(begin) => {
                script.log.lock().unwrap().iter().filter(|event| event.position > begin).cloned().collect()
            }
        };
        Self { script, position: begin.unwrap_or(now), first, events }
    }

    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let event = match self.first.pop_front() {
            Some(event) => Ok(event),
            None => match tokio::time::timeout(TELLS_POSITION_EVERY, self.events.recv()).await {
                Ok(event) => Ok(event.ok()?),
                Err(elapsed) => Err(elapsed),
            },
        };
        let told = match event {
            Ok(event) => Told::Event(event),
            Err(_) => {
                let last = self.script.log.lock().unwrap().last().map(|event| event.position);
                self.position = self.position.max(last.unwrap_or_default());
                Told::Position(self.position)
            }
        };
        Some((Ok(encode(&told)), self))
    }
}

fn encode(told: &Told) -> Event {
    match told {
        Told::Event(event) => Event::default().id(event.position.to_string()).json_data(event).unwrap(),
        Told::Position(position) => Event::default().event(POSITION).data(position.to_string()),
    }
}
