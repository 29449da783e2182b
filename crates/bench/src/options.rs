//! How much is measured.

use std::path::PathBuf;

use anyhow::ensure;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The binary whose `proxy` is measured: built with the profile `dist`, as the image's is.
    #[arg(long)]
    pub edge: PathBuf,
    /// Where the table goes; printed as well.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// A document with `<!-- edge:begin -->` and `<!-- edge:end -->`: what is between them is replaced.
    #[arg(long)]
    pub paste: Option<PathBuf>,
    /// How often each contender has its turn.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// How long a turn is.
    #[arg(long, default_value_t = 5)]
    pub seconds: u32,
    #[arg(long, default_value_t = 64)]
    pub connections: u32,
    /// The one core of the server that is measured.
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    /// The one core of the clients, the S3 server and the api.
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// Only these groups of rows, e.g. `hot,tls`. `--only list` names them.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// One short round over small sites: shows that everything works, and says nothing about speed.
    #[arg(long)]
    pub quick: bool,
    /// Where a folder is made for sites, logs and caches, about 3 GB, and removed at the end. Otherwise among temporary
    /// files.
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// The sizes of things.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub hosts: usize,
    pub files: usize,
    /// Distinct objects that a contender asks for in one turn, each once.
    pub cold_per_turn: usize,
    pub huge_bytes: u64,
    /// Requests of the two runs whose instructions are subtracted from each other.
    pub counted: (u64, u64),
    pub idle_connections: u32,
}

impl Scale {
    pub(crate) fn of(options: &Options) -> Self {
        if options.quick {
            return Self {
                hosts: 20,
                files: 1_000,
                cold_per_turn: 100,
                huge_bytes: 64 << 20,
                counted: (100, 300),
                idle_connections: 200,
            };
        }
        Self {
            hosts: 1_000,
            files: 100_000,
            // About a second of work, and for two rows with five rounds 20,000 objects.
            cold_per_turn: 2_000,
            huge_bytes: 1 << 30,
            // Valgrind is 50 times slower than the machine: the second takes seconds.
            counted: (1_000, 11_000),
            idle_connections: 5_000,
        }
    }
}

impl Options {
    /// With what `--quick` changes.
    pub(crate) fn checked(mut self) -> anyhow::Result<Self> {
        ensure!(self.rounds > 0 && self.seconds > 0, "at least one round of one second");
        ensure!(self.server_core != self.load_core, "server and load have to be on different cores");
        if self.quick {
            self.rounds = 1;
            self.seconds = 1;
        }
        self.edge =
            self.edge.canonicalize().map_err(|error| anyhow::anyhow!("{}: {error}", self.edge.display()))?;
        Ok(self)
    }
}
