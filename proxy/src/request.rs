//! What a request must be like before anything looks at its site: limits, one host, no tunnels.

use http::header::{CONNECTION, HOST, UPGRADE};
use http::{Method, StatusCode};
use loggia_types::Hostname;
use pingora::http::RequestHeader;
use pingora::http::authority::{RawTargetAuthority, raw_target_authority};

/// SECURITY: what common servers allow, and many times what browsers send.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 100;
const TARGET_BYTES_MAX: usize = 8 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the address is longer than {TARGET_BYTES_MAX} bytes")]
    TargetTooLong,
    #[error("the request has more than {HEADERS_MAX} headers, or more than {HEAD_BYTES_MAX} bytes of them")]
    HeadTooLarge,
    #[error("the request must name exactly one valid host")]
    Host,
    #[error("this method is not allowed here")]
    Method,
    #[error("this server does not change protocols")]
    Upgrade,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Host | Self::Upgrade => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

/// Checks the head of a request and tells whom it is for.
pub(crate) fn admit(head: &RequestHeader) -> Result<Hostname, Refusal> {
    if head.raw_path().len() > TARGET_BYTES_MAX {
        return Err(Refusal::TargetTooLong);
    }
    // Name, value, `: ` and the line end.
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if head.headers.len() > HEADERS_MAX || fields + head.raw_path().len() > HEAD_BYTES_MAX {
        return Err(Refusal::HeadTooLarge);
    }
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        return Err(Refusal::Method);
    }
    if head.headers.contains_key(UPGRADE) || names_upgrade(head) {
        return Err(Refusal::Upgrade);
    }
    hostname(head)
}

fn names_upgrade(head: &RequestHeader) -> bool {
    let lines = head.headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}

/// The host of `Host`, `:authority` and an absolute target, all of which must agree.
fn hostname(head: &RequestHeader) -> Result<Hostname, Refusal> {
    let absolute = match raw_target_authority(head.raw_path()) {
        RawTargetAuthority::None => None,
        RawTargetAuthority::AmbiguousAuthority => return Err(Refusal::Host),
        RawTargetAuthority::Absolute { authority, .. } => Some(authority),
    };
    let pseudo = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut fields = head.headers.get_all(HOST).into_iter().map(http::HeaderValue::as_bytes);
    let (field, second) = (fields.next(), fields.next());
    if second.is_some() {
        return Err(Refusal::Host);
    }
    let mut named = absolute.into_iter().chain(pseudo).chain(field).map(parse_host);
    let first = named.next().ok_or(Refusal::Host)??;
    for other in named {
        if other? != first {
            return Err(Refusal::Host);
        }
    }
    Ok(first)
}

fn parse_host(value: &[u8]) -> Result<Hostname, Refusal> {
    let text = std::str::from_utf8(value).map_err(|_| Refusal::Host)?;
    Hostname::from_host_header(text).map_err(|_| Refusal::Host)
}

/// Path and query as they were sent, also from an absolute target (RFC 9112 §3.2.2).
pub(crate) fn target(head: &RequestHeader) -> &[u8] {
    match raw_target_authority(head.raw_path()) {
        RawTargetAuthority::Absolute { path_and_query: b"", .. } => b"/",
        RawTargetAuthority::Absolute { path_and_query, .. } => path_and_query,
        RawTargetAuthority::None | RawTargetAuthority::AmbiguousAuthority => head.raw_path(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &str, lines: &[(&str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, target.as_bytes(), None).expect("a request");
        for (name, value) in lines {
            head.append_header((*name).to_owned(), *value).expect("a header");
        }
        head
    }

    #[test]
    fn a_request_is_for_exactly_one_host() {
        type Lines = &'static [(&'static str, &'static str)];
        let cases: &[(&str, Lines, Result<&str, Refusal>)] = &[
            ("/", &[("Host", "shop.localhost")], Ok("shop.localhost")),
            ("/", &[("Host", "SHOP.localhost:8080")], Ok("shop.localhost")),
            ("http://shop.localhost/x", &[("Host", "shop.localhost")], Ok("shop.localhost")),
            ("http://shop.localhost/x", &[("Host", "blog.localhost")], Err(Refusal::Host)),
            ("http://shop.localhost/x", &[], Ok("shop.localhost")),
            ("/", &[], Err(Refusal::Host)),
            ("/", &[("Host", "")], Err(Refusal::Host)),
            ("/", &[("Host", "a.localhost"), ("Host", "a.localhost")], Err(Refusal::Host)),
            ("/", &[("Host", "a.localhost"), ("Host", "b.localhost")], Err(Refusal::Host)),
            ("/", &[("Host", "a.localhost, b.localhost")], Err(Refusal::Host)),
            ("/", &[("Host", "user@a.localhost")], Err(Refusal::Host)),
            ("/", &[("Host", "a.localhost/../b")], Err(Refusal::Host)),
            ("/", &[("Host", "a.localhost"), ("Upgrade", "websocket")], Err(Refusal::Upgrade)),
            ("/", &[("Host", "a.localhost"), ("Connection", "close, Upgrade")], Err(Refusal::Upgrade)),
        ];
        for (target, lines, expected) in cases {
            let admitted = admit(&head("GET", target, lines));
            assert_eq!(
                admitted.as_ref().map(Hostname::as_str),
                expected.as_ref().copied(),
                "{target} {lines:?}"
            );
        }
        assert_eq!(admit(&head("TRACE", "/", &[("Host", "a.localhost")])), Err(Refusal::Method));
    }

    #[test]
    fn heads_have_limits() {
        let host = ("Host", "a.localhost");
        let long = format!("/{}", "a".repeat(TARGET_BYTES_MAX));
        assert_eq!(admit(&head("GET", &long, &[host])), Err(Refusal::TargetTooLong));
        let many: Vec<_> = std::iter::once(host).chain((0..HEADERS_MAX).map(|_| ("x", "y"))).collect();
        assert_eq!(admit(&head("GET", "/", &many)), Err(Refusal::HeadTooLarge));
        let large = "v".repeat(HEAD_BYTES_MAX);
        assert_eq!(admit(&head("GET", "/", &[host, ("x", &large)])), Err(Refusal::HeadTooLarge));
    }

    #[test]
    fn an_absolute_target_is_read_like_a_plain_one() {
        for (sent, expected) in
            [("http://a.localhost/x?y", "/x?y"), ("http://a.localhost", "/"), ("/x?y", "/x?y")]
        {
            assert_eq!(target(&head("GET", sent, &[])), expected.as_bytes(), "{sent}");
        }
    }
}
