//! Purges: files of a project leave memory and disk, or count as stale.
//!
//! Nothing that is cached here can be wrong, since it is found by its content; a purge only says that it has to be fetched
//! again. So no record is kept of which keys a file was sent with: what a purge names is looked up when it comes, in the
//! manifests of the deployments that this edge shows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use loggia_serve::respond::{Body, respond};
use loggia_serve::{RequestHead, Site};
use loggia_types::manifest::Entry;
use loggia_types::purge::{KeyOwner, Purge, PurgeScope, PurgeUrl, SurrogateKey};
use loggia_types::route::Route;
use loggia_types::rules::Scheme;
use loggia_types::{DeploymentRef, ProjectId};
use tracing::{debug, warn};

use crate::bodies::{BodyKey, Meant};
use crate::cache_headers;
use crate::service::EdgeService;

/// The events behind a purge are promotes, which no disk may hold up for longer.
const WAIT_MAX: Duration = Duration::from_secs(5);

impl EdgeService {
    /// Acts on a purge that the api tells of.
    pub(crate) async fn purge(self: Arc<Self>, project_id: ProjectId, purge: Purge) {
        let routes = self.routes.of_project(project_id);
        // A site of 100,000 files is looked through in less than a second, but not while a visitor waits.
        let purging = tokio::task::spawn_blocking(move || self.purge_files(project_id, &routes, &purge));
        match tokio::time::timeout(WAIT_MAX, purging).await {
            Ok(purged) => {
                debug!(%project_id, ?purged, "A purge of {project_id} found {purged:?} files in memory");
            }
            Err(_) => {
                warn!(%project_id, "A purge of {project_id} goes on in the background: the disk is slow");
            }
        }
    }

    fn purge_files(&self, project_id: ProjectId, routes: &[Arc<Route>], purge: &Purge) -> usize {
        let is_all = match &purge.scope {
            PurgeScope::All => true,
            PurgeScope::Keys(keys) => keys.contains(&SurrogateKey::project(project_id)),
            PurgeScope::Urls(_) => false,
        };
        if is_all {
            return self.bodies.purge(&Meant::Project(project_id), purge.soft);
        }
        let mut named = HashSet::new();
        match &purge.scope {
            PurgeScope::All => {}
            PurgeScope::Keys(keys) => {
                keys.iter().for_each(|key| self.add_files_of_key(project_id, routes, key, &mut named));
            }
            PurgeScope::Urls(urls) => {
                urls.iter().for_each(|url| self.add_file_of_url(routes, url, &mut named));
            }
        }
        self.bodies.purge(&Meant::Files(named), purge.soft)
    }

    fn add_files_of_key(
        &self,
        project_id: ProjectId,
        routes: &[Arc<Route>],
        key: &SurrogateKey,
        into: &mut HashSet<BodyKey>,
    ) {
        if let Some(KeyOwner::Deployment(deployment_id)) = key.owner() {
            let site = self.manifests.find_kept(&DeploymentRef { project_id, deployment_id });
            return site.iter().for_each(|site| add_all_files(project_id, site, into));
        }
        for route in routes {
            let Some(site) = self.site_of(route) else { continue };
            if route.surrogate_keys().any(|of_route| of_route == key.as_str()) {
                add_all_files(project_id, &site, into);
            } else if key.owner().is_none() {
                self.add_files_with_key(route, &site, key, into);
            }
        }
    }

    /// Files whose answers carry a key that the site's own rules set, at any of their addresses.
    fn add_files_with_key(
        &self,
        route: &Route,
        site: &Site,
        key: &SurrogateKey,
        into: &mut HashSet<BodyKey>,
    ) {
        for entry in site.manifest().entries() {
            let path = entry.path();
            let page = path.strip_suffix(".html").unwrap_or(path);
            let folder = page.strip_suffix("index").unwrap_or(page);
            let carries = |path: &str| {
                let target = format!("/{}", percent_encoding::utf8_percent_encode(path, PATH));
                cache_headers::has_key(&self.asked(route, site, &target).0, key.as_str())
            };
            if carries(path) || (page != path && carries(page)) || (folder != page && carries(folder)) {
                add_file(route.project_id, &entry, into);
            }
        }
    }

    fn add_file_of_url(&self, routes: &[Arc<Route>], url: &PurgeUrl, into: &mut HashSet<BodyKey>) {
        let route = routes.iter().find(|route| route.hostname == *url.hostname());
        let Some((route, site)) = route.and_then(|route| Some((route, self.site_of(route)?))) else { return };
        if let (_, Some(entry)) = self.asked(route, &site, url.target()) {
            add_file(route.project_id, &entry, into);
        }
    }

    fn site_of(&self, route: &Route) -> Option<Arc<Site>> {
        self.manifests.find_kept(&route.deployment()?)
    }

    /// What a visitor without any wishes gets: the headers, and the file.
    fn asked<'s>(&self, route: &Route, site: &'s Site, target: &str) -> (HeaderMap, Option<Entry<'s>>) {
        let request = RequestHead {
            method: &Method::GET,
            target: target.as_bytes(),
            headers: &HeaderMap::new(),
            scheme: Scheme::Https,
            host: route.hostname.as_str(),
            country: None,
        };
        let response = respond(site, &self.policy(route), request);
        let entry = match response.body {
            Body::File(content) | Body::Parts(content, _) => Some(content.entry),
            Body::Inline(_) => None,
        };
        (response.parts.headers, entry)
    }
}

/// What a path may not hold as it is.
const PATH: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');

fn add_all_files(project_id: ProjectId, site: &Site, into: &mut HashSet<BodyKey>) {
    site.manifest().entries().for_each(|entry| add_file(project_id, &entry, into));
    site.manifest().retired().for_each(|(entry, _)| add_file(project_id, &entry, into));
}

/// A file in every coding.
fn add_file(project_id: ProjectId, entry: &Entry<'_>, into: &mut HashSet<BodyKey>) {
    let hashes = std::iter::once(entry.hash()).chain(entry.variants().map(|variant| variant.hash));
    into.extend(hashes.map(|hash| BodyKey { project_id, hash }));
}
