//! One step's container, from its creation to its removal.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error as EngineError;
use bollard::models::{
    ContainerCreateBody, ContainerState, HostConfig, HostConfigLogConfig, Mount, MountType,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, KillContainerOptions,
    WaitContainerOptionsBuilder,
};
use futures::{Stream as FuturesStream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Docker, LABEL_BUILD, LABEL_BUILDER, LABEL_STEP, engine_fault, remove};
use crate::executor::firewall::{Firewall, host_addresses, parse_resolvers};
use crate::executor::lines::{self, LineSplitter};
use crate::executor::script::{SCRIPT, SHELL, STARTED, prologue};
use crate::executor::step::{CACHE_DIR, Exit, HOME_DIR, Limits, LogLine, Step, Stream, WORKSPACE_DIR};
use crate::executor::supervise::{Ended, first, with_output};
use crate::executor::{ExecutorFault, environment};

type Output = Pin<Box<dyn FuturesStream<Item = Result<LogOutput, EngineError>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// From the engine's word that a container runs to the first word of its script: milliseconds, but the image's files
/// may have to be read from a slow disk.
const FIRST_WORD_MAX: Duration = Duration::from_secs(60);

/// Removed when dropped, too; but only `remove` knows that it is done.
#[derive(Debug)]
pub(super) struct Container {
    engine: bollard::Docker,
    id: String,
    is_removed: bool,
}

impl Container {
    pub(super) async fn create(docker: &Docker, step: &Step) -> Result<Self, ExecutorFault> {
        let name = format!("loggia-{}", step.label(&docker.config.builder));
        // A killed builder may have left one of the same attempt.
        remove(&docker.engine, &name).await?;
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let created = docker.engine.create_container(Some(options), describe(docker, step)).await;
        let id = created.map_err(engine_fault("creating a step's container"))?.id;
        Ok(Self { engine: docker.engine.clone(), id, is_removed: false })
    }

    pub(super) async fn remove(mut self) -> Result<(), ExecutorFault> {
        remove(&self.engine, &self.id).await?;
        self.is_removed = true;
        Ok(())
    }

    pub(super) async fn run(
        &self,
        docker: &Docker,
        step: &Step,
        log: &mpsc::Sender<LogLine>,
        cancel: &CancellationToken,
    ) -> Result<Exit, ExecutorFault> {
        let AttachContainerResults { mut output, input } = self.attach().await?;
        self.start(&mut output).await?;
        self.raise_firewall(docker).await?;
        self.hand_over(docker, step, input).await?;
        let end = async {
            let ended = first(self.wait(&step.limits), &step.limits, cancel).await;
            if !matches!(ended, Ended::Itself(_)) {
                self.kill().await;
            }
            ended
        };
        match with_output(forward(output, log), end).await {
            Ended::Itself(exit_code) => self.exit(exit_code?, &step.limits).await,
            Ended::TimedOut => Ok(Exit::TimedOut { after: step.limits.timeout }),
            Ended::Cancelled => Ok(Exit::Cancelled),
        }
    }

    /// Attached before the start, so that nothing is missed: the engine keeps no log of its own.
    async fn attach(&self) -> Result<AttachContainerResults, ExecutorFault> {
        let streams = AttachContainerOptionsBuilder::new().stdin(true).stdout(true).stderr(true).stream(true);
        let attached = self.engine.attach_container(&self.id, Some(streams.build())).await;
        attached.map_err(engine_fault("attaching to a step's container"))
    }

    async fn start(&self, output: &mut Output) -> Result<(), ExecutorFault> {
        let started = self.engine.start_container(&self.id, None).await;
        started.map_err(engine_fault("starting a step's container"))?;
        let first_word = tokio::time::timeout(FIRST_WORD_MAX, first_word(output)).await;
        first_word
            .unwrap_or_else(|_| Err(format!("it said nothing within {FIRST_WORD_MAX:?}")))
            .map_err(|cause| ExecutorFault::Step(format!("the image's {SHELL} does not start: {cause}")))
    }

    /// The script gets its environment and starts the user's command when its input ends.
    async fn hand_over(&self, docker: &Docker, step: &Step, mut input: Input) -> Result<(), ExecutorFault> {
        let env = environment::of(step, &[], docker.config.ca_file.is_some());
        let written = async {
            input.write_all(prologue(&step.limits, &env).as_bytes()).await?;
            input.shutdown().await
        };
        written
            .await
            .map_err(|cause| ExecutorFault::Io { doing: "handing a step its environment".to_owned(), cause })
    }

    async fn raise_firewall(&self, docker: &Docker) -> Result<(), ExecutorFault> {
        let Some(tools) = &docker.firewall else {
            return Ok(());
        };
        let Some(pid) = self.visible_pid().await? else {
            tracing::warn!("The engine's processes are not visible here: builds can reach private networks");
            return Ok(());
        };
        let resolv_conf = tokio::fs::read_to_string(format!("/proc/{pid}/root/etc/resolv.conf")).await;
        let firewall = Firewall {
            allowed: &docker.config.allowed_networks,
            blocked: &docker.config.blocked_networks,
            resolvers: parse_resolvers(&resolv_conf.unwrap_or_default()),
            host_addresses: host_addresses(&tools.ip).await.map_err(ExecutorFault::Sandbox)?,
        };
        let enter =
            [tools.nsenter.display().to_string(), format!("--net=/proc/{pid}/ns/net"), "--".to_owned()];
        firewall.raise(&tools.ip, &enter).await.map_err(ExecutorFault::Sandbox)
    }

    /// The container's first process, if its number means the same process to us as to the engine.
    async fn visible_pid(&self) -> Result<Option<i64>, ExecutorFault> {
        let pid = self.state().await?.pid.unwrap_or(0);
        let cgroups = tokio::fs::read_to_string(format!("/proc/{pid}/cgroup")).await.unwrap_or_default();
        Ok(cgroups.contains(&self.id).then_some(pid))
    }

    async fn wait(&self, limits: &Limits) -> Result<i64, ExecutorFault> {
        // The answer comes when the container ends: our own limit must come first.
        let patient = self.engine.clone().with_timeout(limits.timeout + Duration::from_secs(60));
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let answer = patient.wait_container(&self.id, Some(options)).next().await;
        match answer {
            Some(Ok(answer)) => Ok(answer.status_code),
            // So the client library reports every exit code but zero.
            Some(Err(EngineError::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(cause)) => Err(engine_fault("waiting for a step's container")(cause)),
            None => Err(engine_fault("waiting for a step's container")(EngineError::RequestTimeoutError)),
        }
    }

    async fn exit(&self, exit_code: i64, limits: &Limits) -> Result<Exit, ExecutorFault> {
        let out_of_memory = self.state().await?.oom_killed.unwrap_or(false);
        let exit_code = i32::try_from(exit_code).unwrap_or(i32::MAX);
        Ok(Exit::from_code(exit_code, out_of_memory, limits))
    }

    async fn state(&self) -> Result<ContainerState, ExecutorFault> {
        let inspected = self.engine.inspect_container(&self.id, None).await;
        Ok(inspected.map_err(engine_fault("inspecting a step's container"))?.state.unwrap_or_default())
    }

    /// An error here is either a container that has just ended or an engine whose removal will fail as well.
    async fn kill(&self) {
        let options = KillContainerOptions { signal: "KILL".to_owned() };
        let _ = self.engine.kill_container(&self.id, Some(options)).await;
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let (false, Ok(runtime)) = (self.is_removed, tokio::runtime::Handle::try_current()) else {
            return;
        };
        let (engine, id) = (self.engine.clone(), std::mem::take(&mut self.id));
        // Nobody waits for this. Should it fail, `remove_leftovers` finds the container by its label.
        runtime.spawn(async move { remove(&engine, &id).await });
    }
}

/// Anything but the script's greeting is an image in which it cannot run.
async fn first_word(output: &mut Output) -> Result<(), String> {
    let mut heard = String::new();
    while !heard.contains('\n') {
        match output.next().await {
            Some(Ok(chunk)) => heard.push_str(&String::from_utf8_lossy(&chunk.into_bytes())),
            Some(Err(cause)) => return Err(cause.to_string()),
            None => break,
        }
    }
    if heard.trim_end() == STARTED { Ok(()) } else { Err(format!("it said {heard:?}")) }
}

async fn forward(mut output: Output, log: &mpsc::Sender<LogLine>) {
    let mut stdout = LineSplitter::new(Stream::Stdout);
    let mut stderr = LineSplitter::new(Stream::Stderr);
    while let Some(Ok(chunk)) = output.next().await {
        match chunk {
            LogOutput::StdErr { message } => lines::send(log, stderr.push(&message)).await,
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                lines::send(log, stdout.push(&message)).await;
            }
            LogOutput::StdIn { .. } => {}
        }
    }
    lines::send(log, stdout.finish().into_iter().chain(stderr.finish())).await;
}

fn describe(docker: &Docker, step: &Step) -> ContainerCreateBody {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    ContainerCreateBody {
        image: Some(docker.config.image.clone()),
        hostname: Some("build".to_owned()),
        user: Some(format!("{}:{}", docker.uid, docker.gid)),
        // Replaces the image's own entry point, which may be anything.
        entrypoint: Some([SHELL, "-c", SCRIPT, "sh"].map(str::to_owned).to_vec()),
        cmd: Some(vec![step.workdir_inside().display().to_string(), step.command.clone()]),
        working_dir: Some("/".to_owned()),
        labels: Some(HashMap::from([
            label(LABEL_BUILDER, &docker.config.builder),
            label(LABEL_BUILD, &step.build_id),
            label(LABEL_STEP, step.name),
        ])),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        host_config: Some(confine(docker, step)),
        ..ContainerCreateBody::default()
    }
}

/// Everything that keeps a step inside, and small.
fn confine(docker: &Docker, step: &Step) -> HostConfig {
    let limits = &step.limits;
    let memory_bytes = to_i64(limits.memory_bytes);
    HostConfig {
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        readonly_rootfs: Some(true),
        // Reaps orphans, which would otherwise use up the process limit.
        init: Some(true),
        network_mode: Some(docker.config.docker_network.clone()),
        ipc_mode: Some("private".to_owned()),
        runtime: docker.config.docker_runtime.clone(),
        userns_mode: docker.keep_id.then(|| "keep-id".to_owned()),
        memory: Some(memory_bytes),
        // Memory and swap together: equal means no swap.
        memory_swap: Some(memory_bytes),
        nano_cpus: Some(i64::from(limits.cpu_millis) * 1_000_000),
        pids_limit: Some(i64::from(limits.processes)),
        mounts: Some(mounts(docker, step)),
        tmpfs: Some(HashMap::from(["/tmp", HOME_DIR].map(|dir| (dir.to_owned(), tmpfs_options(limits))))),
        // The log goes to us and to nobody else: the engine would keep a copy on its disk.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    }
}

fn mounts(docker: &Docker, step: &Step) -> Vec<Mount> {
    let bind = |source: &Path, target: &str, read_only: bool| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    };
    let ca_file = docker.config.ca_file.iter().map(|file| bind(file, environment::CA_FILE, true));
    let folders = [bind(&step.workspace, WORKSPACE_DIR, false), bind(&step.cache, CACHE_DIR, false)];
    folders.into_iter().chain(ca_file).collect()
}

/// What is written there counts as the step's memory. Install scripts run programs that they unpack to `/tmp`.
fn tmpfs_options(limits: &Limits) -> String {
    format!("rw,exec,nosuid,nodev,mode=1777,size={}", limits.memory_bytes)
}

fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
