//! Hostname to route: asked of the api, remembered for as long as it takes.
//!
//! Serving must not need the api. So a route is kept until there is a newer one, also across a restart
//! ([`journal`]), and is only ever *checked* again: after five minutes, after two seconds while the event
//! stream is cut, and first thing when an event says that it changed ([`events`]).
//!
//! A route is in one of three states. *Fresh*: served. *Expired*: served, and checked in the background.
//! *Invalidated* by an event: checked first, for a second at most; then the old answer is the better one.

mod checked;
pub(crate) mod events;
mod gaps;
mod held;
pub(crate) mod journal;
mod refresh;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loggia_client::EdgeClient;
use loggia_types::event::{Change, EdgeEvent};
use loggia_types::route::Route;
use loggia_types::{EventPosition, Hostname, ProjectId};
use moka::future::Cache;

use self::checked::Checked;
pub(crate) use self::held::Slot;
use self::held::{Held, Known, Seen};
use self::journal::Journal;
use self::refresh::Refresher;
use self::turns::Cause;
use crate::answers::Audience;
use crate::metrics::{self, Metrics};

/// Events tell of every change; this only bounds the damage of one that was lost.
const FRESH_WITH_EVENTS: Duration = Duration::from_secs(5 * 60);

/// Without events, this is how late a promote may be seen.
const FRESH_WITHOUT_EVENTS: Duration = Duration::from_secs(2);

/// «Nobody has this name» is asked again after this, should the event that says otherwise be lost.
const UNKNOWN_TTL: Duration = Duration::from_secs(10);

/// 100,000 names of 253 bytes are 25 MB: a flood of made-up names cannot push out routes, which are apart.
const UNKNOWN_MAX: u64 = 100_000;

/// A route takes some 380 bytes (`make bench` measures it): 380 MB when full.
pub(crate) const ROUTES_MAX: usize = 1_000_000;

/// How long a visitor waits for a route that an event invalidated before the old one is served.
const INVALIDATED_WAIT_MAX: Duration = Duration::from_secs(1);

/// The answer for a hostname.
#[derive(Debug, Clone)]
pub(crate) enum Resolution {
    Found(Resolved),
    /// The api says that nobody has it.
    Unknown,
    /// The api does not answer, and we never heard of it.
    Unavailable,
}

/// A route, and the place to look for its successor.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub route: Arc<Route>,
    pub slot: Arc<Slot>,
    /// The api said so a short while ago, so that others may rely on it for longer.
    pub is_confirmed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Fresh,
    Expired,
    Invalidated,
}

impl Freshness {
    fn label(self) -> metrics::Resolved {
        match self {
            Self::Fresh => metrics::Resolved::Fresh,
            Self::Expired => metrics::Resolved::Expired,
            Self::Invalidated => metrics::Resolved::Invalidated,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Routes {
    shared: Arc<Shared>,
    refresher: Refresher,
}

struct Shared {
    started: Instant,
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
            started: Instant::now(),
            held: Held::new(ROUTES_MAX),
            unknown: Cache::builder().max_capacity(UNKNOWN_MAX).time_to_live(UNKNOWN_TTL).build(),
            journal,
            metrics,
            generation: AtomicU64::new(0),
            events_connected: AtomicBool::new(false),
            events_seen: AtomicU64::new(0),
        });
        for route in kept {
            let seen = Seen { version: route.version, checked: None };
            shared.held.put(Known { route: Arc::new(route), seen });
        }
        let refresher = Refresher::new(api, Arc::clone(&shared));
        Self { shared, refresher }
    }

    pub(crate) async fn resolve(&self, hostname: &Hostname) -> Resolution {
        let Some((slot, known)) = self.shared.held.get(hostname) else {
            if self.shared.unknown.contains_key(hostname) {
                self.shared.metrics.resolved(metrics::Resolved::Unknown);
                return Resolution::Unknown;
            }
            self.shared.metrics.resolved(metrics::Resolved::Miss);
            return self.refresher.ask(hostname, Cause::Visitor).await;
        };
        let freshness = self.shared.freshness(&slot, known.seen, Instant::now());
        self.shared.metrics.resolved(freshness.label());
        let is_confirmed = freshness == Freshness::Fresh;
        let held = Resolution::Found(Resolved { route: known.route, slot, is_confirmed });
        match freshness {
            Freshness::Fresh => held,
            Freshness::Expired => {
                self.refresher.start_check(hostname);
                held
            }
            Freshness::Invalidated => {
                let asking = self.refresher.ask(hostname, Cause::Event);
                match tokio::time::timeout(INVALIDATED_WAIT_MAX, asking).await {
                    Ok(Resolution::Unavailable) | Err(_) => held,
                    Ok(answer) => answer,
                }
            }
        }
    }

    /// Whether the route is still what [`Routes::resolve`] would serve at once, so that an answer which was made by it is
    /// right. It waits for nothing and looks nothing up. A CDN only gets what is confirmed.
    pub(crate) fn is_current(&self, resolved: &Resolved, audience: Audience, now: Instant) -> bool {
        let Some(seen) = resolved.slot.seen_of(&resolved.route) else { return false };
        let freshness = self.shared.freshness(&resolved.slot, seen, now);
        match freshness {
            Freshness::Fresh => {}
            Freshness::Expired if audience == Audience::Public => {
                self.refresher.start_check(&resolved.route.hostname);
            }
            Freshness::Expired | Freshness::Invalidated => return false,
        }
        self.shared.metrics.resolved(freshness.label());
        true
    }

    /// The routes of a project that are in memory.
    pub(crate) fn of_project(&self, project_id: ProjectId) -> Vec<Arc<Route>> {
        self.shared.held.of_project(project_id)
    }

    /// Routes in memory.
    pub(crate) fn count(&self) -> u64 {
        self.shared.held.count()
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
            // No part of a purge.
            Change::Purge { .. } => {}
            Change::Routes { project_id, hostnames, wildcards } => {
                for hostname in &hostnames {
                    self.shared.unknown.invalidate(hostname).await;
                }
                if !wildcards.is_empty() {
                    // Which of them are below it is not worth an index: they are asked for once more.
                    self.shared.unknown.invalidate_all();
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

    fn freshness(&self, slot: &Slot, seen: Seen, now: Instant) -> Freshness {
        if slot.is_invalidated(seen) {
            return Freshness::Invalidated;
        }
        let Some(checked) = seen.checked else { return Freshness::Expired };
        let max_age = match self.events_connected.load(Ordering::Acquire) {
            true => FRESH_WITH_EVENTS,
            false => FRESH_WITHOUT_EVENTS,
        };
        let generation = self.generation.load(Ordering::Acquire);
        match checked.is_fresh(generation, self.started, now, max_age) {
            true => Freshness::Fresh,
            false => Freshness::Expired,
        }
    }

    /// Takes over an answer of the api, unless it is older than what we have. Tells also whether it is older than an
    /// event that we know of.
    async fn learn(&self, route: Route, generation: u64) -> (Resolved, IsInvalidated) {
        let checked = Checked::new(generation, self.started, Instant::now());
        let seen = Seen { version: route.version, checked: Some(checked) };
        let route = match self.held.get(&route.hostname) {
            Some((slot, Known { route, seen: newer })) if newer.version > seen.version => {
                let is_invalidated = slot.is_invalidated(newer);
                return (Resolved { route, slot, is_confirmed: !is_invalidated }, is_invalidated);
            }
            Some((_, known)) if is_same(&known.route, &route) => known.route,
            _ => {
                self.journal.keep(&route);
                Arc::new(route)
            }
        };
        self.unknown.invalidate(&route.hostname).await;
        let slot = self.held.put(Known { route: Arc::clone(&route), seen });
        let is_invalidated = slot.is_invalidated(seen);
        (Resolved { route, slot, is_confirmed: !is_invalidated }, is_invalidated)
    }

    /// The api says that nobody has this name (any more).
    async fn forget(&self, hostname: &Hostname, events_seen: u64) {
        if let Some(route) = self.held.remove(hostname) {
            self.journal.forget(&route);
        }
        // An event meanwhile may have been the one that created it.
        if self.events_seen.load(Ordering::Acquire) == events_seen {
            self.unknown.insert(hostname.clone(), ()).await;
        }
    }
}

type IsInvalidated = bool;

/// Equal but for the position at which it was read, which moves with every event of anyone.
fn is_same(a: &Route, b: &Route) -> bool {
    let at = |route: &Route| Route { version: EventPosition::default(), ..route.clone() };
    at(a) == at(b)
}
