//! Between an edge and the real api: routes pass as they are, events pass as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::{StreamExt as _, stream};
use loggia_client::EdgeClient;
use loggia_types::EventPosition;
use loggia_types::event::{EdgeEvent, POSITION, Told};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::process::free_addr;

const KEEP_ALIVE: Duration = Duration::from_secs(5);
const DELAY: Duration = Duration::from_secs(1);

/// More events than are under way at one time.
const UNDER_WAY_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    Delayed,
    Doubled,
    /// Each second one comes before the first.
    Reordered,
    /// The stream ends, and there is no new one.
    Cut,
    /// Out of a stream that goes on, together with all that would tell of it.
    Dropped,
}

impl Trouble {
    pub(super) const ALL: [Self; 5] =
        [Self::Delayed, Self::Doubled, Self::Reordered, Self::Cut, Self::Dropped];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::None => "passed on",
            Self::Delayed => "delayed by a second each",
            Self::Doubled => "doubled",
            Self::Reordered => "reordered in pairs",
            Self::Cut => "cut off: the stream ends",
            Self::Dropped => "dropped out of a stream that goes on",
        }
    }
}

#[derive(Debug)]
pub(super) struct Messenger {
    pub addr: SocketAddr,
    trouble: watch::Sender<Trouble>,
    _serving: JoinSet<()>,
}

#[derive(Clone)]
struct Shared {
    api: SocketAddr,
    trouble: watch::Receiver<Trouble>,
    client: reqwest::Client,
}

impl Messenger {
    pub(super) async fn start(api: SocketAddr) -> anyhow::Result<Self> {
        let addr = free_addr()?;
        let (trouble, receiver) = watch::channel(Trouble::None);
        let shared = Shared { api, trouble: receiver, client: reqwest::Client::new() };
        let router = Router::new()
            .route("/internal/v1/routes/{hostname}", get(pass_route))
            .route("/internal/v1/events", get(pass_events))
            .with_state(shared);
        let listener = TcpListener::bind(addr).await?;
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { addr, trouble, _serving: serving })
    }

    pub(super) fn set(&self, trouble: Trouble) {
        self.trouble.send_replace(trouble);
    }
}

async fn pass_route(
    State(shared): State<Shared>,
    Path(hostname): Path<String>,
    headers: HeaderMap,
) -> Response {
    let url = format!("http://{}/internal/v1/routes/{hostname}", shared.api);
    let asked = async {
        let token = headers.get(AUTHORIZATION).context("no token")?;
        let answer = shared.client.get(url).header(AUTHORIZATION, token).send().await?;
        anyhow::Ok((answer.status(), answer.bytes().await?))
    };
    match asked.await {
        Ok((status, body)) => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

async fn pass_events(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if *shared.trouble.borrow() == Trouble::Cut {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = text("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let position = text("last-event-id").and_then(|id| id.parse().ok()).map(EventPosition);
    let api = EdgeClient::new(&format!("http://{}", shared.api), token);
    let (sender, receiver) = mpsc::channel(UNDER_WAY_MAX);
    // It ends with the connection of the edge, which takes nothing more.
    tokio::spawn(carry(api, position, shared.trouble, sender));
    let events = stream::unfold(receiver, |mut receiver| async {
        let told = receiver.recv().await?;
        Some((Ok::<_, Infallible>(encode(&told)), receiver))
    });
    let first = stream::once(async { Ok(Event::default().comment("following")) });
    Sse::new(first.chain(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// As the api does.
fn encode(told: &Told) -> Event {
    match told {
        Told::Event(event) => {
            let data = serde_json::to_string(event).unwrap_or_default();
            Event::default().id(event.position.to_string()).data(data)
        }
        Told::Position(position) => Event::default().event(POSITION).data(position.to_string()),
    }
}

/// Ends when either side has gone, or when the stream is to be cut.
async fn carry(
    api: EdgeClient,
    position: Option<EventPosition>,
    mut trouble: watch::Receiver<Trouble>,
    sender: mpsc::Sender<Told>,
) {
    let Ok(events) = api.events(position).await else { return };
    let mut events = pin!(events);
    let mut kept_back: Option<EdgeEvent> = None;
    loop {
        let told = tokio::select! {
            told = events.next() => told,
            changed = trouble.changed() => {
                let is_cut = changed.is_err() || *trouble.borrow_and_update() == Trouble::Cut;
                if let Some(event) = kept_back.take() {
                    let _ = sender.send(Told::Event(event)).await;
                }
                if is_cut { return } else { continue }
            }
            () = sender.closed() => return,
        };
        let Some(Ok(told)) = told else { return };
        let now = *trouble.borrow();
        let event = match told {
            Told::Event(event) => event,
            Told::Position(_) if now == Trouble::Dropped => continue,
            Told::Position(_) => match sender.send(told).await {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let passed_on: Vec<EdgeEvent> = match now {
            Trouble::None => vec![event],
            Trouble::Doubled => vec![event.clone(), event],
            Trouble::Reordered => match kept_back.take() {
                None => {
                    kept_back = Some(event);
                    Vec::new()
                }
                Some(before) => vec![event, before],
            },
            Trouble::Delayed => {
                sleep(DELAY).await;
                vec![event]
            }
            Trouble::Dropped => Vec::new(),
            Trouble::Cut => return,
        };
        for event in passed_on {
            if sender.send(Told::Event(event)).await.is_err() {
                return;
            }
        }
    }
}
