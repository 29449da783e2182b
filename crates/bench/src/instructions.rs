//! User instructions of a request, counted by valgrind: the same on a busy machine and on a quiet one.
//!
//! Two runs differ in the number of requests only; what starting and ending costs is in both and cancels out.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::load::LoadOptions;
use crate::options::Options;
use crate::process::{Process, pinned};
use crate::tools;

/// Kept busy, a server handles several connections for each wake-up, as under load.
const CONNECTIONS: u32 = 16;

/// A server under valgrind, and where it is asked.
pub(crate) struct Counted {
    pub process: Process,
    pub load: LoadOptions,
}

/// Where the counts of one run go: nginx's worker is a process of its own.
#[derive(Debug, Clone)]
pub(crate) struct CountsDir(PathBuf);

impl CountsDir {
    /// Runs a program so that its instructions are counted.
    pub(crate) fn command(&self, options: &Options, program: &Path) -> Command {
        let mut command = pinned(options.server_core, "valgrind");
        command.args(["--tool=callgrind", "--trace-children=yes"]);
        command.arg(format!("--callgrind-out-file={}/%p", self.0.display())).arg(program);
        command
    }

    fn total(&self) -> anyhow::Result<f64> {
        let mut total = 0.0;
        for file in std::fs::read_dir(&self.0)? {
            let text = std::fs::read_to_string(file?.path())?;
            let line = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
            total += line.context("valgrind wrote no totals")?.trim().parse::<f64>()?;
        }
        ensure!(total > 0.0, "valgrind counted nothing");
        Ok(total)
    }
}

pub(crate) fn is_available() -> bool {
    tools::has("valgrind")
}

/// `counted` are the requests of the two runs; `start` gives a server that runs by the command that
/// [`CountsDir::command`] makes.
pub(crate) async fn per_request(
    name: &str,
    options: &Options,
    counted: (u64, u64),
    dir: &Path,
    start: impl AsyncFn(CountsDir) -> anyhow::Result<Counted>,
) -> anyhow::Result<f64> {
    let (few, many) = counted;
    let mut counts = Vec::new();
    for requests in [few, many] {
        let counts_dir = CountsDir(dir.join(format!("instructions-{name}-{requests}")));
        std::fs::create_dir_all(&counts_dir.0)?;
        let Counted { process, load } = start(counts_dir.clone()).await?;
        tools::load(options.load_core, &LoadOptions { count: requests, connections: CONNECTIONS, ..load })
            .await
            .with_context(|| format!("counting {name}"))?;
        process.stop().await?;
        counts.push(counts_dir.total()?);
    }
    Ok((counts[1] - counts[0]) / (many - few) as f64)
}
