//! Mails about projects, to those who work on them and want to know.

use loggia_types::build::BuildFailure;
use loggia_types::{CommitSha, DeploymentId, DomainName, ProjectId, ProjectSlug};

use super::letters::{self, About};
use super::{Kind, enqueue_once};
use crate::app::App;
use crate::db::deployments::ToldRow;
use crate::db::mail_preferences::{self, RecipientRow};
use crate::db::{self, DbError, GenericClient};

/// The end of a log that a mail shows.
const LOG_LINES: usize = 12;

/// A production build failed.
pub(crate) async fn deployment_failed(
    app: &App,
    db: &impl GenericClient,
    id: DeploymentId,
    failure: &BuildFailure,
) -> Result<(), DbError> {
    let Some(told) = find(db, id).await? else { return Ok(()) };
    let url = page(app, &told.slug, id);
    let log = &failure.log_tail[failure.log_tail.len().saturating_sub(LOG_LINES)..];
    for to in mail_preferences::list_recipients(db, told.project_id, Kind::DeploymentFailed.as_str()).await? {
        let unsubscribe = unsubscribe(app, &to, Kind::DeploymentFailed);
        let letter =
            letters::deployment_failed(&to.name, about(&told, &url), &failure.reason, log, &unsubscribe);
        enqueue_once(db, &to.email, &format!("deployment_failed {id}"), &letter).await?;
    }
    Ok(())
}

/// A production build is live: worth a mail if the one before had failed.
pub(crate) async fn deployment_ready(
    app: &App,
    db: &impl GenericClient,
    id: DeploymentId,
) -> Result<(), DbError> {
    let Some(told) = find(db, id).await?.filter(|told| told.follows_failure) else { return Ok(()) };
    let url = page(app, &told.slug, id);
    for to in
        mail_preferences::list_recipients(db, told.project_id, Kind::DeploymentRecovered.as_str()).await?
    {
        let unsubscribe = unsubscribe(app, &to, Kind::DeploymentRecovered);
        let letter = letters::deployment_recovered(&to.name, about(&told, &url), &unsubscribe);
        enqueue_once(db, &to.email, &format!("deployment_recovered {id}"), &letter).await?;
    }
    Ok(())
}

/// A domain is no longer served. `why` is what the last check found.
pub(crate) async fn domain_lost(
    app: &App,
    db: &impl GenericClient,
    (project, slug): (ProjectId, &ProjectSlug),
    hostname: &DomainName,
    why: &str,
) -> Result<(), DbError> {
    let url = format!("{}/projects/{slug}/domains", app.config.public_url);
    let day = loggia_types::Timestamp::now().0.date();
    for to in mail_preferences::list_recipients(db, project, Kind::DomainLost.as_str()).await? {
        let unsubscribe = unsubscribe(app, &to, Kind::DomainLost);
        let letter =
            letters::domain_lost(&to.name, slug.as_str(), hostname.as_str(), why, &url, &unsubscribe);
        enqueue_once(db, &to.email, &format!("domain_lost {hostname} {day}"), &letter).await?;
    }
    Ok(())
}

/// Only what visitors of production notice.
async fn find(db: &impl GenericClient, id: DeploymentId) -> Result<Option<ToldRow>, DbError> {
    Ok(db::deployments::find_told(db, id).await?.filter(|told| told.is_production))
}

fn about<'a>(told: &'a ToldRow, url: &'a str) -> About<'a> {
    About {
        project: told.slug.as_str(),
        branch: told.branch.as_ref().map(AsRef::as_ref),
        commit: told.commit.as_ref().map(CommitSha::short),
        message: &told.message,
        url,
    }
}

/// Where the dashboard shows a deployment.
fn page(app: &App, slug: &ProjectSlug, id: DeploymentId) -> String {
    format!("{}/projects/{slug}/deployments/{id}", app.config.public_url)
}

fn unsubscribe(app: &App, to: &RecipientRow, kind: Kind) -> String {
    let (url, token) = (&app.config.public_url, &to.unsubscribe_token);
    format!("{url}/api/v1/unsubscribe/{token}?kind={}", kind.as_str())
}
