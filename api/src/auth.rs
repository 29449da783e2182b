//! Who calls: a bearer token becomes a typed caller, and a handler that wants one cannot be reached without.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::db::tokens::{self, TokenKind};
use crate::error::ApiError;

/// A person's program. Every token of this kind may do everything for now.
#[derive(Debug)]
pub(crate) struct User;

#[derive(Debug)]
pub(crate) struct Builder;

#[derive(Debug)]
pub(crate) struct Edge;

/// Tokens are random and 256 bits long, so one round of SHA-256 keeps them safe at rest.
pub(crate) fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

async fn require(parts: &Parts, app: &App, wanted: TokenKind) -> Result<(), ApiError> {
    let token = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| ApiError::unauthorized("send a token: `Authorization: Bearer …`"))?;
    match tokens::find_kind(&app.db().await?, &hash(token.trim())).await? {
        Some(kind) if kind == wanted => Ok(()),
        Some(_) => Err(ApiError::forbidden("wrong_token_kind", "this token is not for this part of the api")),
        None => Err(ApiError::unauthorized("this token is unknown or has expired")),
    }
}

macro_rules! caller {
    ($type:ident, $kind:expr) => {
        impl FromRequestParts<App> for $type {
            type Rejection = ApiError;
            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
                require(parts, app, $kind).await.map(|()| $type)
            }
        }
    };
}

caller!(User, TokenKind::User);
caller!(Builder, TokenKind::Builder);
caller!(Edge, TokenKind::Edge);
