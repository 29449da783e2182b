//! Replaces the running process by the binary that lies at its path now, and no visitor notices.
//!
//! ```text
//! sockets      what an edge listens on: bound, or inherited
//! channel      carries descriptors over a Unix socket
//! successor    the side of the process that is replaced
//! predecessor  the side of the one that replaces it
//! ```
//!
//! On SIGUSR2 the process starts its successor with its own arguments and environment and lends it the listening
//! sockets. Both accept connections for a moment; once the successor has said that it serves, this one accepts no more
//! and ends when its last download has. A successor that does not come that far is a line in the log, and nothing else
//! has happened (docs/decisions/0009).

mod channel;
mod predecessor;
mod sockets;
mod successor;

use std::time::Duration;

use anyhow::Context;
use loggia_runtime::systemd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub(crate) use self::sockets::{Place, Role, Sockets};
use self::successor::{Program, Successor};
use crate::config::Config;
use crate::edge::{Edge, Ending};

/// An edge with a million routes reads them in some seconds, and the disk of one that was just installed is cold.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Whoever is the first process of a container takes the container along when it ends.
const FIRST_PROCESS: u32 = 1;

/// Runs an edge until `shutdown`, or until a successor has taken over and the last connection has ended.
///
/// # Errors
/// As [`crate::run`], and a predecessor whose sockets do not arrive.
pub async fn run_replaceable(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    // First of all: until somebody listens to it, this signal ends the process.
    let mut requests = signal(SignalKind::user_defined2()).context("listening to SIGUSR2")?;
    let (mut sockets, predecessor) = predecessor::inherit()?;
    let edge = Edge::bind_on(config, &mut sockets).await?;
    let ending = Ending::new(shutdown.clone());
    let mut serving = tokio::spawn(edge.serve_until(ending.clone()));
    match predecessor {
        Some(predecessor) => predecessor.release(),
        None => systemd::notify("READY=1"),
    }
    tokio::select! {
        ended = &mut serving => return ended.context("the edge failed")?,
        // Here the sockets close, which `replace` owns.
        () = shutdown.cancelled() => {}
        process_id = replace(&mut requests, sockets) => {
            info!(process_id, "Process {process_id} has taken over");
            // While this process is the main one, systemd believes it alone.
            systemd::notify(&format!("MAINPID={process_id}"));
            ending.handed_over.cancel();
        }
    }
    serving.await.context("the edge failed")?
}

/// Starts a successor at each signal, until one has taken over. Gives its process id.
async fn replace(requests: &mut Signal, sockets: Sockets) -> u32 {
    let program = Program::own();
    loop {
        if requests.recv().await.is_none() {
            return std::future::pending().await;
        }
        if std::process::id() == FIRST_PROCESS {
            warn!("SIGUSR2 is ignored: this is the first process of a container, which would end with it");
            continue;
        }
        info!("Starting {} to take over", program.display());
        let ready = async {
            let mut successor = Successor::start(&program, &sockets)?;
            successor.ready(READY_WITHIN).await?;
            Ok::<_, successor::Failure>(successor.let_go())
        };
        match ready.await {
            Ok(process_id) => return process_id,
            Err(cause) => error!(error = %cause, "No successor, this process serves on: {cause}"),
        }
    }
}
