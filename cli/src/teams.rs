//! `loggia members` and `loggia tokens`

use anyhow::bail;
use loggia_types::api::{
    ApiToken, CreateInvitation, CreateToken, CreatedToken, Invitation, Member, Role, TokenScope, UpdateMember,
};
use loggia_types::{ApiTokenId, EmailAddress, OrganizationSlug, ProjectSlug};

use crate::api::Api;
use crate::output::{Output, moment};

#[derive(Debug, clap::Args)]
pub(crate) struct MemberOptions {
    #[command(subcommand)]
    command: MemberCommand,
    /// The organization, by its slug.
    #[arg(long, global = true)]
    organization: Option<OrganizationSlug>,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum MemberCommand {
    /// Who belongs to the organization, and who was invited.
    List,
    /// Invite somebody by mail.
    Invite {
        email: EmailAddress,
        /// viewer, developer, admin or owner.
        #[arg(long, default_value = "developer")]
        role: Role,
    },
    /// Give a member another role.
    Role { email: EmailAddress, role: Role },
    /// Take a member out, or yourself.
    Remove {
        email: EmailAddress,
        /// Don't ask: you mean it.
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) async fn members(options: MemberOptions) -> anyhow::Result<()> {
    let Some(organization) = options.organization else {
        bail!("say which organization: --organization SLUG (`loggia whoami` lists yours)");
    };
    let (api, output) = (options.api.client()?, options.output);
    let path = format!("/organizations/{organization}");
    let find = async |email: &EmailAddress| -> anyhow::Result<Member> {
        let members: Vec<Member> = api.get(&format!("{path}/members")).await?;
        match members.into_iter().find(|member| member.email == *email) {
            Some(member) => Ok(member),
            None => bail!(
                "{email} does not belong to {organization}; invite them with `loggia members invite {email} --organization {organization}`"
            ),
        }
    };
    match options.command {
        MemberCommand::List => {
            let members: Vec<Member> = api.get(&format!("{path}/members")).await?;
            output.many(&members, ["ADDRESS", "NAME", "ROLE", "TWO-FACTOR", "SINCE"], |member| {
                [
                    member.email.to_string(),
                    member.name.clone(),
                    member.role.as_str().to_owned(),
                    if member.has_two_factor { "on".to_owned() } else { "off".to_owned() },
                    moment(member.created_at),
                ]
            })
        }
        MemberCommand::Invite { email, role } => {
            let body = CreateInvitation { email, role };
            let invited: Invitation = api.post(&format!("{path}/invitations"), &body).await?;
            output.one(&invited, |invited| {
                format!(
                    "Invited {} as {}; the link holds until {}.",
                    invited.email,
                    invited.role.as_str(),
                    moment(invited.expires_at)
                )
            })
        }
        MemberCommand::Role { email, role } => {
            let member = find(&email).await?;
            api.patch(&format!("{path}/members/{}", member.id), &UpdateMember { role }).await?;
            output.done(&format!("{email} is {} of {organization} now.", role.as_str()));
            Ok(())
        }
        MemberCommand::Remove { email, yes } => {
            let member = find(&email).await?;
            crate::confirm::ask(yes, &format!("Take {email} out of {organization}?"), email.as_str())?;
            api.delete(&format!("{path}/members/{}", member.id)).await?;
            output.done(&format!("{email} no longer belongs to {organization}."));
            Ok(())
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct TokenOptions {
    #[command(subcommand)]
    command: TokenCommand,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum TokenCommand {
    /// Your tokens.
    List,
    /// Make a token; it is shown this once.
    Create {
        name: String,
        /// read, deploy or admin.
        #[arg(long, default_value = "deploy")]
        scope: TokenScope,
        /// Only for this project.
        #[arg(long)]
        project: Option<ProjectSlug>,
        /// Only for this organization.
        #[arg(long)]
        organization: Option<OrganizationSlug>,
        /// Days that it is good for; 90 when absent.
        #[arg(long, conflicts_with = "forever")]
        days: Option<u16>,
        /// It never expires.
        #[arg(long)]
        forever: bool,
    },
    /// Revoke a token at once.
    Revoke { id: ApiTokenId },
}

pub(crate) async fn tokens(options: TokenOptions) -> anyhow::Result<()> {
    let (api, output) = (options.api.client()?, options.output);
    match options.command {
        TokenCommand::List => {
            let tokens: Vec<ApiToken> = api.get("/user/tokens").await?;
            output.many(
                &tokens,
                ["TOKEN", "NAME", "SCOPE", "FOR", "ENDS WITH", "LAST USED", "EXPIRES"],
                |token| {
                    let place = token.project.as_ref().map(ToString::to_string);
                    let place = place.or_else(|| token.organization.as_ref().map(ToString::to_string));
                    [
                        token.id.to_string(),
                        token.name.clone(),
                        token.scope.as_str().to_owned(),
                        place.unwrap_or_else(|| "everything".to_owned()),
                        token.hint.clone(),
                        token.last_used_at.map_or_else(|| "never".to_owned(), moment),
                        token.expires_at.map_or_else(|| "never".to_owned(), moment),
                    ]
                },
            )
        }
        TokenCommand::Create { name, scope, project, organization, days, forever } => {
            let body = CreateToken { name, scope, organization, project, days, forever };
            let created: CreatedToken = api.post("/user/tokens", &body).await?;
            // The token alone, so that it can be put into a variable.
            output.one(&created, |created| created.token.clone())
        }
        TokenCommand::Revoke { id } => {
            api.delete(&format!("/user/tokens/{id}")).await?;
            output.done(&format!("Revoked {id}."));
            Ok(())
        }
    }
}
