//! Steps in containers of a Docker Engine, or of Podman, which speaks the same language.
//!
//! The engine opens the workspace and the cache by the paths that we name: a builder that is itself a container must
//! have them at the same paths as the engine.

mod container;
mod image;

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::errors::Error as EngineError;
use bollard::models::SystemInfo;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::container::Container;
use super::firewall::find_tool;
use super::step::{Exit, LogLine, Step};
use super::{DOCKER_UID, ExecutorConfig, ExecutorFault, build_user, ownership};

const LABEL_BUILDER: &str = "loggia.builder";
const LABEL_BUILD: &str = "loggia.build";
const LABEL_STEP: &str = "loggia.step";

/// Creating and removing a container takes under a second; an engine whose disk is busy has taken half a minute.
const ENGINE_ANSWER_MAX_SECS: u64 = 120;

#[derive(Debug)]
pub struct Docker {
    engine: bollard::Docker,
    config: ExecutorConfig,
    uid: u32,
    gid: u32,
    /// Podman without root maps our own uid to root unless it is told to keep it.
    keep_id: bool,
    /// The tools by which we can reach into a container's network; only root can.
    firewall: Option<FirewallTools>,
    gaps: Vec<String>,
}

#[derive(Debug, Clone)]
struct FirewallTools {
    nsenter: PathBuf,
    ip: PathBuf,
}

impl Docker {
    /// An engine that answers now, or why there is none.
    pub(super) async fn connect(config: ExecutorConfig) -> Result<Self, String> {
        let (engine, info) = find_engine(&config).await?;
        let (uid, gid) = build_user(&config, DOCKER_UID);
        let is_rootless = has_security_option(&info, "rootless");
        if is_rootless && !is_podman(&engine).await.map_err(|cause| cause.to_string())? {
            return Err(
                "the engine is a rootless Docker, in which only root can write to the builder's folders: \
                        use Docker with root, or Podman"
                    .to_owned(),
            );
        }
        let firewall = firewall_tools(&config);
        let gaps = gaps(&info, firewall.is_some());
        Ok(Self { engine, config, uid, gid, keep_id: is_rootless, firewall, gaps })
    }

    pub(super) fn gaps(&self) -> &[String] {
        &self.gaps
    }

    pub(super) async fn remove_leftovers(&self) -> Result<usize, ExecutorFault> {
        let ours =
            HashMap::from([("label".to_owned(), vec![format!("{LABEL_BUILDER}={}", self.config.builder)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&ours).build();
        let doing = "listing the containers of an earlier run";
        let found = self.engine.list_containers(Some(options)).await.map_err(engine_fault(doing))?;
        let ids: Vec<_> = found.into_iter().filter_map(|container| container.id).collect();
        for id in &ids {
            remove(&self.engine, id).await?;
        }
        Ok(ids.len())
    }

    pub(super) async fn run(
        &self,
        step: &Step,
        log: &mpsc::Sender<LogLine>,
        cancel: &CancellationToken,
    ) -> Result<Exit, ExecutorFault> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(Exit::Cancelled),
            pulled = self.ensure_image(log) => pulled?,
        }
        ownership::give(&step.workspace, self.uid, self.gid).await?;
        ownership::give_once(&step.cache, self.uid, self.gid).await?;
        let container = Container::create(self, step).await?;
        let exit = container.run(self, step, log, cancel).await;
        container.remove().await?;
        exit
    }
}

/// The first engine that answers. With an address from the operator it is that one or none.
async fn find_engine(config: &ExecutorConfig) -> Result<(bollard::Docker, SystemInfo), String> {
    let hosts = config.docker_host.clone().map_or_else(usual_sockets, |host| vec![host]);
    let mut reasons = Vec::new();
    for host in hosts {
        match connect(&host).await {
            Ok(found) => return Ok(found),
            Err(cause) => reasons.push(format!("{host}: {cause}")),
        }
    }
    Err(format!(
        "install and start Docker (Debian: apt-get install docker.io) or Podman, or set DOCKER_HOST ({})",
        reasons.join("; ")
    ))
}

fn usual_sockets() -> Vec<String> {
    let runtime_dir = format!("/run/user/{}", nix::unistd::geteuid());
    vec![
        "unix:///var/run/docker.sock".to_owned(),
        format!("unix://{runtime_dir}/docker.sock"),
        "unix:///run/podman/podman.sock".to_owned(),
        format!("unix://{runtime_dir}/podman/podman.sock"),
    ]
}

async fn connect(host: &str) -> Result<(bollard::Docker, SystemInfo), EngineError> {
    let engine = bollard::Docker::connect_with_host(host)?
        .with_timeout(std::time::Duration::from_secs(ENGINE_ANSWER_MAX_SECS))
        .negotiate_version()
        .await?;
    let info = engine.info().await?;
    Ok((engine, info))
}

async fn is_podman(engine: &bollard::Docker) -> Result<bool, EngineError> {
    let components = engine.version().await?.components.unwrap_or_default();
    Ok(components.iter().any(|component| component.name.starts_with("Podman")))
}

fn has_security_option(info: &SystemInfo, name: &str) -> bool {
    // Entries read `name=seccomp,profile=default`.
    let options = info.security_options.iter().flatten();
    options.flat_map(|option| option.split(',')).any(|part| part == format!("name={name}"))
}

/// The engine must be on this machine, and only root may enter another network namespace.
fn firewall_tools(config: &ExecutorConfig) -> Option<FirewallTools> {
    let is_local = config.docker_host.as_ref().is_none_or(|host| host.starts_with("unix://"));
    if !is_local || !nix::unistd::geteuid().is_root() {
        return None;
    }
    Some(FirewallTools { nsenter: find_tool("nsenter")?, ip: find_tool("ip")? })
}

fn gaps(info: &SystemInfo, has_firewall: bool) -> Vec<String> {
    let checks = [
        (info.memory_limit == Some(false), "the engine cannot limit memory"),
        (
            info.swap_limit == Some(false),
            "the engine cannot limit swap: a build may use it beyond its memory limit",
        ),
        (info.pids_limit == Some(false), "the engine cannot limit processes"),
        (info.cpu_cfs_quota == Some(false), "the engine cannot limit processor time"),
        (!has_security_option(info, "seccomp"), "the engine runs containers without a seccomp filter"),
        (
            !has_firewall,
            "builds can reach private networks and this machine's own addresses: only a builder that is root, on \
             the engine's machine, with nsenter and ip installed, can block them",
        ),
    ];
    checks.into_iter().filter(|(is_gap, _)| *is_gap).map(|(_, text)| text.to_owned()).collect()
}

async fn remove(engine: &bollard::Docker, id: &str) -> Result<(), ExecutorFault> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    let removed = match engine.remove_container(id, Some(options)).await {
        Err(cause) if is_conflict(&cause) => removed_by_another(engine, id).await,
        removed => removed,
    };
    match removed {
        Err(cause) if !is_not_found(&cause) => Err(engine_fault("removing a step's container")(cause)),
        _ => Ok(()),
    }
}

/// The engine refuses to remove what it is removing already, for a step that was dropped a moment ago.
async fn removed_by_another(engine: &bollard::Docker, id: &str) -> Result<(), EngineError> {
    let options = WaitContainerOptionsBuilder::new().condition("removed").build();
    match engine.wait_container(id, Some(options)).next().await {
        // So the client library reports a container that had failed.
        Some(Err(EngineError::DockerContainerWaitError { .. })) | None => Ok(()),
        Some(answer) => answer.map(|_| ()),
    }
}

fn is_conflict(error: &EngineError) -> bool {
    matches!(error, EngineError::DockerResponseServerError { status_code: 409, .. })
}

fn is_not_found(error: &EngineError) -> bool {
    matches!(error, EngineError::DockerResponseServerError { status_code: 404, .. })
}

fn engine_fault(doing: &'static str) -> impl FnOnce(EngineError) -> ExecutorFault {
    move |cause| ExecutorFault::Engine { doing, cause }
}
