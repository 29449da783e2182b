//! How long and how many.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BadOptions {
    /// The binary whose `proxy` and `api` are played with.
    #[arg(long = "edge")]
    pub program: PathBuf,
    /// Where the table goes; printed as well.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// A document with `<!-- bad-days:begin -->` and `<!-- bad-days:end -->`: what is between them is replaced.
    #[arg(long)]
    pub paste: Option<PathBuf>,
    /// Only these days, e.g. `store,scan`. `--only list` names them.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Short and small: shows that everything works; the figures say little.
    #[arg(long)]
    pub quick: bool,
    /// Where a folder is made for sites, logs and databases, about 1 GB, and removed at the end. Otherwise among temporary
    /// files.
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

impl BadOptions {
    pub(super) fn checked(mut self) -> anyhow::Result<Self> {
        let found = self.program.canonicalize();
        self.program = found.map_err(|error| anyhow::anyhow!("{}: {error}", self.program.display()))?;
        Ok(self)
    }
}

/// The sizes of things; the full ones are those of the goals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    /// Known to the edge while api and database are away.
    pub hosts: usize,
    /// How long each loss lasts.
    pub loss: Duration,
    /// And how long visitors are watched before and after it.
    pub quiet: Duration,
    /// Each fault of the store. Longer than the edge waits for a store that hangs.
    pub store_fault: Duration,
    /// Who ask for one cold object at the same time.
    pub clients: usize,
    /// Of a fetch that breaks. Few enough for the bytes of them all to be sent in a fraction of the second that is asked.
    pub followers: usize,
    pub cold_hosts: usize,
    pub flips: usize,
    pub slow_heads: usize,
    pub slow_bodies: usize,
    pub slow_reads: usize,
    pub download_bytes: u64,
    pub flood: Duration,
    pub reloads: usize,
    pub scanned: usize,
}

impl Lengths {
    pub(super) fn of(options: &BadOptions) -> Self {
        let secs = Duration::from_secs;
        if options.quick {
            return Self {
                hosts: 30,
                loss: secs(5),
                quiet: secs(3),
                store_fault: secs(2),
                clients: 300,
                followers: 50,
                cold_hosts: 600,
                flips: 30,
                slow_heads: 150,
                slow_bodies: 50,
                slow_reads: 50,
                download_bytes: 20 << 20,
                flood: secs(2),
                reloads: 3,
                scanned: 2_000,
            };
        }
        Self {
            hosts: 1_000,
            loss: secs(60),
            quiet: secs(15),
            store_fault: secs(20),
            clients: 10_000,
            followers: 200,
            cold_hosts: 10_000,
            flips: 1_000,
            slow_heads: 5_000,
            slow_bodies: 2_000,
            slow_reads: 2_000,
            download_bytes: 200 << 20,
            flood: secs(10),
            reloads: 50,
            scanned: 100_000,
        }
    }
}
