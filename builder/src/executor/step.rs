//! What an executor is asked to do, and how it ended. Knows nothing of containers or sandboxes.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::ExecutorFault;

/// Where a step finds its workspace, inside the isolation.
pub const WORKSPACE_DIR: &str = "/workspace";
/// Where a step finds its cache, inside the isolation.
pub const CACHE_DIR: &str = "/cache";
/// The build user's home: private to the step, empty at its start, gone after it.
pub const HOME_DIR: &str = "/home/build";

/// One command of a user's project: the install or the build.
#[derive(Debug, Clone)]
pub struct Step {
    pub build_id: String,
    /// Counts from 1. A build that was given back is tried again under the same id.
    pub attempt: u16,
    /// `install` or `build`; goes into names that an operator sees (containers, control groups).
    pub name: &'static str,
    /// The user's own command line, run by `sh -c` inside the isolation and never by a shell of ours.
    pub command: String,
    /// Folder of this machine, writable by the step at `/workspace`. It is given to the build user.
    pub workspace: PathBuf,
    /// Where the command starts, relative to the workspace; empty for the workspace itself.
    pub workdir: PathBuf,
    /// Folder of this machine, writable by the step at `/cache`. It is given to the build user.
    pub cache: PathBuf,
    /// The step sees these and the few variables of `environment.rs`; nothing of our own environment.
    pub env: BTreeMap<String, String>,
    pub limits: Limits,
}

#[derive(Debug, Clone)]
pub struct Limits {
    /// Memory of all processes of the step together, with what they keep in `/tmp`.
    pub memory_bytes: u64,
    /// Thousandths of a processor: 1500 is one and a half.
    pub cpu_millis: u32,
    /// Processes and threads at one time.
    pub processes: u32,
    /// Open files of one process.
    pub open_files: u64,
    /// Size of one file.
    pub file_size_bytes: u64,
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Bundlers of large sites need 2 to 3 GiB.
            memory_bytes: 4 << 30,
            cpu_millis: 2000,
            // A Node tool with a worker pool takes about 30 threads a process; monorepos run 20 tools at once.
            processes: 1024,
            // File watchers and bundlers keep thousands open; containers usually allow a million.
            open_files: 65_536,
            file_size_bytes: 4 << 30,
            timeout: Duration::from_secs(20 * 60),
        }
    }
}

/// How the step ended. All of these are the build's own doing or its user's wish; our faults are `ExecutorFault`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Success,
    /// As a shell reports it: 128 and the signal's number when a signal ended the command.
    Failure {
        exit_code: i32,
    },
    /// The step failed after the kernel had ended a process of it for want of memory.
    OutOfMemory {
        limit_bytes: u64,
    },
    TimedOut {
        after: Duration,
    },
    Cancelled,
}

impl Exit {
    /// A step that carries on after losing a process to the memory limit has succeeded, whatever it lost.
    pub(super) fn from_code(exit_code: i32, out_of_memory: bool, limits: &Limits) -> Self {
        match (exit_code, out_of_memory) {
            (0, _) => Self::Success,
            (_, true) => Self::OutOfMemory { limit_bytes: limits.memory_bytes },
            (exit_code, false) => Self::Failure { exit_code },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One line of the step's output, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub stream: Stream,
    pub text: String,
    /// It was too long, and the stream's next one goes on where it was cut.
    pub goes_on: bool,
}

impl Step {
    /// Text that reaches a command line or a shell must be what we take it for; a mistake here is the caller's.
    pub(super) fn check(&self) -> Result<(), ExecutorFault> {
        if !self.workdir.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(ExecutorFault::Step(format!(
                "the folder {} leaves the workspace",
                self.workdir.display()
            )));
        }
        if self.command.contains('\0') {
            return Err(ExecutorFault::Step("the command holds a NUL character".to_owned()));
        }
        match self.env.iter().find(|(name, value)| !is_variable_name(name) || value.contains('\0')) {
            Some((name, _)) => {
                Err(ExecutorFault::Step(format!("{name:?} cannot be an environment variable")))
            }
            None => Ok(()),
        }
    }

    pub(super) fn workdir_inside(&self) -> PathBuf {
        let parts = self.workdir.components().filter(|part| matches!(part, Component::Normal(_)));
        Path::new(WORKSPACE_DIR).components().chain(parts).collect()
    }

    /// Names the step among all steps of all builders on a machine: letters, digits, `.`, `_` and `-` only.
    pub(super) fn label(&self, builder: &str) -> String {
        format!("{builder}-{}-{}-{}", self.build_id, self.attempt, self.name)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
            .collect()
    }
}

/// What POSIX calls a name: other ones could not be set by a shell.
fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_memory_kills_become_exits() {
        let limits = Limits { memory_bytes: 7, ..Limits::default() };
        let cases = [
            // code, killed for memory, exit
            (0, false, Exit::Success),
            (0, true, Exit::Success),
            (1, false, Exit::Failure { exit_code: 1 }),
            (137, false, Exit::Failure { exit_code: 137 }),
            (137, true, Exit::OutOfMemory { limit_bytes: 7 }),
            (1, true, Exit::OutOfMemory { limit_bytes: 7 }),
        ];
        for (code, out_of_memory, expected) in cases {
            assert_eq!(Exit::from_code(code, out_of_memory, &limits), expected, "{code} {out_of_memory}");
        }
    }

    #[test]
    fn steps_that_would_leave_their_workspace_or_break_a_shell_are_refused() {
        let step = |workdir: &str, command: &str, name: &str, value: &str| Step {
            build_id: "b1".to_owned(),
            attempt: 1,
            name: "build",
            command: command.to_owned(),
            workspace: PathBuf::new(),
            workdir: PathBuf::from(workdir),
            cache: PathBuf::new(),
            env: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            limits: Limits::default(),
        };
        let cases = [
            // workdir, command, variable, value, allowed
            ("", "make", "A", "1", true),
            (".", "make", "A", "1", true),
            ("packages/site", "make", "_a9", "", true),
            ("../other", "make", "A", "1", false),
            ("/etc", "make", "A", "1", false),
            ("a/../../b", "make", "A", "1", false),
            ("", "ma\0ke", "A", "1", false),
            ("", "make", "A B", "1", false),
            ("", "make", "A=B", "1", false),
            ("", "make", "9A", "1", false),
            ("", "make", "", "1", false),
            ("", "make", "$(id)", "1", false),
            ("", "make", "A", "x\0", false),
        ];
        for (workdir, command, name, value, allowed) in cases {
            let checked = step(workdir, command, name, value).check();
            assert_eq!(checked.is_ok(), allowed, "{workdir:?} {command:?} {name:?} {value:?}: {checked:?}");
        }
    }

    #[test]
    fn labels_hold_nothing_that_a_path_or_a_container_name_cannot() {
        let step = Step {
            build_id: "../b 1".to_owned(),
            attempt: 2,
            name: "install",
            command: String::new(),
            workspace: PathBuf::new(),
            workdir: PathBuf::new(),
            cache: PathBuf::new(),
            env: BTreeMap::new(),
            limits: Limits::default(),
        };
        assert_eq!(step.label("one"), "one-.._b_1-2-install");
    }
}
