//! `loggia rules`: what a site's rules do, before it is deployed.

mod address;
mod check;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use loggia_publish::Effort;
use loggia_types::Problem;

use crate::local_site::LocalSite;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    // Both are described where their options are.
    Test(test::Options),
    Check(check::Options),
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Test(options) => test::run(options).await,
        Command::Check(options) => check::run(options).await,
    }
}

/// One request has all the time that a deployment takes.
async fn open(dir: &Path, project_root: Option<PathBuf>) -> anyhow::Result<LocalSite> {
    LocalSite::open(dir, project_root.into_iter().collect(), Effort::Deployment).await
}

fn print_problems(problems: &[Problem]) {
    for problem in problems {
        eprintln!("problem: {problem}");
    }
}
