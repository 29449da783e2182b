//! What the edge needs around it, in a process of its own so that it can be kept off the edge's core.

mod api;
pub(crate) mod process;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use loggia_storage::{Store, StoreConfig};
use loggia_types::route::Route;

use crate::process::{Process, free_addr, pinned};

pub(crate) const BUCKET: &str = "loggia";
const ACCESS_KEY: &str = "bench";
const SECRET_KEY: &str = "bench-secret-key";
const EDGE_TOKEN: &str = "bench-edge-token-0123456789abcdef";

/// The running process, and how to reach it.
#[derive(Debug)]
pub(crate) struct World {
    process: Process,
    pub s3: SocketAddr,
    pub api: SocketAddr,
    pub store: Store,
    client: reqwest::Client,
}

impl World {
    pub(crate) async fn start(dir: &Path, core: usize) -> anyhow::Result<Self> {
        let (s3, api) = (free_addr()?, free_addr()?);
        let mut command = pinned(core, std::env::current_exe()?);
        command.arg("world").arg("--dir").arg(dir.join("s3"));
        command.args(["--s3", &s3.to_string(), "--api", &api.to_string()]);
        let mut process = Process::start("world", dir, &mut command)?;
        process.listens(s3).await?;
        process.listens(api).await?;
        let store = Store::connect(&store_config(s3));
        Ok(Self { process, s3, api, store, client: reqwest::Client::new() })
    }

    /// Makes a hostname show a deployment. Before the edge asks for it: there are no events.
    pub(crate) async fn set_route(&self, route: &Route) -> anyhow::Result<()> {
        let url = format!("http://{}/routes/{}", self.api, route.hostname);
        let answer = self.client.put(url).json(route).send().await?;
        answer.error_for_status().context("telling the api of a route")?;
        Ok(())
    }

    /// What an edge of this world has in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LOGGIA_API_URL", format!("http://{}", self.api)),
            ("LOGGIA_EDGE_TOKEN", EDGE_TOKEN.to_owned()),
            ("LOGGIA_S3_ENDPOINT", format!("http://{}", self.s3)),
            ("LOGGIA_S3_BUCKET", BUCKET.to_owned()),
            ("LOGGIA_S3_ACCESS_KEY", ACCESS_KEY.to_owned()),
            ("LOGGIA_S3_SECRET_KEY", SECRET_KEY.to_owned()),
        ]
    }

    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.process.check()
    }
}

fn store_config(s3: SocketAddr) -> StoreConfig {
    StoreConfig {
        endpoint_url: Some(format!("http://{s3}")),
        region: "us-east-1".to_owned(),
        bucket: BUCKET.to_owned(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
    }
}
