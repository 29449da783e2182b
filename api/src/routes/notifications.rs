//! `/api/v1/user/notifications`, and the link at the end of a mail.

use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use loggia_types::api::Notifications;
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::{mail_preferences, to_json};
use crate::error::ApiError;
use crate::extract::{Json, Path, Query};

/// What one wants mail about.
#[utoipa::path(get, path = "/api/v1/user/notifications", tag = "Account",
    responses((status = 200, body = Notifications)))]
pub(crate) async fn get_notifications(
    caller: Caller,
    State(app): State<App>,
) -> Result<axum::Json<Notifications>, ApiError> {
    let user = caller.require_person()?;
    Ok(axum::Json(mail_preferences::get(&app.db().await?, user).await?))
}

/// Chooses what one wants mail about.
#[utoipa::path(put, path = "/api/v1/user/notifications", tag = "Account", request_body = Notifications,
    responses((status = 200, body = Notifications)))]
pub(crate) async fn set_notifications(
    caller: Caller,
    State(app): State<App>,
    Json(body): Json<Notifications>,
) -> Result<axum::Json<Notifications>, ApiError> {
    let user = caller.require_person()?;
    caller.require_wide()?;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let before = mail_preferences::get(&transaction, user).await?;
    mail_preferences::set(&transaction, user, body).await?;
    let change = Change {
        before: to_json(&before),
        after: to_json(&body),
        ..Change::new("user.notifications", user.as_str())
    };
    audit::record(&transaction, &caller, change).await?;
    transaction.commit().await?;
    Ok(axum::Json(body))
}

/// Which mails shall be the last of their kind.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Declined {
    DeploymentFailed,
    DeploymentRecovered,
    DomainLost,
}

impl Declined {
    fn as_str(self) -> &'static str {
        match self {
            Self::DeploymentFailed => "deployment_failed",
            Self::DeploymentRecovered => "deployment_recovered",
            Self::DomainLost => "domain_lost",
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeclineQuery {
    kind: Declined,
}

/// A page with a button: programs that open the links of a mail must not unsubscribe anybody.
#[utoipa::path(get, path = "/api/v1/unsubscribe/{token}", tag = "Account", params(("token" = String, Path), DeclineQuery),
    responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn page(_query: Query<DeclineQuery>) -> impl IntoResponse {
    html("No more of these mails?", "<form method=\"post\"><button>No more of these mails</button></form>")
}

/// No more mails of a kind: what a mail program calls with one click (RFC 8058), and the page's button.
#[utoipa::path(post, path = "/api/v1/unsubscribe/{token}", tag = "Account", params(("token" = String, Path), DeclineQuery),
    responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn unsubscribe(
    State(app): State<App>,
    Path(token): Path<String>,
    Query(query): Query<DeclineQuery>,
) -> Result<impl IntoResponse, ApiError> {
    if !mail_preferences::unsubscribe(&app.db().await?, &token, query.kind.as_str()).await? {
        return Err(ApiError::not_found("such link"));
    }
    Ok(html("Done", "<p>You will get no more of these mails. You can change that in your settings.</p>"))
}

fn html(title: &str, body: &str) -> impl IntoResponse + use<> {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><h1>{title}</h1>{body}</html>"
    );
    let policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'";
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, policy)], page)
}
