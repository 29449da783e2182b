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
        let (http, https, admin) = (free_addr()?, free_addr()?, free_addr()?);
        let state = dir.join(format!("{name}-state"));
        std::fs::create_dir_all(&state)?;
        command
            .arg("proxy")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(world.environment())
            .env("LOGGIA_PROXY_LISTEN", http.to_string())
            .env("LOGGIA_PROXY_TLS_LISTEN", https.to_string())
            .env("LOGGIA_PROXY_TLS_CERT", &certificate.cert)
            .env("LOGGIA_PROXY_TLS_KEY", &certificate.key)
            .env("LOGGIA_PROXY_ADMIN_LISTEN", admin.to_string())
            .env("LOGGIA_PROXY_ACCESS_LOG", dir.join(LOGS[0]))
            .env("LOGGIA_PROXY_STATE_DIR", state)
            .env("LOGGIA_PROXY_CACHE_BYTES", CACHE_BYTES.to_string())
            // It has one core, like each of its peers.
            .env("LOGGIA_PROXY_THREADS", "1");
        let mut process = Process::start(name, dir, &mut command)?;
        process.listens(admin).await?;
        process.listens(http).await?;
        let url = format!("http://{admin}/metrics");
        let metrics = reqwest::Client::new().get(url).send().await?.text().await?;
        ensure!(metrics.contains("loggia_"), "the edge has no metrics");
        Ok(Self { process, http, https })
    }
}
