//! Rows as the public API shows them.

use loggia_types::ProjectSlug;
use loggia_types::api::{Deployment, DeploymentStatus, Domain, DomainState, Project, TxtRecord};

use crate::config::Config;
use crate::db::deployments::{DeploymentRow, State};
use crate::db::domains::DomainRow;
use crate::db::projects::ProjectRow;
use crate::dns;

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

pub(crate) fn domain(row: DomainRow) -> Domain {
    Domain {
        id: row.id,
        record: TxtRecord {
            name: dns::record_name(&row.hostname),
            value: dns::record_value(&row.verification_token),
        },
        hostname: row.hostname,
        state: if row.verified_at.is_some() { DomainState::Verified } else { DomainState::Pending },
        created_at: row.created_at,
        verified_at: row.verified_at,
    }
}
