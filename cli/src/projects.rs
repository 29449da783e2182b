//! `loggia projects`

use loggia_types::api::{CreateProject, Page, Project};
use loggia_types::{BranchName, OrganizationSlug, ProjectSlug, RepositoryUrl};

use crate::api::Api;
use crate::output::{Output, moment};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// All projects that you see.
    List,
    /// One project.
    Show { project: ProjectSlug },
    /// Make a project: of a repository, or an empty one to upload to.
    Create {
        slug: ProjectSlug,
        /// Who shall own it; you when absent.
        #[arg(long)]
        organization: Option<OrganizationSlug>,
        #[arg(long)]
        repository: Option<RepositoryUrl>,
        #[arg(long)]
        branch: Option<BranchName>,
    },
    /// Delete a project. Its hostnames answer no more.
    Delete {
        project: ProjectSlug,
        /// Don't ask: you mean it.
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let (api, output) = (options.api.client()?, options.output);
    match options.command {
        Command::List => {
            let mut projects: Vec<Project> = Vec::new();
            let mut cursor = None;
            loop {
                let page: Page<Project> = api.list_projects(cursor.as_deref()).await?;
                projects.extend(page.items);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            output.many(&projects, ["PROJECT", "ORGANIZATION", "URL", "CREATED"], |project| {
                [
                    project.slug.to_string(),
                    project.organization.to_string(),
                    project.url.clone(),
                    moment(project.created_at),
                ]
            })
        }
        Command::Show { project } => {
            let shown: Project = api.get(&format!("/projects/{project}")).await?;
            output.one(&shown, text)
        }
        Command::Create { slug, organization, repository, branch } => {
            let body = CreateProject {
                organization,
                repository_url: repository,
                production_branch: branch,
                ..CreateProject::new(slug)
            };
            let created = api.create_project(&body).await?;
            output.one(&created, |created| match &created.project.repository_url {
                Some(_) => format!(
                    "{}\n\nFor a build with each push, add a webhook to the repository:\n  URL     {}\n  secret  {}  (shown \
                     this once)",
                    text(&created.project),
                    created.webhook_url,
                    created.webhook_secret
                ),
                None => format!(
                    "{}\n\nDeploy a folder to it: loggia deploy DIR --project {}",
                    text(&created.project),
                    created.project.slug
                ),
            })
        }
        Command::Delete { project, yes } => {
            crate::confirm::ask(
                yes,
                &format!("Delete {project}? Its sites are gone at once."),
                project.as_str(),
            )?;
            api.delete_project(&project).await?;
            output.done(&format!("Deleted {project}."));
            Ok(())
        }
    }
}

fn text(project: &Project) -> String {
    let repository = project.repository_url.as_ref().map_or("none", AsRef::as_ref);
    let live = project.production_deployment_id.map_or_else(|| "nothing yet".to_owned(), |id| id.to_string());
    format!(
        "{}  {}\n  organization  {}\n  repository    {repository}\n  branch        {}\n  production    {live}",
        project.slug, project.url, project.organization, project.production_branch
    )
}
