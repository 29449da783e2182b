//! Servers that run beside us, each on its core and ended by its id.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// Under valgrind an edge needs ten seconds.
const START_MAX: Duration = Duration::from_secs(60);

/// Longer than any of them drains.
const STOP_MAX: Duration = Duration::from_secs(60);

const ASK_AGAIN: Duration = Duration::from_millis(20);

/// `/proc` counts processor time in hundredths of a second, on every Linux that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// A command on one core. Threads and children inherit it.
pub(crate) fn pinned(core: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(core.to_string()).arg(program);
    command
}

#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Its output goes to `{name}.log` in `dir`.
    pub(crate) fn start(name: &str, dir: &Path, command: &mut Command) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let child = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    /// Waits until it accepts connections.
    pub(crate) async fn listens(&mut self, addr: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(addr).await.is_err() {
            self.check()?;
            if Instant::now() > deadline {
                bail!("{} does not listen on {addr}: {}", self.name, self.tail());
            }
            sleep(ASK_AGAIN).await;
        }
        Ok(())
    }

    /// Fails when it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended, {status}: {}", self.name, self.tail()),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// To it and its children.
    pub(crate) fn signal(&self, signal: Signal) {
        self.family().into_iter().for_each(|id| send(id, signal));
    }

    /// Ends it and its children without a chance to clean up.
    pub(crate) fn kill(mut self) -> std::io::Result<()> {
        self.signal(Signal::SIGKILL);
        self.child.wait().map(drop)
    }

    /// Asks it to end and waits for that.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.terminate();
        let deadline = Instant::now() + STOP_MAX;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} does not end: {}", self.name, self.tail());
            }
            sleep(ASK_AGAIN).await;
        }
        Ok(())
    }

    /// Resident memory of it and its children, of which each shared page is counted for one only.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.family().into_iter().map(proportional_bytes).sum()
    }

    /// Processor time of it and its children, in the kernel and outside.
    pub(crate) fn cpu_secs(&self) -> f64 {
        self.family().into_iter().filter_map(ticks).sum::<f64>() / TICKS_PER_SECOND
    }

    fn family(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut at = 0;
        while let Some(id) = found.get(at) {
            found.extend(children(*id));
            at += 1;
        }
        found
    }

    fn terminate(&self) {
        // It is not reaped yet, so the id is still its own.
        send(self.child.id(), Signal::SIGTERM);
        // One that was stopped ends only when it goes on.
        self.signal(Signal::SIGCONT);
    }

    fn tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
            let _ = self.child.wait();
        }
    }
}

fn send(id: u32, signal: Signal) {
    if let Ok(id) = i32::try_from(id) {
        let _ = kill(Pid::from_raw(id), signal);
    }
}

fn children(id: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn ticks(id: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before the last parenthesis may hold spaces. Fields 14 and 15 of proc(5).
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? + next()?)
}

/// `Pss` of proc(5).
fn proportional_bytes(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Below the ports that the kernel gives to clients (32768 on, by default): a client that waits for a server on one of
/// those could meet itself there, and `wrk` uses up thousands of them.
const PORTS: Range<u16> = 20_000..32_000;

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// A free port of loopback, no one twice. Another process could take it before it is used.
pub(crate) fn free_addr() -> anyhow::Result<SocketAddr> {
    // Two runs on one machine begin apart.
    let begin = u16::try_from(std::process::id() % 100).unwrap_or_default() * 100;
    for _ in PORTS {
        let offset = begin.wrapping_add(NEXT_PORT.fetch_add(1, Ordering::Relaxed));
        let addr = SocketAddr::from(([127, 0, 0, 1], PORTS.start + offset % (PORTS.end - PORTS.start)));
        if TcpListener::bind(addr).is_ok() {
            return Ok(addr);
        }
    }
    bail!("no port from {} to {} is free", PORTS.start, PORTS.end)
}
