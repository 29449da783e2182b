//! The bubblewrap sandbox itself: its namespaces, its user, and its processes from start to end.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use super::files::{self, INSIDE_UID};
use super::network::{Network, complaint};
use super::processes::{children_of, kill_now, resident_bytes_below};
use super::{Sandbox, User, io_fault};
use crate::executor::script::{SCRIPT, SHELL, STARTED, prologue};
use crate::executor::step::{Limits, LogLine, Step, Stream};
use crate::executor::{ExecutorConfig, ExecutorFault, environment, lines};

/// Mounting some 20 folders takes milliseconds, on a busy machine a second.
const START_MAX: Duration = Duration::from_secs(30);

/// How often memory is measured where no control group does it. A process can allocate about a gigabyte in between.
const MEMORY_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct End {
    pub(super) exit_code: i32,
    pub(super) out_of_memory: bool,
}

/// A running sandbox. Dropping it kills everything inside.
#[derive(Debug)]
pub(super) struct Jail {
    bwrap: Child,
    bwrap_pid: i32,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Jail {
    /// The sandbox stands when this returns, and waits: nothing of the user's has run.
    pub(super) async fn start(
        sandbox: &Sandbox,
        network: &Network,
        step: &Step,
        limit_processes: bool,
    ) -> Result<Self, ExecutorFault> {
        let argv = [network.enter(sandbox), arguments(sandbox, step, limit_processes)].concat();
        let (program, arguments) = argv.split_first().expect("entering a network names a program");
        let mut command = Command::new(program);
        command.args(arguments).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut bwrap = sandbox.spawner.spawn(command).await.map_err(io_fault("starting bwrap"))?;
        let bwrap_pid = bwrap.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        let stdout = bwrap.stdout.take().map(BufReader::new);
        let mut jail = Self { bwrap, bwrap_pid, stdout };
        match tokio::time::timeout(START_MAX, jail.first_word()).await {
            Ok(true) => {}
            Ok(false) => return Err(ExecutorFault::Sandbox(complaint(&mut jail.bwrap).await)),
            Err(_) => {
                return Err(ExecutorFault::Sandbox(format!("it does not stand after {START_MAX:?}")));
            }
        }
        Ok(jail)
    }

    async fn first_word(&mut self) -> bool {
        let Some(stdout) = self.stdout.as_mut() else {
            return false;
        };
        let mut line = String::new();
        stdout.read_line(&mut line).await.is_ok() && line.trim_end() == STARTED
    }

    /// What there is before the user's command starts; all others of the step will descend from these.
    pub(super) fn processes(&self) -> Vec<i32> {
        let first = children_of(self.bwrap_pid);
        let below = first.iter().flat_map(|pid| children_of(*pid)).collect();
        [first, below].concat()
    }

    /// Gives the waiting script its environment, upon which it starts the user's command. The answer forwards output.
    pub(super) async fn hand_over<'a>(
        &mut self,
        sandbox: &Sandbox,
        step: &Step,
        log: &'a mpsc::Sender<LogLine>,
    ) -> Result<impl Future<Output = ()> + use<'a>, ExecutorFault> {
        let has_ca_file = sandbox.config.ca_file.is_some();
        let env = environment::of(step, &tool_dirs(&sandbox.config), has_ca_file);
        let text = prologue(&step.limits, &env);
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (self.bwrap.stdin.take(), self.stdout.take(), self.bwrap.stderr.take())
        else {
            return Err(ExecutorFault::Sandbox("its pipes are gone".to_owned()));
        };
        stdin.write_all(text.as_bytes()).await.map_err(io_fault("handing a step its environment"))?;
        drop(stdin);
        Ok(async move {
            tokio::join!(
                lines::forward(stdout, Stream::Stdout, log),
                lines::forward(stderr, Stream::Stderr, log)
            );
        })
    }

    /// bwrap ends after the first process inside has, and the kernel lets that one end only after all others of its
    /// pid namespace are gone.
    ///
    /// With limits, memory is measured here.
    pub(super) async fn wait(&mut self, measured: Option<&Limits>) -> Result<End, ExecutorFault> {
        let (mut out_of_memory, bwrap_pid) = (false, self.bwrap_pid);
        let status = loop {
            tokio::select! {
                status = self.bwrap.wait() => break status.map_err(io_fault("waiting for bwrap"))?,
                () = exceed_memory(bwrap_pid, measured), if !out_of_memory => {
                    out_of_memory = true;
                    self.kill_first_process();
                }
            }
        };
        Ok(End { exit_code: exit_code(status), out_of_memory })
    }

    pub(super) async fn kill(&mut self) -> Result<(), ExecutorFault> {
        self.kill_first_process();
        self.wait(None).await.map(|_| ())
    }

    /// Not bwrap: it would end before what it started. The number is looked up again, so that it cannot belong to
    /// somebody else by now.
    fn kill_first_process(&self) {
        children_of(self.bwrap_pid).into_iter().for_each(kill_now);
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        if self.bwrap.id().is_some() {
            self.kill_first_process();
        }
    }
}

/// Returns once the step holds more memory than it may; never without limits.
async fn exceed_memory(bwrap_pid: i32, measured: Option<&Limits>) {
    let Some(limits) = measured else {
        return std::future::pending().await;
    };
    let mut interval = tokio::time::interval(MEMORY_INTERVAL);
    loop {
        interval.tick().await;
        if resident_bytes_below(bwrap_pid) > limits.memory_bytes {
            return;
        }
    }
}

/// bwrap itself reports like a shell does.
fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn tool_dirs(config: &ExecutorConfig) -> Vec<String> {
    config.toolchain_dirs.iter().map(|dir| dir.join("bin").display().to_string()).collect()
}

/// bwrap with all its arguments, the step's script at the end.
fn arguments(sandbox: &Sandbox, step: &Step, limit_processes: bool) -> Vec<String> {
    let mut argv = vec![sandbox.tools.bwrap.display().to_string()];
    let mut add = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--hostname", "build"]);
    add(&["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL"]);
    match sandbox.user {
        // Enough for `become_user` to leave root behind, together with these.
        User::Root { .. } => {
            add(&["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]);
        }
        User::Unprivileged => {
            let id = INSIDE_UID.to_string();
            add(&["--unshare-user", "--uid", &id, "--gid", &id]);
        }
    }
    argv.extend(files::arguments(&sandbox.config, &sandbox.files, step));
    argv.push("--".to_owned());
    if let User::Root { uid, gid } = sandbox.user {
        argv.extend(become_user(uid, gid));
    }
    if limit_processes {
        argv.extend(limit_user_processes(&step.limits));
    }
    argv.extend([SHELL, "-c", SCRIPT, "sh"].map(str::to_owned));
    argv.push(step.workdir_inside().display().to_string());
    argv.push(step.command.clone());
    argv
}

/// Programs are named by where the sandbox has them.
///
/// A shell that knows nothing but this stays root, as the first process. bwrap's death signal is a signal like any
/// other, which bwrap, without capabilities, may not send to a process of another user; and when the first process
/// ends, the kernel itself ends all others.
fn become_user(uid: u32, gid: u32) -> Vec<String> {
    let (uid, gid) = (format!("--reuid={uid}"), format!("--regid={gid}"));
    let first_process = [SHELL, "-c", "\"$@\"; exit $?", "sh"];
    let setpriv =
        ["/usr/bin/setpriv", &uid, &gid, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    let rest = ["--no-new-privs", "--"];
    let words = first_process.into_iter().chain(setpriv).chain(rest);
    words.map(str::to_owned).collect()
}

/// Counts all processes of a user, so it is only used where no control group counts a step's own.
fn limit_user_processes(limits: &Limits) -> Vec<String> {
    vec!["/usr/bin/prlimit".to_owned(), format!("--nproc={}", limits.processes), "--".to_owned()]
}
