//! Writes down who changed what, in the transaction of the change: both are there, or neither.

use loggia_types::{OrganizationId, ProjectId};
use serde_json::{Value, json};

use crate::access::{Caller, InOrganization, InProject, Via};
use crate::db::audit_log::NewAuditRow;
use crate::db::{self, DbError, GenericClient};

/// One change. `action` is a noun and what became of it (`project.update`), `target` what it was done to, as people call
/// it.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) action: &'a str,
    pub(crate) target: &'a str,
    /// Without secrets; null for what was not there.
    pub(crate) before: Value,
    pub(crate) after: Value,
}

impl<'a> Change<'a> {
    pub(crate) fn new(action: &'a str, target: &'a str) -> Self {
        Self { action, target, before: Value::Null, after: Value::Null }
    }
}

/// A change of the caller's own things, or of the installation.
pub(crate) async fn record(
    db: &impl GenericClient,
    caller: &Caller,
    change: Change<'_>,
) -> Result<(), DbError> {
    insert(db, caller, None, None, change).await
}

pub(crate) async fn record_in_organization(
    db: &impl GenericClient,
    inside: &InOrganization,
    change: Change<'_>,
) -> Result<(), DbError> {
    insert(db, &inside.caller, Some(inside.organization.id), None, change).await
}

pub(crate) async fn record_in_project(
    db: &impl GenericClient,
    inside: &InProject,
    change: Change<'_>,
) -> Result<(), DbError> {
    let project = &inside.project;
    insert(db, &inside.caller, Some(project.organization_id), Some(project.id), change).await
}

/// What the platform does by itself.
pub(crate) async fn record_by_platform(
    db: &impl GenericClient,
    organization_id: OrganizationId,
    project_id: ProjectId,
    change: Change<'_>,
) -> Result<(), DbError> {
    let details = json!({ "before": change.before, "after": change.after });
    db::audit_log::insert_by_platform(db, organization_id, project_id, change.action, change.target, &details)
        .await
}

/// For a project or organization that the caller did not come in by, e.g. one just made.
pub(crate) async fn insert(
    db: &impl GenericClient,
    caller: &Caller,
    organization_id: Option<OrganizationId>,
    project_id: Option<ProjectId>,
    change: Change<'_>,
) -> Result<(), DbError> {
    let api_token_id = match caller.via {
        Via::Token { id, .. } => Some(id),
        Via::Session(_) | Via::Link => None,
    };
    let row = NewAuditRow {
        organization_id,
        project_id,
        user_id: caller.user_id(),
        api_token_id,
        action: change.action,
        target: change.target,
        details: &json!({ "before": change.before, "after": change.after }),
        address: caller.origin.address,
        request_id: &caller.origin.request_id,
    };
    db::audit_log::insert(db, &row).await
}
