//! `loggia domains`

use anyhow::bail;
use loggia_client::ApiClient;
use loggia_types::api::{AddDomain, Domain, DomainState, FindingLevel};
use loggia_types::{DomainName, ProjectSlug};

use crate::api::Api;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
    /// The project, by its slug.
    #[arg(long, global = true)]
    project: Option<ProjectSlug>,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The domains of the project.
    List,
    /// Add a domain, and say what has to be set in its zone.
    Add {
        hostname: DomainName,
        /// Also the same name with `www.` before it, or without.
        #[arg(long)]
        with_www: bool,
    },
    /// Look at the zone now, and say what is right and what is not.
    Verify { hostname: DomainName },
    /// Make it the one that others lead to.
    Primary { hostname: DomainName },
    /// Take it off the project.
    Remove {
        hostname: DomainName,
        /// Don't ask: you mean it.
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let Some(project) = options.project else { bail!("say which project: --project SLUG") };
    let (api, output) = (options.api.client()?, options.output);
    match options.command {
        Command::List => {
            let domains = api.list_domains(&project).await?.items;
            output.many(&domains, ["DOMAIN", "STATE", "PRIMARY"], |domain| {
                [
                    domain.hostname.to_string(),
                    state(domain.state).to_owned(),
                    if domain.is_primary { "yes".to_owned() } else { String::new() },
                ]
            })
        }
        Command::Add { hostname, with_www } => {
            let added = api.add_domain(&project, &AddDomain { with_www, ..AddDomain::new(hostname) }).await?;
            output.one(&added, |added| {
                let others = added.with_www.iter().map(text);
                std::iter::once(text(&added.domain)).chain(others).collect::<Vec<_>>().join("\n\n")
            })
        }
        Command::Verify { hostname } => {
            let found = find(&api, &project, &hostname).await?;
            let looked_at = api.verify_domain(&project, found.id).await?;
            output.one(&looked_at, text)?;
            if matches!(looked_at.state, DomainState::Pending | DomainState::Lost) {
                bail!("{hostname} is not proven yet; set what is said above, then run this again");
            }
            Ok(())
        }
        Command::Primary { hostname } => {
            let found = find(&api, &project, &hostname).await?;
            let primary = api.make_primary_domain(&project, found.id).await?;
            output.one(&primary, |domain| format!("{} is the primary domain of {project}.", domain.hostname))
        }
        Command::Remove { hostname, yes } => {
            let found = find(&api, &project, &hostname).await?;
            let question = format!("Take {hostname} off {project}? Nothing is shown at it any more.");
            crate::confirm::ask(yes, &question, hostname.as_str())?;
            api.remove_domain(&project, found.id).await?;
            output.done(&format!("{hostname} is off {project}."));
            Ok(())
        }
    }
}

async fn find(api: &ApiClient, project: &ProjectSlug, hostname: &DomainName) -> anyhow::Result<Domain> {
    let known = api.list_domains(project).await?.items;
    match known.into_iter().find(|domain| domain.hostname == *hostname) {
        Some(domain) => Ok(domain),
        None => bail!(
            "{hostname} is no domain of {project}; add it with `loggia domains add {hostname} --project {project}`"
        ),
    }
}

fn state(state: DomainState) -> &'static str {
    match state {
        DomainState::Pending => "pending",
        DomainState::Verified => "verified",
        DomainState::Misconfigured => "misconfigured",
        DomainState::Lost => "lost",
    }
}

/// What it is, what has to be set, and what was found.
fn text(domain: &Domain) -> String {
    let mut text = format!("{}  {}", domain.hostname, state(domain.state));
    if domain.state != DomainState::Verified {
        text.push_str("\n  Set in the zone:");
        for record in &domain.records {
            text.push_str(&format!("\n    {:<5} {}  {}", record.kind.as_str(), record.name, record.value));
        }
    }
    for finding in domain.diagnosis.iter().flat_map(|diagnosis| &diagnosis.findings) {
        let mark = if finding.level == FindingLevel::Ok { "ok" } else { "!" };
        text.push_str(&format!("\n  {mark:<2} {}", finding.message));
    }
    text
}
