//! The cookie of a browser's session.

use axum::http::{HeaderMap, HeaderValue, header::SET_COOKIE};

use crate::access::SESSION_COOKIE;

/// As long as a session that is not used.
const MAX_AGE_SECS: u32 = 30 * 24 * 60 * 60;

/// Not for scripts, not over plain http (which browsers allow on localhost), not from other sites but by a link.
pub(super) fn set(value: &str) -> HeaderMap {
    one(&format!("{SESSION_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={MAX_AGE_SECS}"))
}

pub(super) fn clear() -> HeaderMap {
    one(&format!("{SESSION_COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"))
}

fn one(cookie: &str) -> HeaderMap {
    let value = HeaderValue::from_str(cookie).expect("tokens are letters, digits, - and _");
    HeaderMap::from_iter([(SET_COOKIE, value)])
}
