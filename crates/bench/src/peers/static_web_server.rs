//! static-web-server, from crates.io.

use std::path::Path;

use super::Peer;
use crate::process::{Process, free_addr, pinned};
use crate::tools;

pub(crate) const NAME: &str = "static-web-server";

pub(crate) async fn start(dir: &Path, core: usize, root: &Path) -> anyhow::Result<Option<Peer>> {
    let Some(program) = tools::find("static-web-server") else { return Ok(None) };
    let addr = free_addr()?;
    let mut command = pinned(core, program);
    command.arg("--root").arg(root).args(["--host", "127.0.0.1", "--port", &addr.port().to_string()]);
    // Its log writes to the terminal, line by line and at once: in its favour it has none.
    command.args(["--log-level", "error", "--compression", "false", "--threads-multiplier", "1"]);
    let mut process = Process::start("static-web-server", dir, &mut command)?;
    process.listens(addr).await?;
    Ok(Some(Peer { name: NAME, process, addr }))
}
