//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a client that does not know whether its POST was
//! heard sends it again with the same key, and is answered what the first one was.
//!
//! Answers may hold what is shown only once, like a token. They are kept sealed with a key that is made of the
//! caller's own credential and of the `Idempotency-Key`, neither of which is stored: a copy of the database opens
//! none of them.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

use crate::access::Caller;
use crate::app::App;
use crate::db::idempotent_calls::{self, Begun};
use crate::error::ApiError;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The draft's own examples are UUIDs of 36 characters.
const KEY_LEN_MAX: usize = 255;
/// The longest body that a route takes as JSON is a list of files.
const BODY_BYTES_MAX: usize = super::routes::FILE_LIST_BYTES_MAX;
/// What a route answers with is a page of things at most.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longer than a request may take: whoever has not answered by then is dead.
const PATIENCE: Duration = Duration::from_secs(60);
/// Clients give up long before.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Around every route, within [`crate::access::enforce`]: only a caller who may make the call has keys.
pub(crate) async fn remember(
    State(app): State<App>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some(keys) = Keys::of(&request)? else { return Ok(next.run(request).await) };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| ApiError::too_large("the body is larger than any that this route takes"))?;
    let body_hash = keys.hash_of(&body);
    let route = format!("{} {} {}", parts.method, route.as_str(), parts.uri.path());
    let begun = idempotent_calls::begin(&app.db().await?, &keys.hash, &route, &body_hash, PATIENCE).await?;
    match begun {
        Begun::First => {}
        Begun::UnderWay => {
            let message = "a call with this Idempotency-Key is under way; ask again in a moment";
            return Err(ApiError::conflict("idempotency_key_in_use", message));
        }
        Begun::OfAnotherCall => {
            let message = "this Idempotency-Key was used for another call; take a new one for each";
            return Err(ApiError::unprocessable("idempotency_key_reused", message));
        }
        Begun::Answered { status, sealed } => return keys.replay(status, &sealed),
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let client = app.db().await?;
    if !response.status().is_success() {
        idempotent_calls::delete(&client, &keys.hash).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(ApiError::internal)?;
    idempotent_calls::answer(&client, &keys.hash, parts.status.as_u16(), &keys.seal(&body)?).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// What is made of a credential and an `Idempotency-Key`.
struct Keys {
    /// By which the call is found.
    hash: Vec<u8>,
    /// By which its answer is sealed.
    seal: [u8; 32],
}

impl Keys {
    /// None for a request that carries no key, or to which one means nothing.
    fn of(request: &Request) -> Result<Option<Self>, ApiError> {
        let headers = request.headers();
        let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        let has_caller = request.extensions().get::<Caller>().is_some();
        if request.method() != Method::POST || !has_caller || !is_json_or_empty(headers) {
            return Ok(None);
        }
        let key = key.as_bytes();
        if key.is_empty() || key.len() > KEY_LEN_MAX {
            let message = format!("an Idempotency-Key has 1 to {KEY_LEN_MAX} characters, for example a UUID");
            return Err(ApiError::bad_request("invalid_idempotency_key", message));
        }
        let credential = headers.get(AUTHORIZATION).or_else(|| headers.get(COOKIE));
        let credential = credential.map(HeaderValue::as_bytes).unwrap_or_default();
        let made = |purpose: &[u8]| {
            let length = u64::try_from(credential.len()).unwrap_or_default().to_be_bytes();
            Sha256::new_with_prefix(purpose)
                .chain_update(length)
                .chain_update(credential)
                .chain_update(key)
                .finalize()
        };
        Ok(Some(Self {
            hash: made(b"loggia idempotency find").to_vec(),
            seal: made(b"loggia idempotency seal").into(),
        }))
    }

    /// With the key: a body may hold a secret that is short enough to be guessed from a bare hash.
    fn hash_of(&self, body: &Bytes) -> Vec<u8> {
        Sha256::new_with_prefix(self.seal).chain_update(body).finalize().to_vec()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(self.seal))
    }

    fn seal(&self, answer: &Bytes) -> Result<Vec<u8>, ApiError> {
        let nonce: [u8; 24] = rand::random();
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), answer.as_ref());
        let mut text = nonce.to_vec();
        text.extend(sealed.map_err(|_| ApiError::internal("sealing an answer"))?);
        Ok(text)
    }

    fn replay(&self, status: u16, sealed: &[u8]) -> Result<Response, ApiError> {
        let broken = || ApiError::internal("a kept answer cannot be opened");
        let (nonce, text) = sealed.split_first_chunk::<24>().ok_or_else(broken)?;
        let answer = self.cipher().decrypt(&XNonce::from(*nonce), text).map_err(|_| broken())?;
        let status = StatusCode::from_u16(status).map_err(|_| broken())?;
        let mut response = (status, answer.clone()).into_response();
        let headers = response.headers_mut();
        if answer.is_empty() {
            headers.remove(CONTENT_TYPE);
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }
}

/// A stream of bytes is not kept to be compared.
fn is_json_or_empty(headers: &HeaderMap) -> bool {
    match headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default()) {
        Some(media_type) => crate::extract::is_json(media_type),
        None => true,
    }
}
