//! An edge that is replaced while it runs: which of its processes takes visitors, and which still live.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

const NOTICE_MAX: Duration = Duration::from_secs(40);

/// Each process of the edge, the first one first. It listens to them as a service manager does.
#[derive(Debug)]
pub(super) struct Generations {
    notices: UnixDatagram,
    processes: Vec<Pid>,
}

impl Generations {
    /// Listens at a path, which belongs into `NOTIFY_SOCKET`.
    pub(super) fn listen(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { notices: UnixDatagram::bind(path)?, processes: Vec::new() })
    }

    /// The first process serves.
    pub(super) async fn begin(&mut self, process_id: u32) -> anyhow::Result<()> {
        self.processes.push(Pid::from_raw(process_id.try_into()?));
        let notice = self.notice().await?;
        ensure!(notice == "READY=1", "{notice}");
        Ok(())
    }

    /// Has the current process replaced, and waits until the next one has taken over.
    pub(super) async fn advance(&mut self) -> anyhow::Result<()> {
        let current = self.processes.last().context("none was begun")?;
        kill(*current, Signal::SIGUSR2)?;
        let notice = self.notice().await?;
        let process_id = notice.strip_prefix("MAINPID=").with_context(|| notice.clone())?;
        self.processes.push(Pid::from_raw(process_id.parse()?));
        Ok(())
    }

    /// How many live, the current one among them.
    pub(super) fn alive(&self) -> usize {
        self.processes.iter().filter(|process| is_alive(**process)).count()
    }

    async fn notice(&self) -> anyhow::Result<String> {
        let mut bytes = [0; 256];
        let read =
            timeout(NOTICE_MAX, self.notices.recv(&mut bytes)).await.context("no notice of the edge")??;
        Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
    }
}

impl Drop for Generations {
    fn drop(&mut self) {
        // Old ones may wait for a download; nobody wants it any more.
        for process in self.processes.iter().filter(|process| is_alive(**process)) {
            let _ = kill(*process, Signal::SIGKILL);
        }
    }
}

/// One that has ended and whose end nobody has taken notice of (`Z`) lives no more.
fn is_alive(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
