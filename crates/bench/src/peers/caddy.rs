//! Caddy's file server.

use std::path::Path;

use super::Peer;
use crate::machine::LOGS;
use crate::process::{Process, free_addr, pinned};
use crate::tools;

pub(crate) const NAME: &str = "Caddy";

pub(crate) async fn start(dir: &Path, core: usize, root: &Path) -> anyhow::Result<Option<Peer>> {
    let Some(program) = tools::find("caddy") else { return Ok(None) };
    let addr = free_addr()?;
    let file = dir.join("Caddyfile");
    std::fs::write(&file, caddyfile(addr.port(), root, &dir.join(LOGS[2])))?;
    let mut command = pinned(core, program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
    // One core: more threads that run Go would only take turns.
    command.env("GOMAXPROCS", "1");
    // What it remembers stays out of the user's own folders.
    command
        .env("HOME", dir)
        .env("XDG_CONFIG_HOME", dir.join("caddy"))
        .env("XDG_DATA_HOME", dir.join("caddy"));
    let mut process = Process::start("caddy", dir, &mut command)?;
    process.listens(addr).await?;
    Ok(Some(Peer { name: NAME, process, addr }))
}

fn caddyfile(port: u16, root: &Path, log: &Path) -> String {
    let (root, log) = (root.display(), log.display());
    format!(
        "{{
    admin off
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    root * {root}
    file_server
    log {{
        output file {log} {{
            roll_disabled
        }}
        format json
    }}
}}
"
    )
}
