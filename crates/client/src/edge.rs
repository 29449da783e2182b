//! The edge's protocol.

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures::{Stream, StreamExt};
use loggia_types::event::{EdgeEvent, POSITION, Told, WITH_POSITIONS};
use loggia_types::route::Route;
use loggia_types::{EventPosition, Hostname};
use reqwest::Method;

use crate::http::{ClientError, Http};

/// A visitor waits for this call: past it a stale answer, or an honest 503, is better.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(3);

/// The api sends a comment every 10 s; three missing ones mean a dead connection.
const STREAM_SILENCE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct EdgeClient {
    http: Http,
}

impl EdgeClient {
    pub fn new(api_url: &str, token: &str) -> Self {
        Self { http: Http::new(api_url, token) }
    }

    /// The route of a hostname; `None` when nobody has it.
    pub async fn route(&self, hostname: &Hostname) -> Result<Option<Route>, ClientError> {
        let request = self.http.request(Method::GET, &format!("/internal/v1/routes/{hostname}"));
        self.http.find(request.timeout(ROUTE_TIMEOUT)).await
    }

    /// Events after `position` (from now on, when `None`), and how far they are told, until the connection ends.
    pub async fn events(
        &self,
        position: Option<EventPosition>,
    ) -> Result<impl Stream<Item = Result<Told, ClientError>> + Send + use<>, ClientError> {
        let mut request = self.http.request(Method::GET, &format!("/internal/v1/events?{WITH_POSITIONS}"));
        if let Some(position) = position {
            request = request.header("last-event-id", position.to_string());
        }
        let response = self.http.send(request.header("accept", "text/event-stream")).await?;
        let http = self.http.clone();
        let pieces = end_when_silent(response.bytes_stream(), http.clone());
        Ok(pieces.eventsource().filter_map(move |event| {
            let decoded = match event {
                Ok(event) if event.data.is_empty() => None,
                Ok(event) if event.event == POSITION => Some(read_position(&event.data)),
                Ok(event) => {
                    let decoded = EdgeEvent::decode(&event.data).map(Told::Event);
                    Some(decoded.ok_or_else(|| unreadable("an event without a position")))
                }
                Err(eventsource_stream::EventStreamError::Transport(error)) => Some(Err(error)),
                Err(error) => Some(Err(unreadable(&error.to_string()))),
            };
            std::future::ready(decoded)
        }))
    }
}

fn read_position(data: &str) -> Result<Told, ClientError> {
    let position = data.parse().map_err(|_| unreadable("a position that is no number"))?;
    Ok(Told::Position(EventPosition(position)))
}

/// Passing over what cannot be read could lose a change: the reader starts again and checks more often meanwhile.
fn unreadable(cause: &str) -> ClientError {
    ClientError::Protocol { url: String::from("/internal/v1/events"), cause: cause.to_owned() }
}

/// Ends the stream with an error when nothing, not even a comment, came for [`STREAM_SILENCE_MAX`].
fn end_when_silent(
    pieces: impl Stream<Item = Result<bytes::Bytes, reqwest::Error>> + Send + 'static,
    http: Http,
) -> impl Stream<Item = Result<bytes::Bytes, ClientError>> + Send {
    futures::stream::unfold(Some(Box::pin(pieces)), move |pieces| {
        let http = http.clone();
        async move {
            let mut pieces = pieces?;
            match tokio::time::timeout(STREAM_SILENCE_MAX, pieces.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
                Ok(Some(Err(error))) => Some((Err(http.unreachable(&error)), None)),
                Err(_) => {
                    let cause = format!("silent for {} s", STREAM_SILENCE_MAX.as_secs());
                    Some((Err(ClientError::Unreachable { url: "/internal/v1/events".into(), cause }), None))
                }
            }
        }
    })
}
