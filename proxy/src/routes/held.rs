//! The routes that this edge holds, and which of them an event has overtaken.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::{ArcSwapOption, Guard};
use loggia_types::route::Route;
use loggia_types::{EventPosition, Hostname, ProjectId};
use moka::future::Cache;
use moka::notification::RemovalCause;

use super::Known;

type HostnamesByProject = Arc<Mutex<HashMap<ProjectId, HashSet<Hostname>>>>;

pub(super) struct Held {
    slots: Cache<Hostname, Arc<Slot>>,
    by_project: HostnamesByProject,
    /// Routes of a project below its position are invalidated, also those that are only just being asked for.
    floors: RwLock<HashMap<ProjectId, EventPosition>>,
}

/// The place of a hostname's route. Whoever holds on to it sees every change without looking the name up again.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// `None`: nothing is known of the name any more.
    known: ArcSwapOption<Known>,
    /// A route of a lower version is invalidated.
    floor: AtomicU64,
}

impl Slot {
    pub(super) fn known(&self) -> Guard<Option<Arc<Known>>> {
        self.known.load()
    }

    pub(super) fn is_invalidated(&self, known: &Known) -> bool {
        known.version.0 < self.floor.load(Ordering::Acquire)
    }

    fn raise(&self, floor: EventPosition) {
        self.floor.fetch_max(floor.0, Ordering::AcqRel);
    }
}

impl Held {
    pub(super) fn new(routes_max: u64) -> Self {
        let by_project = HostnamesByProject::default();
        let index = Arc::clone(&by_project);
        let slots = Cache::builder()
            .max_capacity(routes_max)
            .eviction_listener(move |hostname: Arc<Hostname>, slot: Arc<Slot>, cause| {
                if let (true, Some(known)) = (cause != RemovalCause::Replaced, slot.known.swap(None)) {
                    unlist(&index, known.route.project_id, &hostname);
                }
            })
            .build();
        Self { slots, by_project, floors: RwLock::default() }
    }

    pub(super) async fn get(&self, hostname: &Hostname) -> Option<(Arc<Slot>, Arc<Known>)> {
        let slot = self.slots.get(hostname).await?;
        let known = slot.known.load_full()?;
        Some((slot, known))
    }

    pub(super) async fn count(&self) -> u64 {
        self.slots.run_pending_tasks().await;
        self.slots.entry_count()
    }

    pub(super) async fn put(&self, known: Arc<Known>) -> Arc<Slot> {
        let (hostname, project_id) = (known.route.hostname.clone(), known.route.project_id);
        let slot = self.slots.get_with_by_ref(&hostname, async { Arc::default() }).await;
        let before = slot.known.swap(Some(known));
        {
            let mut index = self.by_project.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(before) = before.filter(|before| before.route.project_id != project_id) {
                unlist_from(&mut index, before.route.project_id, &hostname);
            }
            index.entry(project_id).or_default().insert(hostname);
        }
        // Listed before it is read: an event meanwhile raises the one or the other.
        let floors = self.floors.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(floor) = floors.get(&project_id) {
            slot.raise(*floor);
        }
        slot
    }

    pub(super) async fn remove(&self, hostname: &Hostname) -> Option<Arc<Known>> {
        let slot = self.slots.get(hostname).await?;
        let known = slot.known.load_full();
        self.slots.invalidate(hostname).await;
        known
    }

    /// Routes of the project that were read before `position` are old. Returns the hostnames of those that we hold.
    pub(super) async fn invalidate(&self, project_id: ProjectId, position: EventPosition) -> Vec<Hostname> {
        {
            let mut floors = self.floors.write().unwrap_or_else(PoisonError::into_inner);
            let floor = floors.entry(project_id).or_default();
            *floor = position.max(*floor);
        }
        let mut old = Vec::new();
        for hostname in self.hostnames_of(project_id) {
            let Some(slot) = self.slots.get(&hostname).await else { continue };
            slot.raise(position);
            if slot.known().as_ref().is_some_and(|known| slot.is_invalidated(known)) {
                old.push(hostname);
            }
        }
        old
    }

    pub(super) async fn of_project(&self, project_id: ProjectId) -> Vec<Arc<Route>> {
        let mut routes = Vec::new();
        for hostname in self.hostnames_of(project_id) {
            routes.extend(self.get(&hostname).await.map(|(_, known)| Arc::clone(&known.route)));
        }
        routes
    }

    fn hostnames_of(&self, project_id: ProjectId) -> Vec<Hostname> {
        let index = self.by_project.lock().unwrap_or_else(PoisonError::into_inner);
        index.get(&project_id).map(|hostnames| hostnames.iter().cloned().collect()).unwrap_or_default()
    }
}

fn unlist(index: &HostnamesByProject, project_id: ProjectId, hostname: &Hostname) {
    unlist_from(&mut index.lock().unwrap_or_else(PoisonError::into_inner), project_id, hostname);
}

fn unlist_from(
    index: &mut HashMap<ProjectId, HashSet<Hostname>>,
    project_id: ProjectId,
    hostname: &Hostname,
) {
    if let Some(hostnames) = index.get_mut(&project_id) {
        hostnames.remove(hostname);
        if hostnames.is_empty() {
            index.remove(&project_id);
        }
    }
}
