//! The routes that this edge holds, and which of them an event has overtaken.
//!
//! An edge may hold a million, so a route is kept once, and what is known about it in a few bytes beside it
//! (docs/decisions/0013).

use std::borrow::Borrow;
use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use arc_swap::ArcSwapOption;
use foldhash::fast::RandomState;
use loggia_types::route::Route;
use loggia_types::{EventPosition, Hostname, ProjectId};

use super::checked::Checked;

/// Locks of their own, so that look-ups and changes hardly ever meet.
const SHARDS: usize = 64;

/// A shard without room loses so much at once, what was checked longest ago: each route pays for its own place.
const EVICTED_SHARE: usize = 16;

pub(super) struct Held {
    shards: Box<[RwLock<Shard>]>,
    shard_of: RandomState,
    shard_max: usize,
    by_project: Mutex<ByProject>,
    /// Routes of a project below its position are invalidated, also those that are only just being asked for.
    floors: RwLock<HashMap<ProjectId, EventPosition>>,
}

type Shard = HashSet<Place, RandomState>;

/// The place of a hostname's route. Whoever holds on to it sees every change without looking the name up again.
#[derive(Debug)]
pub(crate) struct Slot {
    hostname: Hostname,
    /// `None`: nothing is known of the name any more. Written before what was seen of it, and read behind it: a route is
    /// never taken for newer than it is.
    route: ArcSwapOption<Route>,
    /// The newest route by which visitors were answered, or may have been before this process began.
    shown: ArcSwapOption<Route>,
    version: AtomicU64,
    /// The bits of [`Checked`]; 0 is never.
    checked: AtomicU64,
    /// A route of a lower version is invalidated.
    floor: AtomicU64,
}

/// A route as we last saw it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The same one for as long as it says the same, however often it is checked.
    pub route: Arc<Route>,
    pub seen: Seen,
}

/// When we last saw a route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Where the event stream stood when it was last checked, which the route itself tells of its first time.
    pub version: EventPosition,
    /// `None`: read from the journal.
    pub checked: Option<Checked>,
}

impl Slot {
    pub(crate) fn new(hostname: Hostname) -> Self {
        Self {
            hostname,
            route: ArcSwapOption::empty(),
            shown: ArcSwapOption::empty(),
            version: AtomicU64::new(0),
            checked: AtomicU64::new(0),
            floor: AtomicU64::new(0),
        }
    }

    pub(super) fn known(&self) -> Option<Known> {
        let seen = self.seen();
        self.route.load_full().map(|route| Known { route, seen })
    }

    /// What was seen of this very route, if it is still the one that is known.
    pub(super) fn seen_of(&self, route: &Arc<Route>) -> Option<Seen> {
        let seen = self.seen();
        self.route.load().as_ref().is_some_and(|known| Arc::ptr_eq(known, route)).then_some(seen)
    }

    fn seen(&self) -> Seen {
        let version = EventPosition(self.version.load(Ordering::Acquire));
        Seen { version, checked: Checked::from_bits(self.checked.load(Ordering::Acquire)) }
    }

    pub(super) fn is_invalidated(&self, seen: Seen) -> bool {
        seen.version.0 < self.floor.load(Ordering::Acquire)
    }

    /// Notes that a visitor is answered by this route: from here on nobody is answered by an older one.
    pub(crate) fn show(&self, route: &Arc<Route>) {
        // So it is nearly always.
        if self.shown.load().as_ref().is_some_and(|shown| Arc::ptr_eq(shown, route)) {
            return;
        }
        self.shown.rcu(|shown| match shown {
            Some(shown) if shown.version > route.version => Some(Arc::clone(shown)),
            _ => Some(Arc::clone(route)),
        });
    }

    /// What visitors were shown before `route`, if nobody has been answered by `route` yet: another deployment of the same
    /// project. A hostname that has another owner now shows nothing of the one before.
    pub(crate) fn shown_before(&self, route: &Route) -> Option<Arc<Route>> {
        let shown = self.shown.load_full()?;
        let is_before = shown.project_id == route.project_id
            && shown.deployment_id != route.deployment_id
            && shown.version <= route.version;
        is_before.then_some(shown)
    }

    /// Puts a route in its place. One at a time.
    fn put(&self, known: Known) -> Option<Arc<Route>> {
        let before = self.route.load_full();
        if let Some(before) = &before {
            // It may have been shown before a restart, which forgets that.
            self.shown.rcu(|shown| shown.clone().or_else(|| Some(Arc::clone(before))));
        }
        self.route.store(Some(known.route));
        self.version.store(known.seen.version.0, Ordering::Release);
        self.checked.store(known.seen.checked.map_or(0, Checked::to_bits), Ordering::Release);
        before
    }

    fn raise(&self, floor: EventPosition) {
        self.floor.fetch_max(floor.0, Ordering::AcqRel);
    }
}

/// A slot that is found by its hostname.
struct Place(Arc<Slot>);

impl Borrow<Hostname> for Place {
    fn borrow(&self) -> &Hostname {
        &self.0.hostname
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hostname.hash(state);
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.0.hostname == other.0.hostname
    }
}

impl Eq for Place {}

/// Most projects have one hostname that is asked for here, and then only its slot is listed.
#[derive(Default)]
struct ByProject {
    first: HashMap<ProjectId, Arc<Slot>>,
    others: HashMap<ProjectId, Vec<Arc<Slot>>>,
}

impl ByProject {
    fn list(&mut self, project_id: ProjectId, slot: &Arc<Slot>) {
        match self.first.entry(project_id) {
            Entry::Vacant(first) => drop(first.insert(Arc::clone(slot))),
            Entry::Occupied(_) => self.others.entry(project_id).or_default().push(Arc::clone(slot)),
        }
    }

    fn unlist(&mut self, project_id: ProjectId, slot: &Arc<Slot>) {
        let others = self.others.get_mut(&project_id);
        let is_first = self.first.get(&project_id).is_some_and(|first| Arc::ptr_eq(first, slot));
        match (is_first, others) {
            (true, None) => drop(self.first.remove(&project_id)),
            (true, Some(others)) => self.first.extend(others.pop().map(|slot| (project_id, slot))),
            (false, Some(others)) => others.retain(|other| !Arc::ptr_eq(other, slot)),
            (false, None) => {}
        }
        if self.others.get(&project_id).is_some_and(Vec::is_empty) {
            self.others.remove(&project_id);
        }
    }

    fn slots_of(&self, project_id: ProjectId) -> Vec<Arc<Slot>> {
        let others = self.others.get(&project_id).into_iter().flatten();
        self.first.get(&project_id).into_iter().chain(others).cloned().collect()
    }
}

impl Held {
    pub(super) fn new(routes_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            shard_of: RandomState::default(),
            shard_max: routes_max.div_ceil(SHARDS),
            by_project: Mutex::default(),
            floors: RwLock::default(),
        }
    }

    pub(super) fn get(&self, hostname: &Hostname) -> Option<(Arc<Slot>, Known)> {
        let shard = self.shard(hostname).read().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(&shard.get(hostname)?.0);
        drop(shard);
        let known = slot.known()?;
        Some((slot, known))
    }

    pub(super) fn count(&self) -> u64 {
        let len = |shard: &RwLock<Shard>| shard.read().unwrap_or_else(PoisonError::into_inner).len();
        self.shards.iter().map(len).sum::<usize>() as u64
    }

    pub(super) fn put(&self, known: Known) -> Arc<Slot> {
        let (hostname, project_id) = (known.route.hostname.clone(), known.route.project_id);
        let mut shard = self.write(&hostname);
        let slot = match shard.get(&hostname) {
            Some(place) => Arc::clone(&place.0),
            None => {
                self.make_room(&mut shard);
                let slot = Arc::new(Slot::new(hostname));
                shard.insert(Place(Arc::clone(&slot)));
                slot
            }
        };
        let before = slot.put(known).map(|route| route.project_id);
        if before != Some(project_id) {
            let mut by_project = self.by_project();
            if let Some(before) = before {
                by_project.unlist(before, &slot);
            }
            by_project.list(project_id, &slot);
        }
        drop(shard);
        // Listed before it is read: an event meanwhile raises the one or the other.
        let floors = self.floors.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(floor) = floors.get(&project_id) {
            slot.raise(*floor);
        }
        slot
    }

    pub(super) fn remove(&self, hostname: &Hostname) -> Option<Arc<Route>> {
        let mut shard = self.write(hostname);
        let Place(slot) = shard.take(hostname)?;
        self.clear(&slot)
    }

    /// Routes of the project that were read before `position` are old. Returns the hostnames of those that we hold.
    pub(super) fn invalidate(&self, project_id: ProjectId, position: EventPosition) -> Vec<Hostname> {
        {
            let mut floors = self.floors.write().unwrap_or_else(PoisonError::into_inner);
            let floor = floors.entry(project_id).or_default();
            *floor = position.max(*floor);
        }
        let mut old = Vec::new();
        let slots = self.by_project().slots_of(project_id);
        for slot in slots {
            slot.raise(position);
            if slot.known().is_some_and(|known| slot.is_invalidated(known.seen)) {
                old.push(slot.hostname.clone());
            }
        }
        old
    }

    pub(super) fn of_project(&self, project_id: ProjectId) -> Vec<Arc<Route>> {
        let slots = self.by_project().slots_of(project_id);
        slots.iter().filter_map(|slot| slot.route.load_full()).collect()
    }

    /// Whoever holds on to a slot that is in no shard any more sees that nothing is known of its name.
    fn clear(&self, slot: &Arc<Slot>) -> Option<Arc<Route>> {
        let route = slot.route.swap(None)?;
        self.by_project().unlist(route.project_id, slot);
        Some(route)
    }

    #[allow(clippy::mutable_key_type, reason = "the hostname of a slot never changes")]
    fn make_room(&self, shard: &mut Shard) {
        if shard.len() < self.shard_max {
            return;
        }
        let checked = |place: &Place| place.0.seen().checked.map_or(0, Checked::millis);
        let mut all: Vec<u64> = shard.iter().map(checked).collect();
        let evicted = all.len().div_ceil(EVICTED_SHARE);
        let (_, last, _) = all.select_nth_unstable(evicted - 1);
        let (last, mut left) = (*last, evicted);
        for Place(slot) in shard.extract_if(|place| {
            let goes = left > 0 && checked(place) <= last;
            left -= usize::from(goes);
            goes
        }) {
            self.clear(&slot);
        }
    }

    fn shard(&self, hostname: &Hostname) -> &RwLock<Shard> {
        #[allow(clippy::cast_possible_truncation, reason = "any of its bits will do")]
        let hash = self.shard_of.hash_one(hostname) as usize;
        &self.shards[hash % SHARDS]
    }

    fn write(&self, hostname: &Hostname) -> RwLockWriteGuard<'_, Shard> {
        self.shard(hostname).write().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_project(&self) -> MutexGuard<'_, ByProject> {
        self.by_project.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
