//! `loggia`: the client's commands, the server's roles, and everything at once (`loggia up`).
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line talks to a person; the server's roles log"
)]

mod api;
mod confirm;
mod credentials;
mod deploy;
mod deployments;
mod dev;
mod domains;
mod git_server;
mod health;
mod keys;
mod local_site;
mod login;
mod output;
mod projects;
mod purge;
mod rules;
mod serve;
mod teams;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use loggia_client::ClientError;
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
    /// Sign in to an api: a browser opens the door, and a token is kept for the next commands.
    Login(login::LoginOptions),
    /// Forget the token that `login` kept.
    Logout(login::Options),
    /// Who you are, and what you may do where.
    Whoami(login::Options),
    /// Projects: list, show, create, delete.
    Projects(projects::Options),
    /// Upload a folder and let it go live.
    Deploy(deploy::Options),
    /// The deployments of a project, the newest first.
    Deployments(deployments::ListOptions),
    /// One deployment: state, problems, and where its time went.
    Show(deployments::OneOptions),
    /// The log of a deployment; --follow goes on until it has ended.
    Logs(deployments::LogOptions),
    /// Let visitors see a deployment.
    Promote(deployments::PromoteOptions),
    /// Let visitors see again what production showed before.
    Rollback(deployments::Place),
    /// End a deployment that is under way.
    Cancel(deployments::OneOptions),
    /// Custom domains: list, add, verify, primary, remove.
    Domains(domains::Options),
    /// Who belongs to an organization: list, invite, role, remove.
    Members(teams::MemberOptions),
    /// Your tokens: list, create, revoke.
    Tokens(teams::TokenOptions),
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
    /// Print what a shell needs to complete commands, e.g. `loggia completions bash > /etc/bash_completion.d/loggia`.
    Completions {
        shell: clap_complete::Shell,
    },
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
            if let Some(next) = next_step(&error) {
                eprintln!("        {next}");
            }
            exit_code(&error)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(options) => up::run(options).await?,
        Command::Login(options) => login::login(options).await?,
        Command::Logout(options) => login::logout(options).await?,
        Command::Whoami(options) => login::whoami(options).await?,
        Command::Projects(options) => projects::run(options).await?,
        Command::Deploy(options) => deploy::run(options).await?,
        Command::Deployments(options) => deployments::list(options).await?,
        Command::Show(options) => deployments::show(options).await?,
        Command::Logs(options) => deployments::logs(options).await?,
        Command::Promote(options) => deployments::promote(options).await?,
        Command::Rollback(place) => deployments::roll_back(place).await?,
        Command::Cancel(options) => deployments::cancel(options).await?,
        Command::Domains(options) => domains::run(options).await?,
        Command::Members(options) => teams::members(options).await?,
        Command::Tokens(options) => teams::tokens(options).await?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "loggia", &mut script);
            // Who reads only the first lines of it is no fault.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), &script);
        }
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

/// sysexits.h: EX_UNAVAILABLE and EX_NOPERM.
const EXIT_UNREACHABLE: u8 = 69;
const EXIT_NOT_ALLOWED: u8 = 77;

/// 64 for a wrong configuration, 69 for an api that does not answer, 77 for who may not, 1 for the rest.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<ConfigError>().is_some() {
        return ExitCode::from(u8::try_from(EXIT_USAGE).unwrap_or(1));
    }
    if error.downcast_ref::<api::NotSignedIn>().is_some() {
        return ExitCode::from(EXIT_NOT_ALLOWED);
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => ExitCode::from(EXIT_UNREACHABLE),
        Some(ClientError::Refused { status: 401 | 403, .. }) => ExitCode::from(EXIT_NOT_ALLOWED),
        _ => ExitCode::FAILURE,
    }
}

/// What to do about it, where the refusal itself does not say.
fn next_step(error: &anyhow::Error) -> Option<&'static str> {
    let error = error.downcast_ref::<ClientError>()?;
    match (error, error.code()) {
        (ClientError::Unreachable { .. }, _) => {
            Some("is the address right? Say --api-url, or start Loggia with `loggia up`")
        }
        (_, Some("unauthorized" | "token_expired")) => {
            Some("sign in with `loggia login`, or set LOGGIA_TOKEN")
        }
        (_, Some("scope_too_narrow")) => Some("make a wider token with `loggia login --scope admin`"),
        _ => None,
    }
}
