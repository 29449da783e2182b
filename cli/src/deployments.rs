//! `loggia deployments`, `logs`, `promote`, `rollback`, `cancel`: what becomes of what was deployed.

use std::time::Duration;

use anyhow::bail;
use loggia_client::ApiClient;
use loggia_types::alias::AliasName;
use loggia_types::api::{Deployment, DeploymentStatus, Promote};
use loggia_types::build::LogLine;
use loggia_types::{DeploymentId, ProjectSlug};

use crate::api::Api;
use crate::output::{Output, moment};

/// The project, and how to ask for it.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The project, by its slug.
    #[arg(long)]
    project: ProjectSlug,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListOptions {
    /// How many, at most.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OneOptions {
    /// The deployment; the newest when absent.
    id: Option<DeploymentId>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LogOptions {
    /// The deployment; the newest when absent.
    id: Option<DeploymentId>,
    /// Go on until it has ended; the exit code is 1 if it failed.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PromoteOptions {
    /// The deployment that visitors shall see.
    id: DeploymentId,
    /// Point this name at it instead of production.
    #[arg(long)]
    alias: Option<AliasName>,
    #[command(flatten)]
    place: Place,
}

/// Between two looks at a log that grows.
const LOOK_EVERY: Duration = Duration::from_millis(300);

pub(crate) async fn list(options: ListOptions) -> anyhow::Result<()> {
    let api = options.place.api.client()?;
    let mut deployments: Vec<Deployment> = Vec::new();
    let mut cursor = None;
    while deployments.len() < options.limit {
        let page = api.list_deployments(&options.place.project, cursor.as_deref()).await?;
        deployments.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    deployments.truncate(options.limit);
    options.place.output.many(
        &deployments,
        ["DEPLOYMENT", "STATE", "BRANCH", "COMMIT", "CREATED", "MESSAGE"],
        |one| {
            [
                one.id.to_string(),
                one.status.as_str().to_owned(),
                one.branch.as_ref().map(ToString::to_string).unwrap_or_default(),
                one.commit.as_ref().map(|commit| commit.short().to_owned()).unwrap_or_default(),
                moment(one.created_at),
                one.message.lines().next().unwrap_or_default().chars().take(60).collect(),
            ]
        },
    )
}

pub(crate) async fn show(options: OneOptions) -> anyhow::Result<()> {
    let api = options.place.api.client()?;
    let shown = find(&api, &options.place.project, options.id).await?;
    options.place.output.one(&shown, text)
}

pub(crate) async fn cancel(options: OneOptions) -> anyhow::Result<()> {
    let api = options.place.api.client()?;
    let found = find(&api, &options.place.project, options.id).await?;
    let cancelled = api.cancel_deployment(&options.place.project, found.id).await?;
    options.place.output.one(&cancelled, |one| format!("Cancelled {}.", one.id))
}

pub(crate) async fn promote(options: PromoteOptions) -> anyhow::Result<()> {
    let api = options.place.api.client()?;
    let alias = options.alias.clone();
    let body = Promote { deployment_id: options.id, alias: options.alias };
    let promoted = api.promote(&options.place.project, &body).await?;
    let name = alias.map_or_else(|| "production".to_owned(), |alias| alias.to_string());
    options.place.output.one(&promoted, |one| format!("{name} of {} shows {} now.", one.project, one.id))
}

pub(crate) async fn roll_back(place: Place) -> anyhow::Result<()> {
    let back = place.api.client()?.roll_back(&place.project).await?;
    place.output.one(&back, |one| format!("production of {} shows {} again.", one.project, one.id))
}

pub(crate) async fn logs(options: LogOptions) -> anyhow::Result<()> {
    let (api, project) = (options.place.api.client()?, &options.place.project);
    let found = find(&api, project, options.id).await?;
    let mut next = 0;
    loop {
        // Asked before the lines: what was written before it ended is there when it has.
        let now = api.get_deployment(project, found.id).await?;
        loop {
            let lines = api.deployment_log(project, found.id, next).await?;
            let Some(last) = lines.last() else { break };
            next = last.sequence + 1;
            lines.iter().try_for_each(|line| print(options.place.output, line))?;
        }
        if !options.follow {
            return Ok(());
        }
        if now.status.is_final() {
            return ended(&now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn ended(one: &Deployment) -> anyhow::Result<()> {
    match (one.status, &one.failure) {
        (DeploymentStatus::Failed, Some(failure)) => bail!("the deployment failed: {}", failure.reason),
        (DeploymentStatus::Cancelled, _) => bail!("the deployment was cancelled"),
        _ => Ok(()),
    }
}

fn print(output: Output, line: &LogLine) -> anyhow::Result<()> {
    if output.json {
        println!("{}", serde_json::to_string(line)?);
    } else {
        println!("{:<8} {}", line.step.as_str(), line.text);
    }
    Ok(())
}

async fn find(
    api: &ApiClient,
    project: &ProjectSlug,
    id: Option<DeploymentId>,
) -> anyhow::Result<Deployment> {
    match id {
        Some(id) => Ok(api.get_deployment(project, id).await?),
        None => match api.list_deployments(project, None).await?.items.into_iter().next() {
            Some(newest) => Ok(newest),
            None => bail!(
                "{project} has no deployment yet; make one with `loggia deploy DIR --project {project}`"
            ),
        },
    }
}

fn text(one: &Deployment) -> String {
    let mut text = format!("{}  {}\n  {}", one.id, one.status.as_str(), one.url);
    if let (Some(branch), Some(commit)) = (&one.branch, &one.commit) {
        text.push_str(&format!(
            "\n  {branch} at {}: {}",
            commit.short(),
            one.message.lines().next().unwrap_or_default()
        ));
    }
    if let Some(failure) = &one.failure {
        text.push_str(&format!("\n  failed in {}: {}", failure.step.as_str(), failure.reason));
    }
    for problem in &one.problems {
        text.push_str(&format!("\n  {problem}"));
    }
    for timing in &one.timings {
        text.push_str(&format!("\n  {:<9} {:>7.1} s", timing.step.as_str(), timing.millis as f64 / 1000.0));
    }
    text
}
