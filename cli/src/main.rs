//! `loggia`: the client's commands, the server's roles, and everything at once (`loggia up`).
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line talks to a person; the server's roles log"
)]

mod api;
mod deploy;
mod dev;
mod git_server;
mod health;
mod keys;
mod local_site;
mod purge;
mod rules;
mod serve;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loggia_runtime::config::{ConfigError, EXIT_USAGE};
use loggia_runtime::logging::{self, LogFormat};

/// Static-site hosting that a team runs itself.
#[derive(Debug, Parser)]
#[command(name = "loggia", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What is logged: error, warn, info, debug, or as in RUST_LOG.
    #[arg(long, global = true, env = "LOGGIA_LOG", default_value = "info")]
    log: String,
    /// text or json.
    #[arg(long, global = true, env = "LOGGIA_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine: api, builder, edge, and a private Postgres and object store.
    Up(up::Options),
    /// Upload a folder and let it go live.
    Deploy(deploy::Options),
    /// Make every edge, and a CDN in front, forget something of a project.
    Purge(purge::Options),
    // Described where its options are.
    Dev(dev::Options),
    /// Try and check a site's redirects and headers, without deploying it.
    #[command(subcommand)]
    Rules(rules::Command),
    /// The keys that seal secrets: see, add, rotate and drop them.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Run the api. Configured by the environment, see .env.example.
    Api,
    /// Run a builder. Configured by the environment, see .env.example.
    Builder,
    /// Run an edge. Configured by the environment, see .env.example.
    Proxy,
    /// Ask a server whether it is well; exit code 0 if so. For health checks of containers.
    Health(health::Options),
    /// Serve bare Git repositories over HTTP on loopback, for trying things out.
    #[command(hide = true)]
    GitServer(git_server::Options),
}

fn main() -> ExitCode {
    loggia_runtime::install_crypto_provider();
    let cli = Cli::parse();
    logging::init(cli.log_format, &cli.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(cli.command)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("loggia: {error:#}");
            exit_code(&error)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(options) => up::run(options).await?,
        Command::Deploy(options) => deploy::run(options).await?,
        Command::Purge(options) => purge::run(options).await?,
        Command::Dev(options) => dev::run(options).await?,
        Command::Rules(command) => return rules::run(command).await,
        Command::Keys(command) => keys::run(command).await?,
        Command::Api => serve::api().await?,
        Command::Builder => serve::builder().await?,
        Command::Proxy => serve::proxy().await?,
        Command::Health(options) => health::run(options).await?,
        Command::GitServer(options) => git_server::run(options).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// 64 for a wrong configuration, 1 for the rest.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<ConfigError>().is_some() {
        return ExitCode::from(u8::try_from(EXIT_USAGE).unwrap_or(1));
    }
    ExitCode::FAILURE
}
