//! Pointers: going live, promote, roll back, cancel. Nothing is copied or rebuilt.

use loggia_types::alias::AliasName;
use loggia_types::{DeploymentId, ProjectId, SurrogateKey};

use serde_json::json;

use crate::access::InProject;
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::deployments::{DeploymentRow, State};
use crate::db::{self, DbError, GenericClient};
use crate::error::ApiError;

/// Lets a deployment that just became ready go live, and tells the edges. The last step of a transaction.
pub(crate) async fn advance_alias(
    app: &App,
    db: &impl GenericClient,
    id: DeploymentId,
) -> Result<(), ApiError> {
    let Some(place) = db::deployments::find_place(db, id).await? else {
        return Err(ApiError::internal(format!("deployment {id} vanished")));
    };
    let moved = db::aliases::advance(db, id).await?;
    let base = &app.config.base_domain;
    let appeared = [place.alias.hostname(&place.slug, base), base.deployment(id, &place.slug)];
    let stale = moved.then(|| SurrogateKey::alias(place.project_id, &place.alias));
    db::events::publish(db, place.project_id, &appeared, stale.as_slice()).await?;
    Ok(())
}

/// Points an alias at a deployment because a person said so.
pub(crate) async fn promote(
    app: &App,
    inside: &InProject,
    id: DeploymentId,
    alias: &AliasName,
) -> Result<DeploymentRow, ApiError> {
    let project = &inside.project;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let row = get(&transaction, project.id, id).await?;
    if row.state != State::Ready {
        let message =
            format!("deployment {id} is {}, only a finished one can be promoted", row.state.as_str());
        return Err(ApiError::conflict("deployment_not_ready", message));
    }
    let before = db::aliases::find(&transaction, project.id, alias).await?;
    db::aliases::point(&transaction, id, alias).await?;
    let hostname = alias.hostname(&project.slug, &app.config.base_domain);
    let stale = [SurrogateKey::alias(project.id, alias)];
    db::events::publish(&transaction, project.id, &[hostname], &stale).await?;
    let change =
        Change { before: json!(before), after: json!(id), ..Change::new("alias.promote", alias.as_str()) };
    audit::record_in_project(&transaction, inside, change).await?;
    transaction.commit().await?;
    get(&client, project.id, id).await
}

/// Points production at what it showed before.
pub(crate) async fn roll_back(app: &App, inside: &InProject) -> Result<DeploymentRow, ApiError> {
    let before = db::deployments::find_before_production(&app.db().await?, inside.project.id).await?;
    let before = before.ok_or_else(|| {
        let message = "production has no earlier deployment to go back to";
        ApiError::conflict("nothing_to_roll_back_to", message)
    })?;
    promote(app, inside, before, &AliasName::Production).await
}

/// Ends a deployment that is not ready yet; its builder is told at the next heartbeat.
pub(crate) async fn cancel(
    app: &App,
    inside: &InProject,
    id: DeploymentId,
) -> Result<DeploymentRow, ApiError> {
    let project_id = inside.project.id;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let row = get(&transaction, project_id, id).await?;
    if !db::deployments::mark_cancelled(&transaction, id).await? {
        let message = format!("deployment {id} is {} already", row.state.as_str());
        return Err(ApiError::conflict("deployment_has_ended", message));
    }
    db::builds::mark_done(&transaction, id).await?;
    let change = Change::new("deployment.cancel", id.as_str());
    audit::record_in_project(&transaction, inside, change).await?;
    transaction.commit().await?;
    get(&client, project_id, id).await
}

pub(crate) async fn get(
    db: &impl GenericClient,
    project_id: ProjectId,
    id: DeploymentId,
) -> Result<DeploymentRow, ApiError> {
    let row: Result<_, DbError> = db::deployments::find(db, project_id, id).await;
    row?.ok_or_else(|| ApiError::not_found(format!("deployment {id}")))
}
