//! The real edge, with everything on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

use crate::machine::LOGS;
use crate::process::{Process, free_addr};
use crate::world::World;

/// As much as nginx and Varnish get for theirs; everything that is asked for more than once fits.
pub(crate) const CACHE_BYTES: u64 = 512 << 20;

/// Certificate and key, used by all contenders that speak TLS.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Where an edge listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub admin: SocketAddr,
}

impl Addresses {
    pub(crate) fn free() -> anyhow::Result<Self> {
        Ok(Self { http: free_addr()?, https: free_addr()?, admin: free_addr()? })
    }
}

#[derive(Debug)]
pub(crate) struct Edge {
    pub process: Process,
    pub http: SocketAddr,
    pub https: SocketAddr,
}

impl Edge {
    /// `name` tells its folder and log apart; `command` is how the binary is run: on a core, or under valgrind.
    pub(crate) async fn start(
        name: &str,
        dir: &Path,
        world: &World,
        certificate: &Certificate,
        mut command: Command,
    ) -> anyhow::Result<Self> {
        let addresses = Addresses::free()?;
        configure(&mut command, name, dir, addresses, certificate)?;
        command
            .envs(world.environment())
            .env("LOGGIA_PROXY_ACCESS_LOG", dir.join(LOGS[0]))
            .env("LOGGIA_PROXY_CACHE_BYTES", CACHE_BYTES.to_string())
            // It has one core, like each of its peers.
            .env("LOGGIA_PROXY_THREADS", "1");
        let mut process = Process::start(name, dir, &mut command)?;
        let Addresses { http, https, admin } = addresses;
        process.listens(admin).await?;
        process.listens(http).await?;
        let url = format!("http://{admin}/metrics");
        let metrics = reqwest::Client::new().get(url).send().await?.text().await?;
        ensure!(metrics.contains("loggia_"), "the edge has no metrics");
        Ok(Self { process, http, https })
    }
}

/// An edge with both listeners, metrics and a log, which as yet knows neither an api nor a store.
pub(crate) fn configure(
    command: &mut Command,
    name: &str,
    dir: &Path,
    addresses: Addresses,
    certificate: &Certificate,
) -> anyhow::Result<()> {
    let state = dir.join(format!("{name}-state"));
    std::fs::create_dir_all(&state)?;
    command
        .arg("proxy")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LOGGIA_PROXY_LISTEN", addresses.http.to_string())
        .env("LOGGIA_PROXY_TLS_LISTEN", addresses.https.to_string())
        .env("LOGGIA_PROXY_TLS_CERT", &certificate.cert)
        .env("LOGGIA_PROXY_TLS_KEY", &certificate.key)
        .env("LOGGIA_PROXY_ADMIN_LISTEN", addresses.admin.to_string())
        .env("LOGGIA_PROXY_ACCESS_LOG", dir.join(format!("{name}-access.log")))
        .env("LOGGIA_PROXY_STATE_DIR", state);
    Ok(())
}
