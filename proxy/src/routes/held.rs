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
    /// The newest route by which visitors were answered, or may have been before this process began.
    shown: ArcSwapOption<Route>,
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

    /// Puts a route in its place.
    fn put(&self, known: Arc<Known>) -> Option<Arc<Known>> {
        if let Some(before) = self.known.load_full() {
            // It may have been shown before a restart, which forgets that.
            self.shown.rcu(|shown| shown.clone().or_else(|| Some(Arc::clone(&before.route))));
        }
        self.known.swap(Some(known))
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
        let before = slot.put(known);
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

#[cfg(test)]
mod tests {
    use super::*;
    use loggia_types::DeploymentId;
    use loggia_types::build::Environment;
    use loggia_types::route::ServeSettings;

    fn known(project: u64, deployment: u64, version: u64) -> Arc<Known> {
        let route = Route {
            hostname: "shop.localhost".parse().expect("valid"),
            project_id: ProjectId::from_parts(project, 1),
            slug: "shop".parse().expect("valid"),
            deployment_id: Some(DeploymentId::from_parts(deployment, 0)),
            environment: Environment::Production,
            indexable: true,
            serve: ServeSettings::default(),
            surrogate_keys: Vec::new(),
            version: EventPosition(version),
        };
        Arc::new(Known { version: route.version, route: Arc::new(route), checked: None })
    }

    #[test]
    fn what_was_shown_before_is_known_until_the_next_is_shown() {
        let slot = Slot::default();
        let before = |known: &Known| slot.shown_before(&known.route).map(|route| route.version.0);
        let [first, second, third] = [known(1, 1, 1), known(1, 2, 2), known(1, 3, 3)];
        slot.put(Arc::clone(&first));
        assert_eq!(before(&first), None, "nothing else was there");
        slot.put(Arc::clone(&second));
        assert_eq!(before(&second), Some(1), "it may have been shown before a restart");
        slot.put(Arc::clone(&third));
        assert_eq!(before(&third), Some(1), "the second was never shown");
        // One who asked before the third came.
        slot.show(&second.route);
        assert_eq!(before(&third), Some(2));
        slot.show(&first.route);
        assert_eq!(before(&third), Some(2), "never backwards");
        slot.show(&third.route);
        assert_eq!(before(&third), None);
        assert_eq!(before(&second), None, "it is older than what was shown");
    }

    #[test]
    fn a_hostname_with_another_owner_shows_nothing_of_the_one_before() {
        let slot = Slot::default();
        let [theirs, ours] = [known(1, 1, 1), known(2, 2, 2)];
        slot.put(Arc::clone(&theirs));
        slot.show(&theirs.route);
        slot.put(Arc::clone(&ours));
        assert!(slot.shown_before(&ours.route).is_none());
    }
}
