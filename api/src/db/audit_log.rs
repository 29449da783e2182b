//! Who changed what.

use std::net::IpAddr;

use loggia_types::{ApiTokenId, OrganizationId, ProjectId, UserId};

use super::{DbError, GenericClient, statements};

/// One change, as it is written down.
#[derive(Debug)]
pub(crate) struct NewAuditRow<'a> {
    pub(crate) organization_id: Option<OrganizationId>,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) user_id: Option<UserId>,
    pub(crate) api_token_id: Option<ApiTokenId>,
    /// A noun and what became of it, e.g. `project.update`.
    pub(crate) action: &'a str,
    /// What it was done to, as people call it.
    pub(crate) target: &'a str,
    pub(crate) details: &'a serde_json::Value,
    pub(crate) address: Option<IpAddr>,
    pub(crate) request_id: &'a str,
}

statements! {
    INSERT = "
        insert into audit_log (organization_id, project_id, user_id, api_token_id, actor, action, target, details,
                               address, request_id)
        values ($1, $2, $3, $4,
                coalesce((select email from users where user_id = $3), 'configuration')
                    || coalesce((select ' (token ' || name || ')' from api_tokens where api_token_id = $4 and user_id = $3), ''),
                $5, $6, $7, $8, $9)";
}

pub(crate) async fn insert(db: &impl GenericClient, row: &NewAuditRow<'_>) -> Result<(), DbError> {
    db.execute(
        &db.prepare_cached(INSERT).await?,
        &[
            &row.organization_id.as_ref().map(OrganizationId::as_str),
            &row.project_id.as_ref().map(ProjectId::as_str),
            &row.user_id.as_ref().map(UserId::as_str),
            &row.api_token_id.as_ref().map(ApiTokenId::as_str),
            &row.action,
            &row.target,
            row.details,
            &row.address,
            &row.request_id,
        ],
    )
    .await?;
    Ok(())
}
