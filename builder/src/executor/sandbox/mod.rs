//! Steps in bubblewrap sandboxes, with the toolchain of this machine: for a machine without a container engine.
//!
//! A step gets, in this order: a control group with its limits, a network namespace of its own behind slirp4netns and
//! a firewall, and a sandbox in it that waits for a word from us before the user's command starts.
//!
//! As root the namespaces belong to root and the step runs as an unprivileged user, so it has no rights over any of
//! them. Without root, all of it happens in a user namespace.

mod cgroup;
mod files;
mod jail;
mod network;
mod processes;
mod spawner;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::cgroup::{Cgroups, Group};
use self::files::SystemFiles;
use self::jail::Jail;
use self::network::Network;
use self::spawner::Spawner;
use super::firewall::find_tool;
use super::step::{Exit, Limits, LogLine, Step};
use super::supervise::{Ended, first, with_output};
use super::{ExecutorConfig, ExecutorFault, SANDBOX_UID, build_user, ownership};

/// The trial step starts two programs; a cold disk takes a few seconds.
const TRIAL_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Sandbox {
    config: ExecutorConfig,
    tools: Tools,
    user: User,
    cgroups: Option<Cgroups>,
    spawner: Spawner,
    files: SystemFiles,
    gaps: Vec<String>,
}

/// Who the builder is, which decides how the namespaces are made.
#[derive(Debug, Clone, Copy)]
enum User {
    /// We are root: the step becomes this user inside.
    Root { uid: u32, gid: u32 },
    /// We are this user, and so is the step, as `INSIDE_UID`.
    Unprivileged,
}

#[derive(Debug)]
struct Tools {
    bwrap: PathBuf,
    slirp4netns: PathBuf,
    ip: PathBuf,
    nsenter: PathBuf,
    unshare: PathBuf,
    setpriv: PathBuf,
    cat: PathBuf,
}

impl Tools {
    fn find() -> Result<Self, String> {
        let missing: Vec<_> = [
            ("bwrap", "bubblewrap"),
            ("slirp4netns", "slirp4netns"),
            ("ip", "iproute2"),
            ("nsenter", "util-linux"),
            ("unshare", "util-linux"),
            ("setpriv", "util-linux"),
            ("prlimit", "util-linux"),
            ("cat", "coreutils"),
        ]
        .into_iter()
        .filter(|(tool, _)| find_tool(tool).is_none())
        .collect();
        let tool = |name: &str| find_tool(name).ok_or_else(|| describe_missing(&missing));
        Ok(Self {
            bwrap: tool("bwrap")?,
            slirp4netns: tool("slirp4netns")?,
            ip: tool("ip")?,
            nsenter: tool("nsenter")?,
            unshare: tool("unshare")?,
            setpriv: tool("setpriv")?,
            cat: tool("cat")?,
        })
    }
}

fn describe_missing(missing: &[(&str, &str)]) -> String {
    let tools: Vec<_> = missing.iter().map(|(tool, _)| *tool).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    format!("{} not found (Debian: apt-get install {})", tools.join(", "), packages.join(" "))
}

impl Sandbox {
    /// A sandbox in which a first command has run, or why it could not.
    pub(super) async fn prepare(config: ExecutorConfig) -> Result<Self, String> {
        let tools = Tools::find()?;
        let (uid, gid) = build_user(&config, SANDBOX_UID);
        let user =
            if nix::unistd::geteuid().is_root() { User::Root { uid, gid } } else { User::Unprivileged };
        let cgroups = Cgroups::find(&config.builder);
        let files = SystemFiles::write(user).map_err(|cause| format!("writing its /etc: {cause}"))?;
        let spawner = Spawner::start().map_err(|cause| format!("starting a thread: {cause}"))?;
        let mut sandbox = Self { config, tools, user, cgroups, spawner, files, gaps: Vec::new() };
        sandbox.gaps = sandbox.find_gaps(sandbox.try_out().await?);
        Ok(sandbox)
    }

    /// Says whether a build would find Node, npm and git.
    async fn try_out(&self) -> Result<bool, String> {
        let folder = TempDir::new().map_err(|cause| format!("making a folder: {cause}"))?;
        let [workspace, cache] = ["workspace", "cache"].map(|name| folder.path().join(name));
        for path in [&workspace, &cache] {
            std::fs::create_dir(path).map_err(|cause| format!("making {}: {cause}", path.display()))?;
        }
        let step = Step {
            build_id: "trial".to_owned(),
            attempt: 1,
            name: "trial",
            command: "command -v node && command -v npm && command -v git".to_owned(),
            workspace,
            workdir: PathBuf::new(),
            cache,
            env: BTreeMap::new(),
            limits: Limits { timeout: TRIAL_MAX, ..Limits::default() },
        };
        // A closed channel: nobody reads this log.
        let (log, _) = mpsc::channel(1);
        match self.run(&step, &log, &CancellationToken::new()).await {
            Ok(Exit::Success) => Ok(true),
            Ok(Exit::Failure { .. }) => Ok(false),
            Ok(other) => Err(format!("a first command ended with {other:?}")),
            Err(fault) => Err(format!("{}{}", chain(&fault), self.namespace_hint())),
        }
    }

    fn namespace_hint(&self) -> &'static str {
        match self.user {
            User::Root { .. } => " (in a container, it must be allowed to make namespaces)",
            User::Unprivileged => {
                " (user namespaces must be allowed: the settings kernel.unprivileged_userns_clone=1 on older Debian, \
                 kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu; and /dev/net/tun must be readable)"
            }
        }
    }

    fn find_gaps(&self, has_toolchain: bool) -> Vec<String> {
        let cgroup_gap = match &self.cgroups {
            None => Some(
                "no control groups can be made here: memory is measured five times a second and processor time is \
                 not limited",
            ),
            Some(cgroups) if !cgroups.limits_cpu() => {
                Some("processor time is not limited: no cpu control group")
            }
            Some(_) => None,
        };
        let toolchain_gap = (!has_toolchain).then_some("node, npm or git is missing for builds");
        cgroup_gap.into_iter().chain(toolchain_gap).map(str::to_owned).collect()
    }

    pub(super) fn gaps(&self) -> &[String] {
        &self.gaps
    }

    /// Processes die with the builder that started them; only control groups stay.
    pub(super) async fn remove_leftovers(&self) -> Result<usize, ExecutorFault> {
        match &self.cgroups {
            Some(cgroups) => cgroups.remove_all().await,
            None => Ok(0),
        }
    }

    pub(super) async fn run(
        &self,
        step: &Step,
        log: &mpsc::Sender<LogLine>,
        cancel: &CancellationToken,
    ) -> Result<Exit, ExecutorFault> {
        if let User::Root { uid, gid } = self.user {
            ownership::give(&step.workspace, uid, gid).await?;
            ownership::give_once(&step.cache, uid, gid).await?;
        }
        let group = match &self.cgroups {
            Some(cgroups) => Some(cgroups.create(step)?),
            None => None,
        };
        let network = Network::create(self).await?;
        let exit = self.run_inside(step, &network, group.as_ref(), log, cancel).await;
        network.close().await?;
        if let Some(group) = group {
            group.remove().await?;
        }
        exit
    }

    async fn run_inside(
        &self,
        step: &Step,
        network: &Network,
        group: Option<&Group>,
        log: &mpsc::Sender<LogLine>,
        cancel: &CancellationToken,
    ) -> Result<Exit, ExecutorFault> {
        let mut jail = Jail::start(self, network, step, group.is_none()).await?;
        if let Some(group) = group {
            group.add(&jail.processes())?;
        }
        let output = jail.hand_over(self, step, log).await?;
        let end = async {
            let ended = first(jail.wait(group.is_none().then_some(&step.limits)), &step.limits, cancel).await;
            if !matches!(ended, Ended::Itself(_)) {
                jail.kill().await?;
            }
            Ok(ended)
        };
        match with_output(output, end).await? {
            Ended::Itself(end) => {
                let end = end?;
                let out_of_memory = end.out_of_memory || group.is_some_and(Group::was_out_of_memory);
                Ok(Exit::from_code(end.exit_code, out_of_memory, &step.limits))
            }
            Ended::TimedOut => Ok(Exit::TimedOut { after: step.limits.timeout }),
            Ended::Cancelled => Ok(Exit::Cancelled),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn io_fault(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> ExecutorFault {
    let doing = doing.into();
    move |cause| ExecutorFault::Io { doing, cause }
}
