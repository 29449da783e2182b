//! An edge that is replaced again and again: which of its processes is the one that takes visitors, and which still live.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixDatagram;

/// Each process of an edge, the first one first. It listens to them as a service manager does.
pub struct Generations {
    notices: UnixDatagram,
    processes: Vec<Pid>,
}

impl Generations {
    /// Listens at a path, which belongs into `NOTIFY_SOCKET`.
    pub fn listen(path: &Path) -> Self {
        Self { notices: UnixDatagram::bind(path).unwrap(), processes: Vec::new() }
    }

    /// The first process serves.
    pub async fn begin(&mut self, process_id: u32) {
        self.processes.push(Pid::from_raw(process_id.try_into().unwrap()));
        assert_eq!(self.notice().await, "READY=1");
    }

    pub fn current(&self) -> Pid {
        *self.processes.last().unwrap()
    }

    pub fn ask_for_successor(&self) {
        kill(self.current(), Signal::SIGUSR2).unwrap();
    }

    /// Has the current process replaced, and waits until the next one has taken over.
    pub async fn advance(&mut self) {
        self.ask_for_successor();
        let notice = self.notice().await;
        let process_id = notice.strip_prefix("MAINPID=").unwrap_or_else(|| panic!("{notice}"));
        self.processes.push(Pid::from_raw(process_id.parse().unwrap()));
    }

    /// Those that live, the current one among them.
    pub fn alive(&self) -> Vec<Pid> {
        self.processes.iter().copied().filter(|process| is_alive(*process)).collect()
    }

    async fn notice(&self) -> String {
        let mut bytes = [0; 256];
        let notice = tokio::time::timeout(Duration::from_secs(40), self.notices.recv(&mut bytes));
        let read = notice.await.expect("a notice within 40 s").unwrap();
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }
}

impl Drop for Generations {
    fn drop(&mut self) {
        for process in self.alive() {
            let _ = kill(process, Signal::SIGTERM);
        }
    }
}

/// One that has ended and whose end nobody has taken notice of (`Z`) lives no more.
fn is_alive(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
