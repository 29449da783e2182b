//! Rows as the public API shows them.

use loggia_types::api::{Deployment, DeploymentStatus, Domain, DomainState, Project};
use loggia_types::{DomainName, ProjectSlug};

use crate::config::Config;
use crate::db::deployments::{DeploymentRow, State};
use crate::db::domains::DomainRow;
use crate::db::projects::ProjectRow;
use crate::domains::{Target, names, records};

pub(crate) fn project(config: &Config, row: ProjectRow) -> Project {
    Project {
        id: row.id,
        organization: row.organization_slug,
        url: config.edge_url.of(&config.base_domain.production(&row.slug)),
        slug: row.slug,
        name: row.name,
        repository_url: row.repository_url,
        production_branch: row.production_branch,
        build: row.build,
        not_found: row.not_found,
        production_deployment_id: row.production_deployment_id,
        created_at: row.created_at,
    }
}

pub(crate) fn deployment(config: &Config, slug: &ProjectSlug, row: DeploymentRow) -> Deployment {
    let status = row.status();
    Deployment {
        id: row.id,
        project: slug.clone(),
        status,
        environment: row.environment,
        actions: actions(&row, status),
        aliases: row.aliases,
        branch: row.branch,
        commit: row.commit,
        message: row.message,
        author: row.author,
        url: config.edge_url.of(&config.base_domain.deployment(row.id, slug)),
        alias_url: config.edge_url.of(&row.alias.hostname(slug, &config.base_domain)),
        framework: row.framework,
        counts: row.counts,
        problems: row.problems,
        failure: row.failure,
        timings: row.timings,
        created_at: row.created_at,
        finished_at: row.finished_at,
    }
}

fn actions(row: &DeploymentRow, status: DeploymentStatus) -> Vec<String> {
    let action = match row.state {
        State::Pending | State::Building | State::Deploying => "cancel",
        State::Ready
            if status == DeploymentStatus::Superseded
                || !row.aliases.iter().any(|alias| alias.as_str() == "production") =>
        {
            "promote"
        }
        _ => return Vec::new(),
    };
    vec![action.to_owned()]
}

/// `names` are all of the project's.
pub(crate) fn domain(row: DomainRow, target: &Target, names: &[DomainName], may_manage: bool) -> Domain {
    let counterpart = names::counterpart(&row.hostname);
    let state = row.standing.state();
    let mut actions = vec!["verify"];
    let is_shown = matches!(state, DomainState::Verified | DomainState::Misconfigured);
    if is_shown && !row.is_primary && !row.hostname.is_wildcard() {
        actions.push("make_primary");
    }
    if !row.is_primary {
        actions.push("update");
    }
    if counterpart.as_ref().is_some_and(|other| !names.iter().any(|name| name == other)) {
        actions.push("add_counterpart");
    }
    actions.push("remove");
    Domain {
        id: row.id,
        state,
        is_primary: row.is_primary,
        records: records::wanted(&row.hostname, &row.token, target, row.diagnosis.as_ref()),
        counterpart,
        hostname: row.hostname,
        role: row.role,
        diagnosis: row.diagnosis,
        created_at: row.created_at,
        verified_at: row.standing.verified_at,
        lost_at: row.standing.lost_at,
        next_check_at: row.next_check_at,
        actions: actions.into_iter().filter(|_| may_manage).map(str::to_owned).collect(),
    }
}
