//! The routes that this edge holds, and which of them an event has overtaken.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use loggia_types::route::Route;
use loggia_types::{EventPosition, Hostname, ProjectId};
use moka::future::Cache;
use moka::notification::RemovalCause;

use super::Known;

type HostnamesByProject = Arc<Mutex<HashMap<ProjectId, HashSet<Hostname>>>>;

pub(super) struct Held {
    known: Cache<Hostname, Known>,
    by_project: HostnamesByProject,
    /// Routes of a project below its position are invalidated: one write, however many routes it has.
    floors: RwLock<HashMap<ProjectId, EventPosition>>,
}

impl Held {
    pub(super) fn new(routes_max: u64) -> Self {
        let by_project = HostnamesByProject::default();
        let index = Arc::clone(&by_project);
        let known = Cache::builder()
            .max_capacity(routes_max)
            .eviction_listener(move |hostname: Arc<Hostname>, known: Known, cause| {
                if cause != RemovalCause::Replaced {
                    unlist(&index, &known.route.project_id, &hostname);
                }
            })
            .build();
        Self { known, by_project, floors: RwLock::default() }
    }

    pub(super) async fn get(&self, hostname: &Hostname) -> Option<Known> {
        self.known.get(hostname).await
    }

    pub(super) async fn count(&self) -> u64 {
        self.known.run_pending_tasks().await;
        self.known.entry_count()
    }

    pub(super) async fn put(&self, known: Known) {
        let (hostname, project_id) = (known.route.hostname.clone(), known.route.project_id);
        if let Some(before) = self.known.get(&hostname).await
            && before.route.project_id != project_id
        {
            unlist(&self.by_project, &before.route.project_id, &hostname);
        }
        self.known.insert(hostname.clone(), known).await;
        let mut index = self.by_project.lock().unwrap_or_else(PoisonError::into_inner);
        index.entry(project_id).or_default().insert(hostname);
    }

    pub(super) async fn remove(&self, hostname: &Hostname) -> Option<Known> {
        self.known.remove(hostname).await
    }

    pub(super) fn is_invalidated(&self, route: &Route) -> bool {
        let floors = self.floors.read().unwrap_or_else(PoisonError::into_inner);
        floors.get(&route.project_id).is_some_and(|floor| route.version < *floor)
    }

    /// Routes of the project that were read before `position` are old. Returns the hostnames of those we hold.
    pub(super) fn invalidate(&self, project_id: ProjectId, position: EventPosition) -> Vec<Hostname> {
        let mut floors = self.floors.write().unwrap_or_else(PoisonError::into_inner);
        let floor = floors.entry(project_id).or_default();
        *floor = position.max(*floor);
        drop(floors);
        let index = self.by_project.lock().unwrap_or_else(PoisonError::into_inner);
        index.get(&project_id).map(|hostnames| hostnames.iter().cloned().collect()).unwrap_or_default()
    }
}

fn unlist(index: &HostnamesByProject, project_id: &ProjectId, hostname: &Hostname) {
    let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(hostnames) = index.get_mut(project_id) {
        hostnames.remove(hostname);
        if hostnames.is_empty() {
            index.remove(project_id);
        }
    }
}
