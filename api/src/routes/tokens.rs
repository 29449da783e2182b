//! `/api/v1/user/tokens`

use axum::extract::State;
use axum::http::StatusCode;
use loggia_types::ApiTokenId;
use loggia_types::api::{ApiToken, CreateToken, CreatedToken};
use serde::Deserialize;
use serde_json::json;

use crate::access::{Caller, Permission, hash};
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::tokens::{self, NewToken};
use crate::error::ApiError;
use crate::extract::{Json, Path};
use crate::names;
use crate::vault::random_token;

const DAYS_DEFAULT: u16 = 90;
const DAYS_MAX: u16 = 366;
/// Enough to tell one's tokens apart, and nothing of the 256 bits that matters.
const HINT_LEN: usize = 4;

/// One's tokens, the newest first.
#[utoipa::path(get, path = "/api/v1/user/tokens", tag = "Account", responses((status = 200, body = Vec<ApiToken>)))]
pub(crate) async fn list_tokens(
    caller: Caller,
    State(app): State<App>,
) -> Result<axum::Json<Vec<ApiToken>>, ApiError> {
    let user = caller.require_person()?;
    Ok(axum::Json(tokens::list_of_user(&app.db().await?, user, None).await?))
}

/// Makes a token. It is shown this once.
#[utoipa::path(post, path = "/api/v1/user/tokens", tag = "Account", request_body = CreateToken,
    responses((status = 201, body = CreatedToken)))]
pub(crate) async fn create_token(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<CreateToken>,
) -> Result<(StatusCode, axum::Json<CreatedToken>), ApiError> {
    let user = caller.require_person()?;
    // Whoever holds a token of one project must not get at one of another.
    caller.require_wide()?;
    let name = body.name.trim();
    names::check("name", name)?;
    let days = days(&body)?;
    let mut client = app.db().await?;
    let organization = match &body.organization {
        Some(slug) => Some(caller.organization(&client, slug, Permission::View).await?.organization.id),
        None => None,
    };
    let project = match &body.project {
        Some(slug) => Some(caller.project(&client, slug, Permission::View).await?.project),
        None => None,
    };
    if let (Some(organization), Some(project)) = (organization, &project)
        && project.organization_id != organization
    {
        let message =
            format!("project {} belongs to another organization; leave organization out", project.slug);
        return Err(ApiError::invalid("project", "foreign_project", message));
    }
    let (id, token) = (ApiTokenId::generate(), random_token("loggia_user_"));
    let transaction = client.transaction().await?;
    let new = NewToken {
        id,
        hash: &hash(&token),
        name,
        scope: body.scope,
        user_id: user,
        organization_id: organization,
        project_id: project.as_ref().map(|project| project.id),
        hint: &token[token.len() - HINT_LEN..],
        days,
    };
    tokens::insert(&transaction, &new).await?;
    let after = json!({"scope": body.scope, "organization": body.organization, "project": body.project});
    let change = Change { after, ..Change::new("token.create", name) };
    let place = organization.or(project.as_ref().map(|project| project.organization_id));
    audit::insert(&transaction, &caller, place, new.project_id, change).await?;
    let details = tokens::list_of_user(&transaction, user, Some(id)).await?.pop();
    let details = details.ok_or_else(|| ApiError::internal("a token that was just made is gone"))?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, axum::Json(CreatedToken { details, token })))
}

fn days(body: &CreateToken) -> Result<Option<i32>, ApiError> {
    match (body.days, body.forever) {
        (None, true) => Ok(None),
        (Some(_), true) => Err(ApiError::invalid(
            "forever",
            "days_and_forever",
            "a token that never expires has no days; send one of both",
        )),
        (days, false) => {
            let days = days.unwrap_or(DAYS_DEFAULT);
            if !(1..=DAYS_MAX).contains(&days) {
                return Err(ApiError::invalid("days", "invalid_days", format!("days is 1 to {DAYS_MAX}")));
            }
            Ok(Some(i32::from(days)))
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct TokenPath {
    id: ApiTokenId,
}

/// Revokes a token: it is worth nothing at once.
#[utoipa::path(delete, path = "/api/v1/user/tokens/{id}", tag = "Account", params(("id" = ApiTokenId, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke_token(
    caller: Caller,
    State(app): State<App>,
    Path(TokenPath { id }): Path<TokenPath>,
) -> Result<StatusCode, ApiError> {
    let user = caller.require_person()?;
    caller.require_wide()?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let name = tokens::delete_of_user(&transaction, user, id).await?;
    let name = name.ok_or_else(|| ApiError::not_found(format!("token {id}")))?;
    audit::record(&transaction, &caller, Change::new("token.revoke", &name)).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
