//! What the edge costs beside other servers: same machine, same files, same run.
//!
//! ```text
//! run       the whole of it: publishes sites, starts the edge and its peers, asks them in turns, writes a table
//! bad-days  what breaks, and what visitors see of it: plays each bad day against real processes, writes a table
//! world     a process with what the edge needs around it: an S3 server and an api that knows routes
//! floor     a server that reads heads and writes the same bytes each time: what no server can beat
//! load      asks a given number of times and no more, which `wrk` cannot
//! hold      keeps connections open
//! ```
//!
//! The others are started by `run`, each on the core that it says: the server that is measured has one core to
//! itself, everything else shares another.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of the command line")]

mod bad;
mod contender;
mod edge;
mod floor;
mod hold;
mod instructions;
mod load;
mod lua;
mod machine;
mod options;
mod peers;
mod probe;
mod process;
mod report;
mod rounds;
mod rows;
mod run;
mod sites;
mod tools;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

#[derive(Debug, Parser)]
#[command(name = "loggia-bench", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure everything and write the table.
    Run(Box<options::Options>),
    /// Play each bad day and write what it cost visitors.
    BadDays(Box<bad::options::BadOptions>),
    #[command(hide = true)]
    World(world::process::WorldOptions),
    #[command(hide = true)]
    Floor(floor::FloorOptions),
    #[command(hide = true)]
    Load(load::LoadOptions),
    #[command(hide = true)]
    Hold(hold::HoldOptions),
}

fn main() -> ExitCode {
    match start(Arguments::parse().command) {
        Ok(is_good) if is_good => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(2),
        Err(error) => {
            eprintln!("loggia-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False: measured, and something missed what was asked of it.
fn start(command: Command) -> anyhow::Result<bool> {
    loggia_runtime::install_crypto_provider();
    match command {
        Command::Run(options) => Runtime::new()?.block_on(run::run(*options)),
        Command::BadDays(options) => Runtime::new()?.block_on(bad::run(*options)),
        Command::World(options) => Runtime::new()?.block_on(world::process::run(options)).map(|()| true),
        // Each of these is pinned to one core, where a second thread would only be in the way.
        Command::Floor(options) => alone()?.block_on(floor::run(options)).map(|()| true),
        Command::Load(options) => alone()?.block_on(load::run(options)).map(|()| true),
        Command::Hold(options) => alone()?.block_on(hold::run(options)).map(|()| true),
    }
}

fn alone() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
