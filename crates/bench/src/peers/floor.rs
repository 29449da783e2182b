//! The bare TCP loop of [`crate::floor`].

use std::path::Path;

use super::Peer;
use crate::process::{Process, free_addr, pinned};

pub(crate) async fn start(dir: &Path, core: usize, answer_bytes: usize) -> anyhow::Result<Peer> {
    let addr = free_addr()?;
    let mut command = pinned(core, std::env::current_exe()?);
    command.args(["floor", "--listen", &addr.to_string(), "--answer-bytes", &answer_bytes.to_string()]);
    let mut process = Process::start("floor", dir, &mut command)?;
    process.listens(addr).await?;
    Ok(Peer { name: "a bare TCP loop", process, addr })
}
