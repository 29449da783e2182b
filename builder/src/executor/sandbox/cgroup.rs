//! Limits by control groups, of either version: memory, processes and processor time of a whole step.
//!
//! Groups are made in a folder per builder: `loggia/<builder>/<step>`. A step's first process is put into its group
//! before the user's command starts, and everything that it starts stays in there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::processes::kill_now;
use super::{ExecutorFault, io_fault};
use crate::executor::step::{Limits, Step};

const ROOT: &str = "/sys/fs/cgroup";

/// The kernel's default, and what container engines use.
const CPU_PERIOD_US: u64 = 100_000;

/// A killed process leaves its group within milliseconds; one in the middle of a write to a slow disk takes longer.
const REMOVE_MAX: Duration = Duration::from_secs(10);
const REMOVE_INTERVAL: Duration = Duration::from_millis(10);

const ADDING: &str = "putting a step into its control group";

#[derive(Debug)]
pub(super) struct Cgroups {
    builder: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// A tree per controller. Memory and pids are there, cpu may be missing.
    V1 { memory: PathBuf, pids: PathBuf, cpu: Option<PathBuf> },
    /// One tree.
    V2 { folder: PathBuf, limits_cpu: bool },
}

impl Kind {
    fn folders(&self) -> Vec<&Path> {
        match self {
            Self::V1 { memory, pids, cpu } => {
                [Some(memory), Some(pids), cpu.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect()
            }
            Self::V2 { folder, .. } => vec![folder],
        }
    }
}

impl Cgroups {
    /// Groups that can be made here, tried out; or none.
    pub(super) fn find(builder: &str) -> Option<Self> {
        let builder: String = builder
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' })
            .collect();
        v2_folder(&builder).or_else(|| v1_folders(&builder)).map(|kind| Self { builder, kind })
    }

    pub(super) fn limits_cpu(&self) -> bool {
        match &self.kind {
            Kind::V1 { cpu, .. } => cpu.is_some(),
            Kind::V2 { limits_cpu, .. } => *limits_cpu,
        }
    }

    pub(super) fn create(&self, step: &Step) -> Result<Group, ExecutorFault> {
        let group = self.group(&step.label(&self.builder));
        group.make(&step.limits).map_err(io_fault("making a control group"))?;
        Ok(group)
    }

    /// Ends what is still running in groups of this builder, and removes them.
    pub(super) async fn remove_all(&self) -> Result<usize, ExecutorFault> {
        let parent = match &self.kind {
            Kind::V1 { memory, .. } => memory,
            Kind::V2 { folder, .. } => folder,
        };
        let names: Vec<_> = fs::read_dir(parent)
            .map_err(io_fault("listing control groups"))?
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        for name in &names {
            self.group(name).remove().await?;
        }
        Ok(names.len())
    }

    fn group(&self, name: &str) -> Group {
        let kind = match &self.kind {
            Kind::V1 { memory, pids, cpu } => Kind::V1 {
                memory: memory.join(name),
                pids: pids.join(name),
                cpu: cpu.as_ref().map(|cpu| cpu.join(name)),
            },
            Kind::V2 { folder, limits_cpu } => {
                Kind::V2 { folder: folder.join(name), limits_cpu: *limits_cpu }
            }
        };
        Group { kind, is_removed: false }
    }
}

/// The builder's folder goes with it, unless a step of it is still in there. One of version 2 stays, because another
/// executor of the same builder could not make its groups in a new one without preparing it again.
impl Drop for Cgroups {
    fn drop(&mut self) {
        if let Kind::V1 { .. } = self.kind {
            for folder in self.kind.folders() {
                let _ = fs::remove_dir(folder);
            }
        }
    }
}

/// Version 1: only root can. The folders are below the controllers' roots, not below our own group: a limit on the
/// builder's service is not meant for its builds.
fn v1_folders(builder: &str) -> Option<Kind> {
    let folder = |controller: &str| {
        let folder = Path::new(ROOT).join(controller).join("loggia").join(builder);
        fs::create_dir_all(&folder).ok().filter(|()| folder.join("cgroup.procs").exists()).map(|()| folder)
    };
    Some(Kind::V1 { memory: folder("memory")?, pids: folder("pids")?, cpu: folder("cpu") })
}

/// Version 2: below the root for root, else below our own group if it was delegated to us.
fn v2_folder(builder: &str) -> Option<Kind> {
    let base = if nix::unistd::geteuid().is_root() { PathBuf::from(ROOT) } else { own_v2_folder()? };
    let has = |name: &str| {
        fs::read_to_string(base.join("cgroup.controllers")).is_ok_and(|controllers| {
            controllers.split_ascii_whitespace().any(|controller| controller == name)
        })
    };
    if !has("memory") || !has("pids") {
        return None;
    }
    let folder = base.join("loggia").join(builder);
    fs::create_dir_all(&folder).ok()?;
    let controllers = if has("cpu") { "+memory +pids +cpu" } else { "+memory +pids" };
    for parent in [&base, &base.join("loggia"), &folder] {
        fs::write(parent.join("cgroup.subtree_control"), controllers).ok()?;
    }
    Some(Kind::V2 { limits_cpu: has("cpu"), folder })
}

/// A group that has processes cannot have limited children, so we move to a child ourselves.
fn own_v2_folder() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = Path::new(ROOT).join(path);
    // Started a second time in the same service.
    let base = if own.ends_with("loggia-builder") { own.parent()?.to_owned() } else { own };
    let leaf = base.join("loggia-builder");
    fs::create_dir_all(&leaf).ok()?;
    fs::write(leaf.join("cgroup.procs"), std::process::id().to_string()).ok()?;
    Some(base)
}

/// One step's group. Dropping it kills what is inside and removes it in the background.
#[derive(Debug)]
pub(super) struct Group {
    kind: Kind,
    is_removed: bool,
}

impl Group {
    fn make(&self, limits: &Limits) -> io::Result<()> {
        for folder in self.kind.folders() {
            fs::create_dir_all(folder)?;
        }
        let cpu_quota_us = u64::from(limits.cpu_millis) * CPU_PERIOD_US / 1000;
        match &self.kind {
            Kind::V1 { memory, pids, cpu } => {
                fs::write(memory.join("memory.limit_in_bytes"), limits.memory_bytes.to_string())?;
                write_if_there(
                    &memory.join("memory.memsw.limit_in_bytes"),
                    &limits.memory_bytes.to_string(),
                )?;
                fs::write(pids.join("pids.max"), limits.processes.to_string())?;
                if let Some(cpu) = cpu {
                    fs::write(cpu.join("cpu.cfs_period_us"), CPU_PERIOD_US.to_string())?;
                    fs::write(cpu.join("cpu.cfs_quota_us"), cpu_quota_us.to_string())?;
                }
            }
            Kind::V2 { folder, limits_cpu } => {
                fs::write(folder.join("memory.max"), limits.memory_bytes.to_string())?;
                write_if_there(&folder.join("memory.swap.max"), "0")?;
                fs::write(folder.join("pids.max"), limits.processes.to_string())?;
                if *limits_cpu {
                    fs::write(folder.join("cpu.max"), format!("{cpu_quota_us} {CPU_PERIOD_US}"))?;
                }
            }
        }
        Ok(())
    }

    /// The first of them must be there. Others may be helpers of its start that have ended by now.
    pub(super) fn add(&self, processes: &[i32]) -> Result<(), ExecutorFault> {
        let add = |pid: &i32| {
            let mut folders = self.kind.folders().into_iter();
            folders.try_for_each(|folder| fs::write(folder.join("cgroup.procs"), pid.to_string()))
        };
        let none = || io::Error::other("there are none");
        let (first, rest) = processes.split_first().ok_or_else(none).map_err(io_fault(ADDING))?;
        add(first).map_err(io_fault(ADDING))?;
        for pid in rest {
            match add(pid) {
                Err(cause) if cause.raw_os_error() != Some(nix::libc::ESRCH) => {
                    return Err(io_fault(ADDING)(cause));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the kernel has ended a process of this group for want of memory.
    pub(super) fn was_out_of_memory(&self) -> bool {
        let file = match &self.kind {
            Kind::V1 { memory, .. } => memory.join("memory.oom_control"),
            Kind::V2 { folder, .. } => folder.join("memory.events"),
        };
        fs::read_to_string(file).is_ok_and(|events| oom_kills(&events) > 0)
    }

    pub(super) async fn remove(mut self) -> Result<(), ExecutorFault> {
        self.is_removed = true;
        let deadline = Instant::now() + REMOVE_MAX;
        while let Err(cause) = self.try_remove() {
            if Instant::now() > deadline {
                return Err(io_fault("removing a control group")(cause));
            }
            tokio::time::sleep(REMOVE_INTERVAL).await;
        }
        Ok(())
    }

    /// A group can be removed once it is empty.
    fn try_remove(&self) -> io::Result<()> {
        for folder in self.kind.folders() {
            // Newer kernels of version 2 kill a group as one; for the others, and version 1, each process.
            if fs::write(folder.join("cgroup.kill"), "1").is_err() {
                let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                processes.lines().filter_map(|pid| pid.parse().ok()).for_each(kill_now);
            }
        }
        self.kind.folders().into_iter().try_for_each(remove_folder)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let (false, Ok(runtime)) = (self.is_removed, tokio::runtime::Handle::try_current()) else {
            return;
        };
        let group = Self { kind: self.kind.clone(), is_removed: true };
        // Nobody waits for this. Should it fail, `remove_leftovers` finds the group.
        runtime.spawn(async move { group.remove().await });
    }
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Kernels without accounting of swap have no such file, and then no swap limit.
fn write_if_there(file: &Path, text: &str) -> io::Result<()> {
    if file.exists() { fs::write(file, text) } else { Ok(()) }
}

/// Both versions count on a line `oom_kill N`.
fn oom_kills(events: &str) -> u64 {
    let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_kills_are_counted_in_both_versions() {
        let cases = [
            ("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", 2),
            ("low 0\nhigh 0\nmax 31\noom 1\noom_kill 1\noom_group_kill 0\n", 1),
            ("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", 0),
            ("", 0),
        ];
        for (events, expected) in cases {
            assert_eq!(oom_kills(events), expected, "{events:?}");
        }
    }
}
