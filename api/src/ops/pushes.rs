//! A push becomes a deployment, once.

use loggia_types::alias::AliasName;
use loggia_types::push::PushEvent;
use loggia_types::{BuildId, DeliveryId, DeploymentId};

use crate::app::App;
use crate::db::deployments::{NewDeployment, Source, State};
use crate::db::projects::ProjectRow;
use crate::db::{self, GenericClient};
use crate::error::ApiError;
use crate::ops;

/// What came of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PushOutcome {
    Queued(DeploymentId),
    /// The branch came back to a commit that has a deployment: it is pointed at again, not built again.
    Repointed(DeploymentId),
    /// This delivery, or this push under another delivery, was here before.
    Duplicate,
}

/// How a forge names one delivery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeliveryKey<'a> {
    pub(crate) provider: &'a str,
    pub(crate) id: &'a str,
    pub(crate) event: &'a str,
}

/// Stores the delivery and what follows from it in one transaction: once this returns, a crash of anything
/// loses nothing, and a repetition adds nothing.
pub(crate) async fn accept(
    app: &App,
    project: &ProjectRow,
    key: DeliveryKey<'_>,
    push: &PushEvent,
) -> Result<PushOutcome, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let delivery = DeliveryId::generate();
    if !db::deliveries::insert(&transaction, delivery, project.id, key.provider, key.id, key.event).await? {
        return Ok(PushOutcome::Duplicate);
    }
    let outcome = deploy_push(app, &transaction, project, push).await?;
    let (word, deployment) = match outcome {
        PushOutcome::Queued(id) => ("queued", Some(id)),
        PushOutcome::Repointed(id) => ("repointed", Some(id)),
        PushOutcome::Duplicate => ("duplicate", None),
    };
    db::deliveries::set_outcome(&transaction, delivery, word, deployment).await?;
    transaction.commit().await?;
    Ok(outcome)
}

async fn deploy_push(
    app: &App,
    db: &impl GenericClient,
    project: &ProjectRow,
    push: &PushEvent,
) -> Result<PushOutcome, ApiError> {
    let new = NewDeployment {
        message: push.message.clone(),
        author: push.author.clone(),
        before: push.before.clone(),
        ..of_commit(project, push.branch.clone(), push.after.clone())
    };
    if queue(db, &new).await? {
        return Ok(PushOutcome::Queued(new.id));
    }
    let known = db::deployments::find_by_commit(db, project.id, &push.branch, &push.after).await?;
    match known {
        // Another `before` means another push: main went a → b → a.
        Some((id, before)) if before != push.before => {
            db::deployments::push_again(db, id, push.before.as_ref()).await?;
            let ready = ops::deployments::get(db, project.id, id).await?.state == State::Ready;
            if ready {
                ops::deployments::advance_alias(app, db, id).await?;
            }
            Ok(PushOutcome::Repointed(id))
        }
        _ => Ok(PushOutcome::Duplicate),
    }
}

/// A deployment of a commit, with what a push would add left empty.
pub(crate) fn of_commit(
    project: &ProjectRow,
    branch: loggia_types::BranchName,
    commit: loggia_types::CommitSha,
) -> NewDeployment {
    let alias = AliasName::for_push(&branch, &project.production_branch);
    NewDeployment {
        id: DeploymentId::generate(),
        project_id: project.id,
        source: Source::Git,
        state: State::Pending,
        environment: ops::builds::environment(&alias),
        alias,
        branch: Some(branch),
        commit: Some(commit),
        before: None,
        message: String::new(),
        author: String::new(),
        counts: None,
    }
}

/// Stores a deployment and queues its build. False when the commit has one already.
pub(crate) async fn queue(db: &impl GenericClient, new: &NewDeployment) -> Result<bool, ApiError> {
    let inserted = db::deployments::insert(db, new).await?;
    if inserted {
        db::builds::insert(db, BuildId::generate(), new.id).await?;
    }
    Ok(inserted)
}
