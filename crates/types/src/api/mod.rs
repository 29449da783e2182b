//! The shapes of the public REST API (`/api/v1`), shared by the server, the CLI and the tests.

mod devices;
mod domains;
mod error;
mod notifications;
mod people;
mod roles;
mod teams;
mod variables;

pub use devices::*;
pub use domains::*;
pub use error::ErrorBody;
pub use notifications::Notifications;
pub use people::*;
pub use roles::{Role, TokenScope};
pub use teams::*;
pub use variables::*;

use serde::{Deserialize, Serialize};

use crate::alias::AliasName;
use crate::build::{BuildFailure, BuildSettings, Environment, StepTiming};
use crate::git::{BranchName, CommitSha, RepositoryUrl};
use crate::id::{DeploymentId, EventPosition, ProjectId};
use crate::manifest::NotFound;
use crate::problem::Problem;
use crate::publish::{PublishCounts, SiteFile};
use crate::purge::Purge;
use crate::timestamp::Timestamp;
use crate::{ContentHash, OrganizationSlug, ProjectSlug};

/// One page of a list; `next` is the cursor of the following page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Project {
    pub id: ProjectId,
    /// Who owns it.
    pub organization: OrganizationSlug,
    pub slug: ProjectSlug,
    pub name: String,
    pub repository_url: Option<RepositoryUrl>,
    pub production_branch: BranchName,
    pub build: BuildSettings,
    pub not_found: NotFound,
    /// Where production stands, e.g. `http://shop.localhost:8080`.
    pub url: String,
    /// What production shows now.
    pub production_deployment_id: Option<DeploymentId>,
    pub created_at: Timestamp,
}

/// Shown once, when the project is created: it is what the forge signs its webhooks with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedProject {
    #[serde(flatten)]
    pub project: Project,
    pub webhook_url: String,
    pub webhook_secret: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateProject {
    pub slug: ProjectSlug,
    /// Who shall own it: the caller's personal organization when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationSlug>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub repository_url: Option<RepositoryUrl>,
    #[serde(default)]
    pub production_branch: Option<BranchName>,
    #[serde(default)]
    pub build: BuildSettings,
    #[serde(default)]
    pub not_found: NotFound,
    /// Chosen by the caller instead of generated; at least 16 characters.
    #[serde(default)]
    pub webhook_secret: Option<String>,
}

impl CreateProject {
    /// Of the caller's own, empty, with every default.
    pub fn new(slug: ProjectSlug) -> Self {
        Self {
            slug,
            organization: None,
            name: None,
            repository_url: None,
            production_branch: None,
            build: BuildSettings::default(),
            not_found: NotFound::default(),
            webhook_secret: None,
        }
    }
}

/// Fields that are absent stay as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateProject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_url: Option<RepositoryUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production_branch: Option<BranchName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_found: Option<NotFound>,
}

/// As people see it: `live` and `superseded` follow from the aliases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeploymentStatus {
    Pending,
    Building,
    Deploying,
    Live,
    Superseded,
    Failed,
    Cancelled,
}

impl DeploymentStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Building => "building",
            Self::Deploying => "deploying",
            Self::Live => "live",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Nothing more will happen by itself.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Building | Self::Deploying)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deployment {
    pub id: DeploymentId,
    pub project: ProjectSlug,
    pub status: DeploymentStatus,
    pub environment: Environment,
    /// The names that point here now.
    pub aliases: Vec<AliasName>,
    pub branch: Option<BranchName>,
    pub commit: Option<CommitSha>,
    pub message: String,
    pub author: String,
    /// Permanent: shows this deployment and no other.
    pub url: String,
    /// The alias that it was made for.
    pub alias_url: String,
    pub framework: Option<String>,
    pub counts: Option<PublishCounts>,
    pub problems: Vec<Problem>,
    pub failure: Option<BuildFailure>,
    pub timings: Vec<StepTiming>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// What the caller may do with it now: `cancel`, `promote`.
    pub actions: Vec<String>,
}

/// `POST /api/v1/projects/{slug}/deployments`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "source", rename_all = "snake_case", deny_unknown_fields)]
pub enum CreateDeployment {
    /// Build a commit of the project's repository.
    Git {
        branch: BranchName,
        commit: CommitSha,
        #[serde(default)]
        message: String,
    },
    /// Files that the caller uploads itself; answered with [`UploadStarted`].
    Upload {
        files: Vec<SiteFile>,
        /// A preview label; production when absent.
        #[serde(default)]
        alias: Option<AliasName>,
        #[serde(default)]
        message: String,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UploadStarted {
    pub id: DeploymentId,
    /// Contents that the platform does not have yet: PUT each by its hash, then finish.
    pub missing: Vec<ContentHash>,
}

/// The answer to [`CreateDeployment`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum CreatedDeployment {
    Build(Box<Deployment>),
    Upload(UploadStarted),
}

/// `POST /api/v1/projects/{slug}/promote`: points production (or another alias) at a deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Promote {
    pub deployment_id: DeploymentId,
    #[serde(default)]
    pub alias: Option<AliasName>,
}

/// The answer to a purge: every edge hears of it at this place of the event stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PurgeAnswer {
    pub position: EventPosition,
    /// What was understood, spelled as caches know it.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::purge::PurgeRequest))]
    pub purged: Purge,
}

/// A CDN in front of the edges, as far as it was told what to forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CdnHook {
    /// `fastly`, `cloudflare`, or `varnish` and its address.
    pub hook: String,
    /// Events that it was not told of yet.
    pub waiting: u64,
    /// Events that it was not told of for the second time yet, which is a few seconds after the first: an edge may have
    /// answered with what was before.
    pub settling: u64,
    /// The first of the calls that failed since one succeeded.
    pub failing_since: Option<Timestamp>,
    pub last_error: Option<String>,
}

/// The answer to a webhook: what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookAnswer {
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<DeploymentId>,
}
