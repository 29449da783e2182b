//! One step's network: a namespace of its own, joined to the world by slirp4netns, behind a firewall.
//!
//! The namespace lives in a holder process, `cat` on a pipe of ours, which ends when the builder does. slirp4netns
//! makes connections on the step's behalf from this machine, so the firewall also names this machine's addresses.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use super::{ExecutorFault, Sandbox, User, io_fault};
use crate::executor::firewall::{Firewall, host_addresses};

/// slirp4netns answers DNS here, with the help of this machine's own resolver.
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

/// Making a namespace and an interface takes milliseconds, on a machine full of builds a second.
const SETUP_MAX: Duration = Duration::from_secs(20);

/// The largest that slirp4netns takes: fewer and larger packets, since nothing but memory is between it and the step.
const MTU: &str = "--mtu=65520";

#[derive(Debug)]
pub(super) struct Network {
    holder: Child,
    holder_pid: u32,
    slirp: Child,
}

impl Network {
    pub(super) async fn create(sandbox: &Sandbox) -> Result<Self, ExecutorFault> {
        let setup = async {
            let (holder, holder_pid) = hold_namespace(sandbox).await?;
            let slirp = start_slirp(sandbox, holder_pid).await?;
            let network = Self { holder, holder_pid, slirp };
            network.raise_firewall(sandbox).await?;
            Ok(network)
        };
        tokio::time::timeout(SETUP_MAX, setup).await.unwrap_or_else(|_| {
            Err(ExecutorFault::Sandbox(format!("its network is not up after {SETUP_MAX:?}")))
        })
    }

    /// The command that runs another one inside, with the right to change the network.
    pub(super) fn enter(&self, sandbox: &Sandbox) -> Vec<String> {
        let mut argv = vec![sandbox.tools.nsenter.display().to_string()];
        if matches!(sandbox.user, User::Unprivileged) {
            argv.push(format!("--user=/proc/{}/ns/user", self.holder_pid));
            argv.push("--preserve-credentials".to_owned());
        }
        argv.push(format!("--net=/proc/{}/ns/net", self.holder_pid));
        argv.push("--".to_owned());
        argv
    }

    async fn raise_firewall(&self, sandbox: &Sandbox) -> Result<(), ExecutorFault> {
        let ip = &sandbox.tools.ip;
        let firewall = Firewall {
            allowed: &sandbox.config.allowed_networks,
            blocked: &sandbox.config.blocked_networks,
            resolvers: vec![RESOLVER],
            host_addresses: host_addresses(ip).await.map_err(ExecutorFault::Sandbox)?,
        };
        firewall.raise(ip, &self.enter(sandbox)).await.map_err(ExecutorFault::Sandbox)
    }

    /// A step that lost its network has failed by our fault, whatever it says.
    pub(super) async fn close(mut self) -> Result<(), ExecutorFault> {
        let lost = self.slirp.try_wait().ok().flatten();
        let _ = self.slirp.kill().await;
        let _ = self.holder.kill().await;
        match lost {
            Some(status) => {
                Err(ExecutorFault::Sandbox(format!("slirp4netns ended during the step with {status}")))
            }
            None => Ok(()),
        }
    }
}

/// The holder echoes what it is sent, which it can do only after it has its namespace.
async fn hold_namespace(sandbox: &Sandbox) -> Result<(Child, u32), ExecutorFault> {
    let mut command = Command::new(&sandbox.tools.unshare);
    if matches!(sandbox.user, User::Unprivileged) {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--net").arg("--").arg(&sandbox.tools.cat).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let doing = "making a network namespace";
    let mut holder = sandbox.spawner.spawn(command).await.map_err(io_fault(doing))?;
    let pid = holder.id().unwrap_or_default();
    let echoed = echo(&mut holder).await.map_err(io_fault(doing))?;
    if !echoed {
        return Err(ExecutorFault::Sandbox(format!("{doing}: {}", complaint(&mut holder).await)));
    }
    Ok((holder, pid))
}

async fn echo(holder: &mut Child) -> std::io::Result<bool> {
    let (Some(stdin), Some(stdout)) = (holder.stdin.as_mut(), holder.stdout.as_mut()) else {
        return Ok(false);
    };
    stdin.write_all(b"up\n").await?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    Ok(line == "up\n")
}

/// slirp4netns parses what a hostile step sends: it runs without capabilities, in an empty file system, behind
/// a filter of system calls.
async fn start_slirp(sandbox: &Sandbox, holder_pid: u32) -> Result<Child, ExecutorFault> {
    let doing = "starting slirp4netns";
    let (ready_sender, mut ready) = pipe::pipe().map_err(io_fault(doing))?;
    let mut command = Command::new(&sandbox.tools.setpriv);
    command.args(["--pdeathsig", "KILL", "--"]);
    if matches!(sandbox.user, User::Root { .. }) {
        // As root, `--enable-sandbox` unmounts its copy of every mount without making it private first. Below a shared
        // one, such as Docker's data folder, that has taken the files of starting containers away.
        command.arg(&sandbox.tools.unshare).args(["--mount", "--propagation", "private", "--"]);
    }
    command.arg(&sandbox.tools.slirp4netns);
    command.args(["--configure", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp", MTU]);
    // Its standard input is where it reports that it is ready: the one descriptor besides the outputs that we can give.
    command.arg("--ready-fd=0");
    match sandbox.user {
        User::Root { .. } => command.arg("--netns-type=path").arg(format!("/proc/{holder_pid}/ns/net")),
        // By pid it finds the user namespace, too, which it must join before it confines itself.
        User::Unprivileged => command.arg(holder_pid.to_string()),
    };
    command.arg("tap0").env_clear();
    command.stdin(ready_sender.into_blocking_fd().map_err(io_fault(doing))?);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut slirp = sandbox.spawner.spawn(command).await.map_err(io_fault(doing))?;
    let mut word = [0];
    match ready.read(&mut word).await {
        Ok(1) => Ok(slirp),
        _ => Err(ExecutorFault::Sandbox(format!("{doing}: {}", complaint(&mut slirp).await))),
    }
}

/// What a tool of ours that did not work has written.
pub(super) async fn complaint(child: &mut Child) -> String {
    let _ = child.kill().await;
    let mut bytes = Vec::new();
    if let Some(stderr) = child.stderr.as_mut() {
        let _ = stderr.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
