//! Edges, as real processes.

use std::fmt::Display;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::site::Page;
use super::stage::Stage;
use super::visitor::Visitor;
use crate::edge::{Addresses, configure};
use crate::process::Process;
use crate::world::World;

const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How an edge is started, as often as is wanted: with the same addresses, and the folder in which it keeps routes.
#[derive(Debug)]
pub(super) struct Plan<'s> {
    stage: &'s Stage,
    name: String,
    addresses: Addresses,
    settings: Vec<(&'static str, String)>,
}

impl<'s> Plan<'s> {
    pub(super) fn new(stage: &'s Stage, name: &str, world: &World) -> anyhow::Result<Self> {
        let settings = world.environment();
        Ok(Self { stage, name: name.to_owned(), addresses: Addresses::free()?, settings })
    }

    /// The last one of a name counts.
    pub(super) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.settings.push((name, format!("{value}")));
        self
    }

    pub(super) fn with_api(self, addr: SocketAddr) -> Self {
        self.with("LOGGIA_API_URL", format!("http://{addr}"))
    }

    pub(super) fn with_store(self, addr: SocketAddr) -> Self {
        self.with("LOGGIA_S3_ENDPOINT", format!("http://{addr}"))
    }

    /// Does not wait until it listens.
    pub(super) fn spawn(&self) -> anyhow::Result<Process> {
        let Stage { program, certificate, .. } = self.stage;
        let mut command = Command::new(program);
        configure(&mut command, &self.name, self.stage.dir(), self.addresses, certificate)?;
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        Process::start(&self.name, self.stage.dir(), &mut command)
    }

    pub(super) async fn start(&self) -> anyhow::Result<Process> {
        let mut process = self.spawn()?;
        process.listens(self.addresses.http).await?;
        Ok(process)
    }

    pub(super) fn http(&self) -> SocketAddr {
        self.addresses.http
    }

    pub(super) fn https(&self) -> SocketAddr {
        self.addresses.https
    }
}

/// How long it takes until a page is shown as it was deployed. `None`: longer than `most`.
pub(super) async fn shows(addr: SocketAddr, page: &Page, most: Duration) -> Option<Duration> {
    let begun = Instant::now();
    let right = async {
        // A new connection each time, as from somebody who never came before.
        while !Visitor::new(addr).sees(page).await {
            sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(most, right).await.ok().map(|()| begun.elapsed())
}
