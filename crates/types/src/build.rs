//! The builder's protocol: claim, heartbeat, log, report (`/internal/v1/builds`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ProjectSlug;
use crate::git::{BranchName, CommitSha, RepositoryUrl};
use crate::id::{BuildId, DeploymentId, ProjectId};
use crate::object_key::{DeploymentRef, FolderRef};
use crate::problem::Problem;
use crate::publish::PublishCounts;
use crate::timestamp::Timestamp;

/// The two environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Production,
    Preview,
}

impl Environment {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Preview => "preview",
        }
    }
}

impl FromStr for Environment {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text {
            "production" => Ok(Self::Production),
            "preview" => Ok(Self::Preview),
            other => Err(UnknownName(other.to_owned())),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a known name here")]
pub struct UnknownName(pub String);

/// `POST /internal/v1/builds/claim`: asks for work and waits for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClaimRequest {
    pub builder: String,
    /// How long the api may keep the question open, at most 60.
    pub wait_secs: u64,
}

/// One build, with everything that a builder needs to carry it out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BuildAssignment {
    pub build_id: BuildId,
    pub deployment_id: DeploymentId,
    pub project_id: ProjectId,
    pub slug: ProjectSlug,
    /// Counted from 1; also the fencing token: a report of an earlier attempt is refused.
    pub attempt: u16,
    pub lease_secs: u64,
    pub repository_url: RepositoryUrl,
    pub branch: BranchName,
    pub commit: CommitSha,
    pub environment: Environment,
    pub settings: BuildSettings,
    /// The project's own variables, secrets among them. The platform's are added by the builder.
    pub env: BuildEnv,
    /// Which of them no log may show.
    #[serde(default)]
    pub secret_names: BTreeSet<String>,
    /// Secrets that this build does not get, since not everybody who can change its code may know them.
    #[serde(default)]
    pub withheld_names: BTreeSet<String>,
    /// The deployment whose unchanged files are kept.
    pub base: Option<DeploymentId>,
    /// Where the result will be seen, e.g. `https://shop.example.com`.
    pub url: String,
    /// Where exactly this deployment will be seen, for good.
    pub deployment_url: String,
    pub limits: BuildLimits,
    pub queued_at: Timestamp,
}

impl BuildAssignment {
    pub fn deployment(&self) -> DeploymentRef {
        DeploymentRef { project_id: self.project_id, deployment_id: self.deployment_id }
    }

    pub fn folder(&self) -> FolderRef {
        FolderRef::of_attempt(self.deployment_id, self.attempt)
    }
}

/// Environment variables by name. Prints the names alone.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildEnv(pub BTreeMap<String, String>);

impl Deref for BuildEnv {
    type Target = BTreeMap<String, String>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for BuildEnv {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Debug for BuildEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a project's owner fixed; `None` is detected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct BuildSettings {
    /// Folder inside the repository, without a leading slash; empty for its root.
    pub root: String,
    pub install_command: Option<String>,
    pub build_command: Option<String>,
    pub output: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildLimits {
    pub memory_bytes: u64,
    /// Thousandths of a core.
    pub cpu_millis: u32,
    pub processes: u32,
    /// For the whole build, from claim to report.
    pub total_secs: u64,
}

/// `POST /internal/v1/builds/{id}/heartbeat`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Heartbeat {
    pub attempt: u16,
    pub phase: Phase,
}

/// What the deployment's state shows while a builder is at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Building,
    Deploying,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// The lease now ends this many seconds from now.
    pub lease_secs: u64,
    /// Somebody cancelled: stop, clean up, and report nothing.
    pub cancelled: bool,
}

/// The parts of a build's time, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Step {
    Queue,
    Checkout,
    Detect,
    Install,
    Build,
    Collect,
    Upload,
    Switch,
}

impl Step {
    pub const ALL: [Self; 8] = [
        Self::Queue,
        Self::Checkout,
        Self::Detect,
        Self::Install,
        Self::Build,
        Self::Collect,
        Self::Upload,
        Self::Switch,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Checkout => "checkout",
            Self::Detect => "detect",
            Self::Install => "install",
            Self::Build => "build",
            Self::Collect => "collect",
            Self::Upload => "upload",
            Self::Switch => "switch",
        }
    }
}

impl FromStr for Step {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|step| step.as_str() == text).ok_or_else(|| UnknownName(text.to_owned()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepTiming {
    pub step: Step,
    pub millis: u64,
}

/// One line of a build's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Rises by one within an attempt, from 0.
    pub sequence: u32,
    pub at: Timestamp,
    pub step: Step,
    pub text: String,
}

/// `POST /internal/v1/builds/{id}/log`. Sending lines twice stores them once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogBatch {
    pub attempt: u16,
    pub lines: Vec<LogLine>,
}

/// `POST /internal/v1/builds/{id}/report`: how it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BuildReport {
    pub attempt: u16,
    pub outcome: Outcome,
    pub timings: Vec<StepTiming>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// The manifest is written: the deployment exists.
    Ready { counts: PublishCounts, framework: String, problems: Vec<Problem> },
    /// The project's own build failed. Not retried.
    Failed(BuildFailure),
    /// Our own fault. Retried, with backoff, at most three times.
    Fault { message: String },
    /// The builder is being stopped: another one shall take the build at once. Counts as no try.
    Released,
}

/// Why a build failed, for the person who pushed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BuildFailure {
    pub step: Step,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last lines that the failing step wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<String>,
}
