//! The api's answer to «which deployment does this hostname show?».

use serde::{Deserialize, Serialize};

use crate::build::Environment;
use crate::id::{DeploymentId, EventPosition, ProjectId};
use crate::manifest::NotFound;
use crate::object_key::DeploymentRef;
use crate::{Hostname, ProjectSlug};

/// Everything the edge has to know about a hostname, apart from the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub hostname: Hostname,
    pub project_id: ProjectId,
    pub slug: ProjectSlug,
    /// `None`: the project exists, but nothing was deployed to this alias yet.
    pub deployment_id: Option<DeploymentId>,
    /// What the hostname is for, whichever deployment it shows: a promoted one is production now.
    #[serde(default = "production")]
    pub environment: Environment,
    /// Search engines may list it: only the primary production hostname.
    pub indexable: bool,
    #[serde(default)]
    pub serve: ServeSettings,
    /// Names under which a CDN in front caches answers of this hostname.
    pub surrogate_keys: Vec<String>,
    /// Where the event stream stood when this was read. An edge never goes back to a lower one.
    pub version: EventPosition,
}

/// What routes meant that were written down before they said it.
fn production() -> Environment {
    Environment::Production
}

impl Route {
    pub fn deployment(&self) -> Option<DeploymentRef> {
        let project_id = self.project_id;
        self.deployment_id.map(|deployment_id| DeploymentRef { project_id, deployment_id })
    }
}

/// Per-project settings; they fill what the deployment's own files leave at `auto`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServeSettings {
    #[serde(default)]
    pub not_found: NotFound,
}
