//! The real api over a real Postgres, which can be taken away.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use loggia_client::ApiClient;
use loggia_types::api::{CreateDeployment, CreateProject};
use loggia_types::publish::SiteFile;
use loggia_types::{ContentHash, DeploymentId, ProjectSlug};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use super::postgres::Postgres;
use super::site::Page;
use super::stage::Stage;
use crate::process::{Process, free_addr};
use crate::world::World;

const ADMIN_TOKEN: &str = "bench-admin-token-0123456789abcdef";
const BUILDER_TOKEN: &str = "bench-builder-token-0123456789abcdef";

const READY_MAX: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Control<'s> {
    stage: &'s Stage,
    pub addr: SocketAddr,
    pub client: ApiClient,
    settings: Vec<(&'static str, String)>,
    /// `None`: it was killed.
    api: Option<Process>,
    // Last, since the api ends before its database.
    postgres: Postgres,
}

impl<'s> Control<'s> {
    /// Its store is the world's; the world's own api is left alone.
    pub(super) async fn start(stage: &'s Stage, world: &World) -> anyhow::Result<Self> {
        let postgres = Postgres::start(stage.dir()).await?;
        let addr = free_addr()?;
        let url = format!("http://{addr}");
        let mut settings = world.environment();
        settings.extend([
            ("DATABASE_URL", postgres.url()),
            ("LOGGIA_API_LISTEN", addr.to_string()),
            ("LOGGIA_API_PUBLIC_URL", url.clone()),
            ("LOGGIA_EDGE_PUBLIC_URL", "http://localhost".to_owned()),
            ("LOGGIA_API_TEMP_DIR", stage.dir().display().to_string()),
            ("LOGGIA_ADMIN_TOKEN", ADMIN_TOKEN.to_owned()),
            ("LOGGIA_BUILDER_TOKEN", BUILDER_TOKEN.to_owned()),
            ("LOGGIA_SECRETS_KEYS", format!("bench:{}", "be".repeat(32))),
            ("LOGGIA_API_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            // Thousands of deployments in a row are its work here.
            ("LOGGIA_API_RATE_PER_ACCOUNT", "1000000/100000".to_owned()),
        ]);
        let client = ApiClient::new(&url, ADMIN_TOKEN);
        let mut control = Self { stage, addr, client, settings, api: None, postgres };
        control.start_api().await?;
        Ok(control)
    }

    async fn start_api(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.stage.program);
        command.arg("api").env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        self.api = Some(Process::start("api", self.stage.dir(), &mut command)?);
        self.is_ready().await
    }

    /// Waits until it answers and reaches its database.
    pub(super) async fn is_ready(&mut self) -> anyhow::Result<()> {
        let url = format!("http://{}/readyz", self.addr);
        let asking = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        let deadline = Instant::now() + READY_MAX;
        while !asking.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            self.api.as_mut().context("the api was killed")?.check()?;
            ensure!(Instant::now() < deadline, "the api is not ready");
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    pub(super) fn signal_api(&self, signal: Signal) {
        if let Some(api) = &self.api {
            api.signal(signal);
        }
    }

    pub(super) fn signal_postgres(&self, signal: Signal) {
        self.postgres.signal(signal);
    }

    /// Both at once.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.postgres.kill()?;
        self.api.take().map_or(Ok(()), |api| Ok(api.kill()?))
    }

    /// After [`Control::kill`].
    pub(super) async fn resume(&mut self) -> anyhow::Result<()> {
        self.postgres.resume().await?;
        self.start_api().await
    }

    pub(super) async fn create_project(&self, slug: &ProjectSlug) -> anyhow::Result<()> {
        let project = CreateProject::new(slug.clone());
        self.client.create_project(&project).await?;
        Ok(())
    }

    /// Uploads pages and lets them go live in production.
    pub(super) async fn deploy(&self, slug: &ProjectSlug, pages: &[Page]) -> anyhow::Result<DeploymentId> {
        let file = |page: &Page| -> anyhow::Result<SiteFile> {
            Ok(SiteFile {
                path: page.path.trim_start_matches('/').parse()?,
                hash: ContentHash::of(&page.bytes),
                size: page.bytes.len() as u64,
            })
        };
        let files = pages.iter().map(file).collect::<anyhow::Result<_>>()?;
        let body = CreateDeployment::Upload { files, alias: None, message: String::new() };
        let started = self.client.start_upload(slug, &body).await?;
        for page in pages {
            let hash = ContentHash::of(&page.bytes);
            if started.missing.contains(&hash) {
                let file = self.stage.dir().join(format!("upload-{hash}"));
                std::fs::write(&file, &page.bytes)?;
                self.client.upload_file(slug, started.id, hash, &file).await?;
                std::fs::remove_file(&file)?;
            }
        }
        Ok(self.client.finish_upload(slug, started.id).await?.id)
    }
}
