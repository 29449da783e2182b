//! The server process that a cluster's `postmaster.pid` names, if it really is one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::PostgresError;

pub(super) const PID_FILE: &str = "postmaster.pid";

/// What the pid file says. Lines: pid, data folder, start time, port, socket folder, address, shared memory,
/// status (`src/include/utils/pidfile.h`, the same since Postgres 10).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: i32,
    pub(super) socket_dir: PathBuf,
    stopping: bool,
    cluster: PathBuf,
    rest: String,
}

/// Linux gives no number above 2^22, macOS none above 99,999.
const NO_PID: i32 = i32::MAX;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Running, or starting up.
    Ready,
    Stopping,
    Gone,
}

impl Postmaster {
    /// `None`: no server has been left running.
    pub(super) fn read(cluster: &Path) -> Result<Option<Self>, PostgresError> {
        let path = cluster.join(PID_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text, cluster)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(PostgresError::Folder { action: "reading", path, cause }),
        }
    }

    /// `None` also for a file that was cut short by a crash: Postgres removes it by itself.
    fn parse(text: &str, cluster: &Path) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let pid = lines.first()?.parse().ok()?;
        let socket_dir = PathBuf::from(*lines.get(4)?);
        let stopping = lines.get(7) == Some(&"stopping");
        let rest = text.split_once('\n')?.1.to_owned();
        Some(Self { pid, socket_dir, stopping, cluster: cluster.to_owned(), rest })
    }

    /// The same file, naming no process.
    pub(super) fn disowned(&self) -> String {
        format!("{NO_PID}\n{}", self.rest)
    }

    pub(super) fn state(&self) -> State {
        match (self.is_alive(), self.stopping) {
            (false, _) => State::Gone,
            (true, true) => State::Stopping,
            (true, false) => State::Ready,
        }
    }

    /// After a crash of the machine, the number may belong to any process: a postmaster works in its cluster.
    fn is_alive(&self) -> bool {
        if !Path::new("/proc/self").exists() {
            return nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), None).is_ok();
        }
        let process = PathBuf::from(format!("/proc/{}", self.pid));
        match process.join("cwd").read_link() {
            Ok(folder) => folder == self.cluster,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            // Root in a container may lack CAP_SYS_PTRACE; the name is open to all.
            Err(_) => {
                std::fs::read_to_string(process.join("comm")).is_ok_and(|name| name.starts_with("postgres"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid_file(pid: u32, status: &str) -> String {
        format!(
            "{pid}\n/data/postgres/data\n1700000000\n5432\n/data/postgres/socket\n\n  1234  5\n{status}\n"
        )
    }

    #[test]
    fn a_number_that_another_process_got_is_not_our_server() {
        let text = pid_file(std::process::id(), "ready   ");
        let elsewhere = Postmaster::parse(&text, Path::new("/data/postgres/data")).expect("a whole file");
        assert_eq!(elsewhere.state(), State::Gone);

        let here = std::env::current_dir().expect("a working folder");
        assert_eq!(Postmaster::parse(&text, &here).expect("a whole file").state(), State::Ready);
        let text = pid_file(std::process::id(), "stopping");
        assert_eq!(Postmaster::parse(&text, &here).expect("a whole file").state(), State::Stopping);
    }

    #[test]
    fn a_file_cut_short_names_nobody() {
        let whole = pid_file(1, "ready");
        for text in ["", "\n", "12", "twelve\n/data\n1\n5432\n/socket\n"] {
            assert_eq!(Postmaster::parse(text, Path::new("/")), None, "{text:?}");
        }
        let found = Postmaster::parse(&whole, Path::new("/")).expect("a whole file");
        assert_eq!(found.socket_dir, Path::new("/data/postgres/socket"));
    }
}
