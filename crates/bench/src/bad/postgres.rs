//! A private Postgres on a Unix socket, which can be stopped and killed.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;
use nix::unistd::User;
use tokio::time::{Instant, sleep};

use crate::process::Process;

const START_MAX: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Postgres {
    programs: PathBuf,
    home: PathBuf,
    /// `None`: it was killed.
    process: Option<Process>,
}

impl Postgres {
    pub(super) async fn start(dir: &Path) -> anyhow::Result<Self> {
        let home = dir.join("postgres");
        std::fs::create_dir(&home)?;
        let mut postgres = Self { programs: programs()?, home, process: None };
        if let Some(owner) = owner()? {
            std::os::unix::fs::chown(&postgres.home, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
        }
        let mut initdb = postgres.command("initdb")?;
        initdb.args([
            "--no-sync",
            "--auth=trust",
            "--username=loggia",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]);
        let made = tokio::process::Command::from(initdb).output().await?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        postgres.resume().await?;
        Ok(postgres)
    }

    pub(super) fn url(&self) -> String {
        format!("host={} user=loggia dbname=postgres", self.home.display())
    }

    /// Starts it on the data that are there.
    pub(super) async fn resume(&mut self) -> anyhow::Result<()> {
        let mut command = self.command("postgres")?;
        command.args(["-c", "listen_addresses=", "-c", "max_connections=100", "-k"]).arg(&self.home);
        let mut process = Process::start("postgres", &self.home, &mut command)?;
        let deadline = Instant::now() + START_MAX;
        // It takes connections before it is done with what was left by a kill, and refuses them then.
        while !self.is_ready().await? {
            process.check()?;
            ensure!(Instant::now() < deadline, "Postgres does not get ready");
            sleep(LOOK_AGAIN).await;
        }
        self.process = Some(process);
        Ok(())
    }

    async fn is_ready(&self) -> anyhow::Result<bool> {
        let mut asking = self.command("pg_isready")?;
        asking.arg("--quiet").arg("--host").arg(&self.home);
        Ok(tokio::process::Command::from(asking).status().await?.success())
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().map_or(Ok(()), |process| Ok(process.kill()?))
    }

    /// As a user who may run it: it refuses to be root's.
    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.home).env("PGDATA", self.home.join("data"));
        if let Some(owner) = owner()? {
            command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
        }
        Ok(command)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Asked to end, it would wait until its clients have gone. Its data end with it.
        let _ = self.kill();
    }
}

/// Whose it is when this runs as root.
fn owner() -> anyhow::Result<Option<User>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    User::from_name("postgres")?.context("there is no user postgres").map(Some)
}

/// Debian keeps them out of `PATH`.
fn programs() -> anyhow::Result<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|version| version.path().join("bin"));
    let named = std::env::var_os("LOGGIA_POSTGRES_BIN_DIR").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = named.into_iter().chain(debian).chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").is_file()).context("no Postgres server programs")
}
