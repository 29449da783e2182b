//! Asking the api: once at a time for a hostname, a bounded number at a time and in a second, never in a storm.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use loggia_client::EdgeClient;
use loggia_types::Hostname;
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::turns::{Cause, Turns};
use super::{Resolution, Shared};
use crate::flights::{Flight, Flights};
use crate::metrics::RouteAnswer;

/// More would only queue inside of the api, whose database has some tens of connections.
const ASKING_MAX: usize = 64;

/// After an error the same hostname is not asked again for this long.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// With [`ASKING_MAX`] calls hanging until their timeout of 3 s, or with thousands of names asked for at once, a visitor
/// in the queue is told so instead.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(3);

/// Hostnames in [`ERROR_PAUSE`]; more than anybody can ask for within it.
const PAUSED_MAX: u64 = 100_000;

#[derive(Clone)]
pub(super) struct Refresher {
    inner: Arc<Inner>,
}

struct Inner {
    api: EdgeClient,
    routes: Arc<Shared>,
    flights: Flights<Hostname, Resolution>,
    permits: Semaphore,
    turns: Turns,
    paused: Cache<Hostname, ()>,
}

impl Refresher {
    pub(super) fn new(api: EdgeClient, routes: Arc<Shared>) -> Self {
        let inner = Inner {
            api,
            routes,
            flights: Flights::default(),
            permits: Semaphore::new(ASKING_MAX),
            turns: Turns::new(),
            paused: Cache::builder().max_capacity(PAUSED_MAX).time_to_live(ERROR_PAUSE).build(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Asks, or joins those who already do, and waits for the answer.
    pub(super) async fn ask(&self, hostname: &Hostname, cause: Cause) -> Resolution {
        match self.flight(hostname, cause) {
            Some(flight) => flight.await,
            None => Resolution::Unavailable,
        }
    }

    /// Asks in the background whether what is served meanwhile is still right.
    pub(super) fn start_check(&self, hostname: &Hostname) {
        drop(self.flight(hostname, Cause::Check));
    }

    /// Asks in the background, because of an event: what is under way may be from before it.
    pub(super) fn start_at_once(&self, hostname: &Hostname) {
        self.inner.paused.invalidate(hostname);
        let running = self.inner.flights.running(hostname);
        let (refresher, hostname) = (self.clone(), hostname.clone());
        match running {
            None => drop(refresher.flight(&hostname, Cause::Event)),
            Some(flight) => drop(tokio::spawn(async move {
                flight.await;
                refresher.inner.paused.invalidate(&hostname);
                drop(refresher.flight(&hostname, Cause::Event));
            })),
        }
    }

    fn flight(&self, hostname: &Hostname, cause: Cause) -> Option<Flight<Resolution>> {
        if let Some(flight) = self.inner.flights.running(hostname) {
            return Some(flight);
        }
        if self.inner.paused.contains_key(hostname) {
            return None;
        }
        let (inner, name) = (Arc::clone(&self.inner), hostname.clone());
        let ask = async move { inner.ask(&name, cause).await };
        Some(self.inner.flights.join(hostname, ask, Resolution::Unavailable))
    }
}

impl Inner {
    async fn ask(&self, hostname: &Hostname, cause: Cause) -> Resolution {
        let turn = async {
            self.turns.wait(cause).await;
            self.permits.acquire().await
        };
        let Ok(Ok(_permit)) = tokio::time::timeout(QUEUE_WAIT_MAX, turn).await else {
            debug!(%hostname, "Too much is asked of the api to ask for {hostname}");
            return Resolution::Unavailable;
        };
        let generation = self.routes.generation.load(Ordering::Acquire);
        let events_seen = self.routes.events_seen.load(Ordering::Acquire);
        let answer = self.api.route(hostname).await;
        self.routes.metrics.route_answer(match &answer {
            Ok(Some(_)) => RouteAnswer::Found,
            Ok(None) => RouteAnswer::Unknown,
            Err(_) => RouteAnswer::Failed,
        });
        match answer {
            Ok(Some(route)) if route.hostname == *hostname => {
                let (resolved, is_invalidated) = self.routes.learn(route, generation).await;
                if is_invalidated {
                    // The api has not caught up with its own event.
                    self.pause(hostname);
                }
                Resolution::Found(resolved)
            }
            Ok(Some(other)) => {
                warn!(%hostname, "Asked for {hostname}, the api answered with the route of {}", other.hostname);
                self.pause(hostname);
                Resolution::Unavailable
            }
            Ok(None) => {
                self.routes.forget(hostname, events_seen).await;
                Resolution::Unknown
            }
            Err(error) => {
                self.pause(hostname);
                warn!(%hostname, error = %error, "The route of {hostname} could not be asked for");
                Resolution::Unavailable
            }
        }
    }

    fn pause(&self, hostname: &Hostname) {
        self.paused.insert(hostname.clone(), ());
    }
}
