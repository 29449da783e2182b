//! Runs one step of a user's project, the install or the build command, where it can do no harm.
//!
//! Two ways, with the same promises (`tests/executor_promises`): in a container of a Docker Engine (or Podman), or
//! in a bubblewrap sandbox with this machine's own toolchain. Neither knows what a build is made of.

mod docker;
mod environment;
mod firewall;
mod lines;
mod ownership;
mod sandbox;
mod script;
mod step;
mod supervise;

use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use docker::Docker;
pub use firewall::Ipv4Network;
pub use lines::LINE_BYTES_MAX;
pub use sandbox::Sandbox;
pub use step::{CACHE_DIR, Exit, HOME_DIR, Limits, LogLine, Step, Stream, WORKSPACE_DIR};

/// The image that builds run in unless the operator names another one.
pub const DEFAULT_IMAGE: &str = "node:22-bookworm";

/// The build user inside a container, the `node` user of the official images. A builder that is not root uses its
/// own uid instead, since it cannot give files away.
pub const DOCKER_UID: u32 = 1000;

/// The build user of a sandbox when the builder is root. Below 65534 (`nobody`, which other services share) and above
/// everything that Debian, Fedora or systemd give out (61184 to 65519 are systemd's dynamic users).
pub const SANDBOX_UID: u32 = 65_530;

/// What an executor is told once, at the builder's start.
#[derive(Debug, Clone)]
pub struct ExecutorConfig {
    /// Tells this builder's containers and sandboxes from those of another builder on the same machine.
    pub builder: String,
    /// As `DOCKER_HOST`: `unix:///path` or `tcp://host:port`. Without it the usual sockets of Docker and Podman are tried.
    pub docker_host: Option<String>,
    /// Needs `sh`, Node with npm, git and CA certificates in it.
    pub image: String,
    /// The engine's network that containers join.
    pub docker_network: String,
    /// The engine's name of another OCI runtime, e.g. `runsc`.
    pub docker_runtime: Option<String>,
    /// A bundle with every CA that builds trust, e.g. on a network that inspects TLS.
    pub ca_file: Option<PathBuf>,
    /// The build user; a default of the executor without it. Only root can choose.
    pub uid: Option<u32>,
    /// The build user's group; the same number as `uid` without it.
    pub gid: Option<u32>,
    /// Further folders that the sandbox shows read-only, for tools outside of `/usr` and `/opt`; their `bin` folder
    /// is in the `PATH`.
    pub toolchain_dirs: Vec<PathBuf>,
    /// Folders that the sandbox leaves empty although they are below one that it shows, e.g. our data in `/opt`.
    pub hidden_dirs: Vec<PathBuf>,
    /// Networks that a step must not reach, besides all private ones and this machine's own addresses.
    pub blocked_networks: Vec<Ipv4Network>,
    /// Exceptions, e.g. a package registry in a private network.
    pub allowed_networks: Vec<Ipv4Network>,
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self {
            builder: "builder".to_owned(),
            docker_host: None,
            image: DEFAULT_IMAGE.to_owned(),
            docker_network: "bridge".to_owned(),
            docker_runtime: None,
            ca_file: None,
            uid: None,
            gid: None,
            toolchain_dirs: Vec::new(),
            hidden_dirs: Vec::new(),
            blocked_networks: Vec::new(),
            allowed_networks: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExecutorChoice {
    /// A container engine if one answers, else a sandbox.
    #[default]
    Auto,
    Docker,
    Sandbox,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no executor: auto, docker and sandbox are")]
pub struct UnknownExecutor(String);

impl FromStr for ExecutorChoice {
    type Err = UnknownExecutor;

    fn from_str(text: &str) -> Result<Self, UnknownExecutor> {
        match text {
            "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::Docker),
            "sandbox" => Ok(Self::Sandbox),
            other => Err(UnknownExecutor(other.to_owned())),
        }
    }
}

/// Why no executor can work here, in words for the operator who can change it.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorUnavailable {
    #[error("no container engine: {0}")]
    Docker(String),
    #[error("no sandbox: {0}")]
    Sandbox(String),
    #[error("builds have nowhere to run. No container engine: {docker}. No sandbox: {sandbox}")]
    Neither { docker: String, sandbox: String },
}

/// Our own fault, not the build's: the same step may be run again.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorFault {
    #[error("the container engine failed while {doing}")]
    Engine {
        doing: &'static str,
        #[source]
        cause: bollard::errors::Error,
    },
    #[error("the build image {image} is not there and cannot be pulled: {cause}")]
    Image { image: String, cause: String },
    #[error("the sandbox could not be set up: {0}")]
    Sandbox(String),
    #[error("the step cannot be run: {0}")]
    Step(String),
    #[error("{doing}")]
    Io {
        doing: String,
        #[source]
        cause: io::Error,
    },
}

#[derive(Debug)]
pub enum Executor {
    Docker(Docker),
    Sandbox(Sandbox),
}

impl Executor {
    pub async fn choose(choice: ExecutorChoice, config: ExecutorConfig) -> Result<Self, ExecutorUnavailable> {
        match choice {
            ExecutorChoice::Docker => {
                Docker::connect(config).await.map(Self::Docker).map_err(ExecutorUnavailable::Docker)
            }
            ExecutorChoice::Sandbox => {
                Sandbox::prepare(config).await.map(Self::Sandbox).map_err(ExecutorUnavailable::Sandbox)
            }
            ExecutorChoice::Auto => Self::choose_any(config).await,
        }
    }

    async fn choose_any(config: ExecutorConfig) -> Result<Self, ExecutorUnavailable> {
        let docker = match Docker::connect(config.clone()).await {
            Ok(docker) => return Ok(Self::Docker(docker)),
            Err(reason) => reason,
        };
        match Sandbox::prepare(config).await {
            Ok(sandbox) => Ok(Self::Sandbox(sandbox)),
            Err(sandbox) => Err(ExecutorUnavailable::Neither { docker, sandbox }),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Docker(_) => "docker",
            Self::Sandbox(_) => "sandbox",
        }
    }

    /// What this machine cannot enforce, as sentences for the builder's log at its start.
    pub fn gaps(&self) -> &[String] {
        match self {
            Self::Docker(docker) => docker.gaps(),
            Self::Sandbox(sandbox) => sandbox.gaps(),
        }
    }

    /// Removes what a builder of the same name left behind when it was killed. For its start, before the first step.
    pub async fn remove_leftovers(&self) -> Result<usize, ExecutorFault> {
        match self {
            Self::Docker(docker) => docker.remove_leftovers().await,
            Self::Sandbox(sandbox) => sandbox.remove_leftovers().await,
        }
    }

    /// Runs one step to its end. Every process of the step is gone when this returns; when the future is dropped
    /// instead, they are killed without being waited for.
    ///
    /// `log` must be read meanwhile: the step waits for a full channel.
    pub async fn run(
        &self,
        step: &Step,
        log: &mpsc::Sender<LogLine>,
        cancel: &CancellationToken,
    ) -> Result<Exit, ExecutorFault> {
        step.check()?;
        if cancel.is_cancelled() {
            return Ok(Exit::Cancelled);
        }
        match self {
            Self::Docker(docker) => docker.run(step, log, cancel).await,
            Self::Sandbox(sandbox) => sandbox.run(step, log, cancel).await,
        }
    }
}

/// The build user's uid and gid. A builder that is not root cannot give files away, so steps run as itself.
fn build_user(config: &ExecutorConfig, default_uid: u32) -> (u32, u32) {
    if nix::unistd::geteuid().is_root() {
        let uid = config.uid.unwrap_or(default_uid);
        (uid, config.gid.unwrap_or(uid))
    } else {
        (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executors_have_names() {
        let cases = [
            ("auto", Ok(ExecutorChoice::Auto)),
            ("docker", Ok(ExecutorChoice::Docker)),
            ("sandbox", Ok(ExecutorChoice::Sandbox)),
            ("podman", Err("\"podman\" is no executor: auto, docker and sandbox are".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(ExecutorChoice::from_str(text).map_err(|error| error.to_string()), expected, "{text}");
        }
    }
}
