//! Who changed what: by organization, by project, and all of it for operators.

use async_stream::try_stream;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use loggia_types::api::{AuditEntry, Page};
use loggia_types::{OrganizationSlug, ProjectSlug, Timestamp};
use serde::Deserialize;

use crate::access::{InOrganization, InProject};
use crate::app::App;
use crate::db::audit_log::{self, AuditFilter};
use crate::error::ApiError;
use crate::extract::Query;

const PAGE_LEN: i64 = 50;
/// Rows that an export holds in memory at a time.
const BATCH_LEN: i64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuditFormat {
    /// A page.
    Json,
    /// Everything, for spreadsheets.
    Csv,
    /// Everything, a JSON object a line.
    Ndjson,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// The start of the action, e.g. `project.`
    #[serde(default)]
    action: Option<String>,
    /// A part of who did it.
    #[serde(default)]
    actor: Option<String>,
    #[serde(default)]
    since: Option<Timestamp>,
    #[serde(default)]
    until: Option<Timestamp>,
    /// The `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    format: Option<AuditFormat>,
}

/// What was changed in an organization and its projects, the newest first.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}/audit", tag = "Audit",
    params(("organization" = OrganizationSlug, Path), AuditQuery), responses((status = 200, body = Page<AuditEntry>)))]
pub(crate) async fn of_organization(
    inside: InOrganization,
    State(app): State<App>,
    Query(query): Query<AuditQuery>,
) -> Result<Response, ApiError> {
    let filter = AuditFilter { organization_id: Some(inside.organization.id), ..AuditFilter::default() };
    answer(app, filter, query).await
}

/// What was changed in a project, the newest first.
#[utoipa::path(get, path = "/api/v1/projects/{slug}/audit", tag = "Audit",
    params(("slug" = ProjectSlug, Path), AuditQuery), responses((status = 200, body = Page<AuditEntry>)))]
pub(crate) async fn of_project(
    inside: InProject,
    State(app): State<App>,
    Query(query): Query<AuditQuery>,
) -> Result<Response, ApiError> {
    let filter = AuditFilter { project_id: Some(inside.project.id), ..AuditFilter::default() };
    answer(app, filter, query).await
}

/// What was changed anywhere, the newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "Audit", params(AuditQuery),
    responses((status = 200, body = Page<AuditEntry>)))]
pub(crate) async fn of_everything(
    State(app): State<App>,
    Query(query): Query<AuditQuery>,
) -> Result<Response, ApiError> {
    answer(app, AuditFilter::default(), query).await
}

async fn answer(app: App, filter: AuditFilter, query: AuditQuery) -> Result<Response, ApiError> {
    let filter = AuditFilter {
        action: query.action,
        actor: query.actor,
        since: query.since,
        until: query.until,
        ..filter
    };
    match query.format.unwrap_or(AuditFormat::Json) {
        AuditFormat::Json => page(&app, &filter, query.after).await,
        format => Ok(export(app, filter, format)),
    }
}

async fn page(app: &App, filter: &AuditFilter, after: Option<String>) -> Result<Response, ApiError> {
    let before = after.map(|after| after.parse()).transpose();
    let before =
        before.map_err(|_| ApiError::invalid("after", "invalid_cursor", "after is the `next` of a page"))?;
    let items = audit_log::list(&app.db().await?, filter, before, PAGE_LEN).await?;
    let full = i64::try_from(items.len()).is_ok_and(|len| len == PAGE_LEN);
    let next = items.last().filter(|_| full).map(|entry| entry.id.to_string());
    Ok(axum::Json(Page { items, next }).into_response())
}

/// In pieces: a log of years does not fit into memory.
fn export(app: App, filter: AuditFilter, format: AuditFormat) -> Response {
    let rows = try_stream! {
        if format == AuditFormat::Csv {
            yield Bytes::from_static(b"id,happened_at,actor,action,target,before,after,address,request_id\r\n");
        }
        let mut before = None;
        loop {
            let client = app.db().await.map_err(std::io::Error::other)?;
            let entries = audit_log::list(&client, &filter, before, BATCH_LEN).await.map_err(std::io::Error::other)?;
            drop(client);
            let Some(last) = entries.last() else { return };
            before = Some(last.id);
            let lines: String = entries.iter().map(|entry| line(entry, format)).collect();
            yield Bytes::from(lines);
        }
    };
    let rows: std::pin::Pin<Box<dyn futures::Stream<Item = std::io::Result<Bytes>> + Send>> = Box::pin(rows);
    let (media_type, name) = match format {
        AuditFormat::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"audit.csv\""),
        _ => ("application/x-ndjson", "attachment; filename=\"audit.ndjson\""),
    };
    ([(CONTENT_TYPE, media_type), (CONTENT_DISPOSITION, name)], Body::from_stream(rows)).into_response()
}

fn line(entry: &AuditEntry, format: AuditFormat) -> String {
    let json = serde_json::to_value(entry).expect("our own shapes have only string keys");
    if format == AuditFormat::Ndjson {
        return format!("{json}\n");
    }
    let names =
        ["id", "happened_at", "actor", "action", "target", "before", "after", "address", "request_id"];
    let cells = names.map(|name| match &json[name] {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => cell(text),
        other => cell(&other.to_string()),
    });
    format!("{}\r\n", cells.join(","))
}

/// RFC 4180, and no formula: what a person typed must not run in somebody's spreadsheet.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_run_nothing() {
        let cases = [
            ("shop", "shop"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("-1+1", "'-1+1"),
            ("two\nlines", "\"two\nlines\""),
        ];
        for (text, expected) in cases {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }
}
