//! A process that is to take over, until it does.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Display;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::channel;
use super::predecessor::PLACES;
use super::sockets::Sockets;

/// Why there is no successor.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it cannot be started: {0}")]
    Start(#[from] io::Error),
    #[error("it ended before it served ({0}); what it says is above")]
    Ended(ExitStatus),
    #[error("it did not serve within {0:?}")]
    Silent(Duration),
}

/// What is run.
#[derive(Debug)]
pub(super) struct Program {
    path: OsString,
    args: Vec<OsString>,
}

impl Program {
    /// This process's own, by the name that it was started with: an upgrade may move a link, and the kernel only knows
    /// what the link led to.
    pub(super) fn own() -> Self {
        let mut words = std::env::args_os();
        let path = words.next().unwrap_or_else(|| "loggia".into());
        Self { path, args: words.collect() }
    }

    pub(super) fn display(&self) -> Display<'_> {
        Path::new(&self.path).display()
    }
}

/// Dropped before it took over, it is ended.
#[derive(Debug)]
pub(super) struct Successor {
    child: Option<Child>,
    /// Its standard input is the other end.
    channel: UnixStream,
}

impl Successor {
    pub(super) fn start(program: &Program, sockets: &Sockets) -> Result<Self, Failure> {
        let (channel, theirs) = UnixStream::pair()?;
        let (places, sockets): (Vec<String>, Vec<BorrowedFd<'_>>) =
            sockets.used().map(|(place, socket)| (place.to_string(), socket)).unzip();
        // They wait in the channel until there is somebody to take them.
        channel::send(&channel, &sockets)?;
        let child = spawn(program, places.join(",").as_ref(), theirs)?;
        Ok(Self { child: Some(child), channel })
    }

    /// Waits until it says that it serves.
    pub(super) async fn ready(&mut self, within: Duration) -> Result<(), Failure> {
        let channel = self.channel.try_clone()?;
        channel.set_nonblocking(true)?;
        let mut channel = tokio::net::UnixStream::from_std(channel)?;
        match tokio::time::timeout(within, channel.read_u8()).await {
            Ok(Ok(_)) => Ok(()),
            // The end of its input is its own end.
            Ok(Err(_)) => Err(Failure::Ended(self.end()?)),
            Err(_) => Err(Failure::Silent(within)),
        }
    }

    /// It serves: its life is its own now. Gives its process id.
    pub(super) fn let_go(mut self) -> u32 {
        let Some(mut child) = self.child.take() else { return 0 };
        let process_id = child.id();
        // Should it end before this process does, somebody has to take notice.
        std::thread::spawn(move || child.wait());
        process_id
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        let Some(mut child) = self.child.take() else { return Ok(ExitStatus::default()) };
        // Of one that is ending already this changes nothing.
        child.kill()?;
        child.wait()
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn spawn(program: &Program, places: &OsStr, input: UnixStream) -> io::Result<Child> {
    Command::new(&program.path).args(&program.args).env(PLACES, places).stdin(OwnedFd::from(input)).spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Successor {
        let program = Program { path: "/bin/sh".into(), args: vec!["-c".into(), script.into()] };
        Successor::start(&program, &Sockets::default()).expect("started")
    }

    #[tokio::test]
    async fn one_that_ends_or_stays_silent_is_no_successor() {
        let failure = async |script: &str, within_ms| {
            let mut successor = shell(script);
            let ready = successor.ready(Duration::from_millis(within_ms)).await;
            ready.expect_err("it says nothing").to_string()
        };
        let ended = failure("exit 64", 30_000).await;
        assert_eq!(ended, "it ended before it served (exit status: 64); what it says is above");
        let silent = failure("exec sleep 600", 100).await;
        assert_eq!(silent, "it did not serve within 100ms");
        let program = Program { path: "/nonexistent/loggia".into(), args: Vec::new() };
        let missing = Successor::start(&program, &Sockets::default()).expect_err("there is none");
        assert!(missing.to_string().starts_with("it cannot be started: No such file"), "{missing}");
    }

    #[tokio::test]
    async fn one_that_is_ready_is_let_go_and_another_one_ended() {
        let (mut ready, mut late) = (shell("echo >&0; exec sleep 600"), shell("exec sleep 600"));
        ready.ready(Duration::from_secs(30)).await.expect("it says so");
        let process = nix::unistd::Pid::from_raw(i32::try_from(ready.let_go()).expect("a process id"));
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).expect("it lives");

        let status = late.end().expect("ended");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}
