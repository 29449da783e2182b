//! Connections that are open and quiet.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::row;
use crate::edge::Edge;
use crate::peers::nginx::Nginx;
use crate::process::{Process, pinned};
use crate::report::{Goal, Report};
use crate::run::Run;
use crate::sites::{FILE, HOT};

pub(super) async fn measure(run: &Run, report: &mut Report) -> anyhow::Result<()> {
    // Fresh ones: what was freed after other rows would be used again, and not be seen to be.
    let command = pinned(run.options.server_core, &run.options.edge);
    let edge = Edge::start("edge-idle", &run.dir, &run.world, &run.certificate, command).await?;
    let on_core = |program: &Path| pinned(run.options.server_core, program);
    let nginx =
        Nginx::start("nginx-idle", &run.dir, &run.world, &run.sites, &run.certificate, on_core).await?;
    let ours = bytes_per_connection(run, &edge.process, edge.http).await?;
    let theirs = bytes_per_connection(run, &nginx.process, nginx.ports.with_sendfile).await?;
    let name = format!("memory of an idle connection, of {}", run.scale.idle_connections);
    report.rows.push(row(&name, "nginx static", ours, theirs, "bytes", Goal::Nothing));
    Ok(())
}

/// Outside of the kernel, which is the same for all.
async fn bytes_per_connection(run: &Run, process: &Process, addr: SocketAddr) -> anyhow::Result<f64> {
    // What the first requests of all bring is not a connection's.
    hold(run, addr, 64).await?.release().await?;
    let before = process.memory_bytes();
    let held = hold(run, addr, run.scale.idle_connections).await?;
    let after = process.memory_bytes();
    held.release().await?;
    Ok(after.saturating_sub(before) as f64 / f64::from(run.scale.idle_connections))
}

struct Held(tokio::process::Child);

async fn hold(run: &Run, addr: SocketAddr, connections: u32) -> anyhow::Result<Held> {
    let mut command = pinned(run.options.load_core, std::env::current_exe()?);
    command.args(["hold", "--addr", &addr.to_string(), "--host", HOT, "--path", FILE]);
    command.args(["--connections", &connections.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Command::from(command).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output is ours")?).lines();
    ensure!(lines.next_line().await?.as_deref() == Some("holding"), "connections could not be held");
    Ok(Held(child))
}

impl Held {
    async fn release(mut self) -> anyhow::Result<()> {
        drop(self.0.stdin.take());
        self.0.wait().await?;
        Ok(())
    }
}
