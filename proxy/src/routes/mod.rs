//! Hostname to route: asked of the api, remembered for as long as it takes.
//!
//! Serving must not need the api. So a route is kept until there is a newer one, also across a restart
//! ([`journal`]), and is only ever *checked* again: after five minutes, after two seconds while the event
//! stream is cut, and first thing when an event says that it changed ([`events`]).
//!
//! A route is in one of three states. *Fresh*: served. *Expired*: served, and checked in the background.
//! *Invalidated* by an event: checked first, for a second at most; then the old answer is the better one.

pub(crate) mod events;
mod held;
pub(crate) mod journal;
mod refresh;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loggia_client::EdgeClient;
use loggia_types::event::{Change, EdgeEvent};
use loggia_types::route::Route;
use loggia_types::{EventPosition, Hostname};
use moka::future::Cache;

use self::held::Held;
use self::journal::Journal;
use self::refresh::Refresher;
use crate::metrics::{Metrics, Resolved};

/// Events tell of every change; this only bounds the damage of one that was lost.
const FRESH_WITH_EVENTS: Duration = Duration::from_secs(5 * 60);

/// Without events, this is how late a promote may be seen.
const FRESH_WITHOUT_EVENTS: Duration = Duration::from_secs(2);

/// «Nobody has this name» is asked again after this, should the event that says otherwise be lost.
const UNKNOWN_TTL: Duration = Duration::from_secs(10);

/// 100,000 names of 253 bytes are 25 MB: a flood of made-up names cannot push out routes, which are apart.
const UNKNOWN_MAX: u64 = 100_000;

/// A route with its keys is about 500 bytes: half a gigabyte when full.
pub(crate) const ROUTES_MAX: u64 = 1_000_000;

/// How long a visitor waits for a route that an event invalidated before the old one is served.
const INVALIDATED_WAIT_MAX: Duration = Duration::from_secs(1);

/// The answer for a hostname.
#[derive(Debug, Clone)]
pub(crate) enum Resolution {
    Found(Arc<Route>),
    /// The api says that nobody has it.
    Unknown,
    /// The api does not answer, and we never heard of it.
    Unavailable,
}

/// A route as we last saw it.
#[derive(Debug, Clone)]
struct Known {
    route: Arc<Route>,
    /// `None`: read from the journal.
    checked: Option<Checked>,
}

#[derive(Debug, Clone, Copy)]
struct Checked {
    at: Instant,
    /// The generation in which it was asked for.
    generation: u64,
    /// Between 0.8 and 1: routes that were learned together are not checked together.
    jitter: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Fresh,
    Expired,
    Invalidated,
}

impl Freshness {
    fn label(self) -> Resolved {
        match self {
            Self::Fresh => Resolved::Fresh,
            Self::Expired => Resolved::Expired,
            Self::Invalidated => Resolved::Invalidated,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Routes {
    shared: Arc<Shared>,
    refresher: Refresher,
}

struct Shared {
    held: Held,
    unknown: Cache<Hostname, ()>,
    journal: Journal,
    metrics: Arc<Metrics>,
    /// Rises when everything known may be stale.
    generation: AtomicU64,
    events_connected: AtomicBool,
    /// Counts events, to tell whether one came while the api was asked.
    events_seen: AtomicU64,
}

impl Routes {
    /// Starts with the routes that the journal kept.
    pub(crate) async fn new(
        api: EdgeClient,
        journal: Journal,
        kept: Vec<Route>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let shared = Arc::new(Shared {
            held: Held::new(ROUTES_MAX),
            unknown: Cache::builder().max_capacity(UNKNOWN_MAX).time_to_live(UNKNOWN_TTL).build(),
            journal,
            metrics,
            generation: AtomicU64::new(0),
            events_connected: AtomicBool::new(false),
            events_seen: AtomicU64::new(0),
        });
        for route in kept {
            shared.held.put(Known { route: Arc::new(route), checked: None }).await;
        }
        let refresher = Refresher::new(api, Arc::clone(&shared));
        Self { shared, refresher }
    }

    pub(crate) async fn resolve(&self, hostname: &Hostname) -> Resolution {
        let Some(known) = self.shared.held.get(hostname).await else {
            if self.shared.unknown.contains_key(hostname) {
                self.shared.metrics.resolved(Resolved::Unknown);
                return Resolution::Unknown;
            }
            self.shared.metrics.resolved(Resolved::Miss);
            return self.refresher.ask(hostname).await;
        };
        let freshness = self.shared.freshness(&known);
        self.shared.metrics.resolved(freshness.label());
        match freshness {
            Freshness::Fresh => Resolution::Found(known.route),
            Freshness::Expired => {
                self.refresher.start(hostname);
                Resolution::Found(known.route)
            }
            Freshness::Invalidated => {
                let asked = tokio::time::timeout(INVALIDATED_WAIT_MAX, self.refresher.ask(hostname)).await;
                match asked {
                    Ok(Resolution::Unavailable) | Err(_) => Resolution::Found(known.route),
                    Ok(answer) => answer,
                }
            }
        }
    }

    /// Routes in memory.
    pub(crate) async fn count(&self) -> u64 {
        self.shared.held.count().await
    }

    /// Changes that a restart would not know of.
    pub(crate) fn unsaved(&self) -> u64 {
        self.shared.journal.errors()
    }

    /// Changes are another process' to keep from here on.
    pub(crate) fn hand_over_journal(&self) {
        self.shared.journal.hand_over();
    }

    /// Acts on an event of the api.
    pub(crate) async fn apply(&self, event: EdgeEvent) {
        self.shared.events_seen.fetch_add(1, Ordering::AcqRel);
        self.shared.metrics.event(event.position);
        match event.change {
            Change::Reset => self.shared.expire_everything(),
            Change::Routes { project_id, hostnames } => {
                for hostname in &hostnames {
                    self.shared.unknown.invalidate(hostname).await;
                }
                for hostname in self.shared.held.invalidate(project_id, event.position) {
                    self.refresher.start_at_once(&hostname);
                }
            }
        }
    }

    /// The stream is there. `continued` tells whether it goes on where the last one ended.
    fn events_connected(&self, continued: bool) {
        if !continued {
            self.shared.expire_everything();
        }
        self.shared.events_connected.store(true, Ordering::Release);
        self.shared.metrics.events_connected();
    }

    fn events_lost(&self) {
        self.shared.events_connected.store(false, Ordering::Release);
        self.shared.metrics.events_lost();
    }
}

impl Shared {
    fn expire_everything(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn freshness(&self, known: &Known) -> Freshness {
        if self.held.is_invalidated(&known.route) {
            return Freshness::Invalidated;
        }
        let max_age = match self.events_connected.load(Ordering::Acquire) {
            true => FRESH_WITH_EVENTS,
            false => FRESH_WITHOUT_EVENTS,
        };
        match known.checked {
            Some(checked)
                if checked.generation == self.generation.load(Ordering::Acquire)
                    && checked.at.elapsed() < max_age.mul_f64(checked.jitter) =>
            {
                Freshness::Fresh
            }
            _ => Freshness::Expired,
        }
    }

    /// Takes over an answer of the api, unless it is older than what we have.
    async fn learn(&self, route: Route, generation: u64) -> Arc<Route> {
        let checked = Checked { at: Instant::now(), generation, jitter: 0.8 + rand::random::<f64>() * 0.2 };
        let before = self.held.get(&route.hostname).await;
        if let Some(newer) = before.as_ref().filter(|known| known.route.version > route.version) {
            return Arc::clone(&newer.route);
        }
        let route = Arc::new(route);
        if before.is_none_or(|known| !is_same(&known.route, &route)) {
            self.journal.keep(&route);
        }
        self.unknown.invalidate(&route.hostname).await;
        self.held.put(Known { route: Arc::clone(&route), checked: Some(checked) }).await;
        route
    }

    /// The api says that nobody has this name (any more).
    async fn forget(&self, hostname: &Hostname, events_seen: u64) {
        if let Some(known) = self.held.remove(hostname).await {
            self.journal.forget(&known.route);
        }
        // An event meanwhile may have been the one that created it.
        if self.events_seen.load(Ordering::Acquire) == events_seen {
            self.unknown.insert(hostname.clone(), ()).await;
        }
    }
}

/// Equal but for the position at which it was read, which moves with every event of anyone.
fn is_same(a: &Route, b: &Route) -> bool {
    let at = |route: &Route| Route { version: EventPosition::default(), ..route.clone() };
    at(a) == at(b)
}
