//! Starts processes that end with the builder, even when it is killed.
//!
//! The kernel sends a parent-death signal when the *thread* that started a process ends (prctl(2)), and the async
//! runtime's threads come and go. So all of them are started by one thread that lives as long as the executor.

use std::io;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

struct Job {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

#[derive(Debug)]
pub(super) struct Spawner {
    jobs: mpsc::Sender<Job>,
}

impl Spawner {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(1);
        std::thread::Builder::new().name("sandbox-spawner".to_owned()).spawn(move || {
            while let Some(mut job) = queue.blocking_recv() {
                let _inside = job.runtime.enter();
                // Whoever asked may have gone: then the child is dropped, and killed by that.
                let _ = job.reply.send(job.command.spawn());
            }
        })?;
        Ok(Self { jobs })
    }

    pub(super) async fn spawn(&self, mut command: Command) -> io::Result<Child> {
        command.kill_on_drop(true);
        let (reply, child) = oneshot::channel();
        let ended = |_| io::Error::other("the spawner thread has ended");
        let job = Job { command, runtime: Handle::current(), reply };
        self.jobs.send(job).await.map_err(|_| io::Error::other("the spawner thread has ended"))?;
        child.await.map_err(ended).flatten()
    }
}
