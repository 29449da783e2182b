//! Purges: only of what is the project's own, since a CDN in front has one set of keys for everybody.

use loggia_types::hostname::HostnameKind;
use loggia_types::purge::{KeyOwner, PurgeScope, PurgeUrl};
use loggia_types::{DeploymentId, DomainName, EventPosition, Hostname, Purge, SurrogateKey};

use crate::app::App;
use crate::db::projects::ProjectRow;
use crate::db::{self, DbError, GenericClient};
use crate::error::ApiError;

pub(crate) async fn purge(app: &App, project: &ProjectRow, purge: &Purge) -> Result<EventPosition, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    match &purge.scope {
        PurgeScope::All => {}
        PurgeScope::Keys(keys) => check_keys(&transaction, project, keys).await?,
        PurgeScope::Urls(urls) => check_urls(app, &transaction, project, urls).await?,
    }
    let position = db::events::publish_purge(&transaction, project.id, purge).await?;
    transaction.commit().await?;
    Ok(position)
}

/// Keys that a project made up are its own business; those of the platform name what they belong to.
async fn check_keys(
    db: &impl GenericClient,
    project: &ProjectRow,
    keys: &[SurrogateKey],
) -> Result<(), ApiError> {
    let mut deployments: Vec<DeploymentId> = Vec::new();
    for key in keys {
        match key.owner() {
            Some(KeyOwner::Project(id)) if id != project.id => return Err(foreign_key(key)),
            Some(KeyOwner::Deployment(id)) => deployments.push(id),
            _ => {}
        }
    }
    match db::deployments::find_foreign(db, project.id, &deployments).await? {
        Some(id) => Err(foreign_key(&SurrogateKey::deployment(id))),
        None => Ok(()),
    }
}

fn foreign_key(key: &SurrogateKey) -> ApiError {
    let message = format!("the key {key} is not of this project; its own are p-…, d-… and a-… with its ids");
    ApiError::unprocessable("foreign_key", message)
}

async fn check_urls(
    app: &App,
    db: &impl GenericClient,
    project: &ProjectRow,
    urls: &[PurgeUrl],
) -> Result<(), ApiError> {
    let domains = verified_domains(db, project).await?;
    let is_own = |hostname: &Hostname| match app.config.base_domain.classify(hostname) {
        HostnameKind::Production(slug) | HostnameKind::Alias(_, slug) | HostnameKind::Deployment(_, slug) => {
            slug == project.slug
        }
        HostnameKind::Domain => domains.iter().any(|name| name.matches(hostname)),
        HostnameKind::Unused => false,
    };
    match urls.iter().find(|url| !is_own(url.hostname())) {
        None => Ok(()),
        Some(url) => {
            let message = format!("{} is no hostname of this project", url.hostname());
            Err(ApiError::unprocessable("foreign_url", message))
        }
    }
}

async fn verified_domains(db: &impl GenericClient, project: &ProjectRow) -> Result<Vec<DomainName>, DbError> {
    let rows = db::domains::list(db, project.id).await?;
    Ok(rows.into_iter().filter(|row| row.standing.verified_at.is_some()).map(|row| row.hostname).collect())
}
