//! From a request's token or cookie to a caller.

use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use sha2::{Digest, Sha256};

use super::caller::{Caller, Origin, Via, Who};
use crate::app::App;
use crate::db::sessions;
use crate::db::tokens::{self, TokenKind, TokenRow};
use crate::error::ApiError;

/// `__Host-`: only over https (or localhost), for this very host, for every path (RFC 6265bis, 4.1.3.2).
pub(crate) const SESSION_COOKIE: &str = "__Host-loggia";

/// Tokens are random and 256 bits long, so one round of SHA-256 keeps them safe at rest.
pub(crate) fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// A builder or an edge.
pub(super) async fn platform(app: &App, request: &Parts, wanted: TokenKind) -> Result<(), ApiError> {
    let token = bearer(&request.headers).ok_or_else(no_token)?;
    let row = find_token(app, token).await?;
    if row.kind != wanted {
        return Err(wrong_kind());
    }
    Ok(())
}

/// A person: by a bearer token, or by the cookie of a browser's session.
pub(super) async fn person(app: &App, request: &Parts, origin: Origin) -> Result<Caller, ApiError> {
    if let Some(token) = bearer(&request.headers) {
        let row = find_token(app, token).await?;
        if row.kind != TokenKind::User {
            return Err(wrong_kind());
        }
        let who = match row.user_id {
            Some(user_id) => Who::Person { user_id, is_operator: row.is_operator },
            None => Who::Configuration,
        };
        let via = Via::Token {
            id: row.id,
            scope: row.scope,
            organization_id: row.organization_id,
            project_id: row.project_id,
        };
        return Ok(Caller { who, via, origin });
    }
    let cookie = cookie(&request.headers, SESSION_COOKIE).ok_or_else(no_token)?;
    require_own_origin(app, request)?;
    let session = sessions::find(&app.db().await?, &hash(cookie)).await?;
    let session = session.ok_or_else(|| ApiError::unauthorized("your session has ended; sign in again"))?;
    if session.is_used_again {
        sessions::touch(&app.db().await?, session.id).await?;
    }
    let who = Who::Person { user_id: session.user_id, is_operator: session.is_operator };
    Ok(Caller { who, via: Via::Session(session.id), origin })
}

/// Browsers send cookies along with requests that other sites make. `SameSite=Lax` keeps them out of those that change
/// something; this keeps them out where a sibling host is counted as the same site.
fn require_own_origin(app: &App, request: &Parts) -> Result<(), ApiError> {
    if matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let origin = request.headers.get(ORIGIN).and_then(|value| value.to_str().ok());
    if origin.is_some_and(|origin| app.config.is_own_origin(origin)) {
        return Ok(());
    }
    let message = format!("a change by a browser comes from {}", app.config.public_url);
    Err(ApiError::forbidden("foreign_origin", message))
}

async fn find_token(app: &App, token: &str) -> Result<TokenRow, ApiError> {
    let client = app.db().await?;
    let row = tokens::find(&client, &hash(token)).await?;
    let row = row.ok_or_else(|| ApiError::unauthorized("this token is unknown or was revoked"))?;
    if row.has_expired {
        return Err(ApiError::token_expired());
    }
    if row.is_used_again {
        tokens::touch(&client, row.id).await?;
    }
    Ok(row)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    // The scheme's name is case-insensitive (RFC 9110, 11.1).
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

fn no_token() -> ApiError {
    ApiError::unauthorized("sign in, or send a token: `Authorization: Bearer …`")
}

fn wrong_kind() -> ApiError {
    ApiError::forbidden("wrong_token_kind", "this token is not for this part of the api")
}
