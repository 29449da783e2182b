//! The load generators, each run once to its end on the core for load.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::contender::{Contender, Scheme};
use crate::load::{LoadOptions, Loaded};
use crate::lua;
use crate::process::pinned;

/// Both ends speak it, and OpenSSL's and rustls' own first choice is the same.
pub(crate) const CIPHER: &str = "TLS_AES_256_GCM_SHA384";

/// Connections of `h2load`; each of them carries [`H2_STREAMS`].
pub(crate) const H2_CLIENTS: u32 = 16;
pub(crate) const H2_STREAMS: u32 = 10;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub requests: f64,
    pub secs: f64,
}

impl Turn {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.requests / self.secs
    }
}

/// HTTP/1.1 with kept connections.
pub(crate) async fn wrk(
    core: usize,
    dir: &Path,
    contender: &Contender<'_>,
    connections: u32,
    seconds: u32,
) -> anyhow::Result<Turn> {
    let script = dir.join("wrk.lua");
    std::fs::write(&script, lua::script(&contender.asks))?;
    let mut command = pinned(core, "wrk");
    command.args(["--threads", "1", "--connections", &connections.to_string()]);
    command.args(["--duration", &format!("{seconds}s"), "--timeout", "30s", "--script"]).arg(&script);
    command.arg(format!("{}://{}/", contender.scheme.text(), contender.addr));
    let text = finish(&mut command).await?;
    let last = text.lines().rev().find(|line| line.starts_with('{')).context("wrk printed no results")?;
    let results: lua::Results = serde_json::from_str(last)?;
    ensure!(results.errors == 0.0, "{}: {} requests failed\n{text}", contender.name, results.errors);
    ensure!(results.requests > 0.0, "{}: nothing was answered\n{text}", contender.name);
    Ok(Turn { requests: results.requests, secs: results.micros / 1e6 })
}

/// HTTP/2 over TLS. It asks for the first of the contender's paths.
pub(crate) async fn h2load(core: usize, contender: &Contender<'_>, seconds: u32) -> anyhow::Result<Turn> {
    ensure!(contender.scheme == Scheme::Https, "HTTP/2 is spoken over TLS");
    let ask = contender.asks.first().context("nothing to ask")?;
    let mut command = pinned(core, "h2load");
    command.args(["--threads=1", &format!("--clients={H2_CLIENTS}")]);
    command.arg(format!("--max-concurrent-streams={H2_STREAMS}"));
    // Its first choice is a weaker cipher than `wrk`'s; the one of all rows is set here.
    command.args([&format!("--duration={seconds}"), &format!("--tls13-ciphers={CIPHER}")]);
    command.arg(format!("--connect-to={}", contender.addr));
    command.arg(format!("https://{}:{}{}", ask.host, contender.addr.port(), ask.path));
    let text = finish(&mut command).await?;
    h2load_turn(&text, f64::from(seconds)).with_context(|| format!("{}: {text}", contender.name))
}

fn h2load_turn(text: &str, secs: f64) -> anyhow::Result<Turn> {
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let counts = line("requests: ").context("no line of requests")?;
    let count = |what: &str| {
        let part = counts.split(", ").find_map(|part| part.strip_suffix(what))?;
        part.trim().parse::<f64>().ok()
    };
    let succeeded = count(" succeeded").context("no count of successes")?;
    let failed = count(" failed").unwrap_or(0.0);
    let statuses = line("status codes: ").context("no line of status codes")?;
    ensure!(statuses.contains(" 0 4xx, 0 5xx"), "not only good answers: {statuses}");
    ensure!(failed == 0.0 && succeeded > 0.0, "{failed} requests failed");
    Ok(Turn { requests: succeeded, secs })
}

/// Our own client: a number of requests instead of a time.
pub(crate) async fn load(core: usize, options: &LoadOptions) -> anyhow::Result<Loaded> {
    let mut command = pinned(core, std::env::current_exe()?);
    command.args(["load", "--addr", &options.addr.to_string(), "--host", &options.host]);
    command.args(["--path", &options.path, "--first", &options.first.to_string()]);
    command.args(["--cycle", &options.cycle.to_string()]);
    command.args(["--count", &options.count.to_string(), "--connections", &options.connections.to_string()]);
    Ok(serde_json::from_str(finish(&mut command).await?.trim())?)
}

/// Whether a program is there.
pub(crate) fn has(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is. Servers are in `sbin`, which is not in everybody's `PATH`, and cargo's in a folder of its own.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cargo = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo/bin"));
    let more = ["/usr/sbin".into(), "/usr/local/sbin".into()].into_iter().chain(cargo);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(program)).find(|file| file.is_file())
}

async fn finish(command: &mut Command) -> anyhow::Result<String> {
    let mut command = std::mem::replace(command, Command::new("true"));
    command.stdin(Stdio::null());
    let shown = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    // A run that is given up shall not go on asking.
    let Output { status, stdout, stderr } =
        command.kill_on_drop(true).output().await.context(shown.clone())?;
    let text = String::from_utf8_lossy(&stdout).into_owned();
    if !status.success() {
        bail!("{shown} ended, {status}: {text}{}", String::from_utf8_lossy(&stderr));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const H2LOAD: &str = "\
finished in 1.00s, 4000.00 req/s, 40.00MB/s
requests: 4000 total, 4160 started, 4000 done, 3999 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4000 2xx, 0 3xx, 0 4xx, 0 5xx
";

    #[test]
    fn what_h2load_says_is_understood_and_failures_are_not_counted_as_answers() {
        let turn = h2load_turn(H2LOAD, 2.0).expect("good");
        assert_eq!(turn.requests_per_second(), 1999.5);
        assert!(h2load_turn(&H2LOAD.replace("0 failed", "1 failed"), 1.0).is_err());
        assert!(h2load_turn(&H2LOAD.replace("0 5xx", "1 5xx"), 1.0).is_err());
    }
}
