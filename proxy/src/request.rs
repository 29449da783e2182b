//! What a request must be like before anything looks at its site: limits, one host, no tunnels.

use http::header::{CONNECTION, HOST, UPGRADE};
use http::{Method, StatusCode, Version};
use loggia_serve::pages::Page;
use loggia_types::Hostname;
use pingora::http::RequestHeader;
use pingora::http::authority::{RawTargetAuthority, raw_target_authority};

/// What common servers allow, and many times what browsers send.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
pub(crate) const HEADERS_MAX: usize = 100;
pub(crate) const TARGET_BYTES_MAX: usize = 8 * 1024;

/// Why a request gets no answer from a site. On HTTP/1 the connection ends with the answer: who sends such a request
/// may disagree with us about where it ends.
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
    #[error("{0}")]
    Malformed(&'static str),
    #[error("only HTTP/1.0, HTTP/1.1 and, over TLS, HTTP/2 are spoken here")]
    Version,
    #[error("the transfer coding is unknown here")]
    Coding,
    #[error("only the expectation 100-continue can be met")]
    Expectation,
    #[error("a static site takes no request bodies")]
    BodyTooLarge,
    #[error("the request did not arrive in time")]
    Slow,
}

impl Refusal {
    pub(crate) fn page(self) -> Page {
        Page::refused(self.status(), self)
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Host | Self::Upgrade | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Coding => StatusCode::NOT_IMPLEMENTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
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
    if head.version == Version::HTTP_2 && !is_h2_path(head) {
        return Err(Refusal::Malformed("its address is not a path"));
    }
    if head.headers.contains_key(UPGRADE) || names_option(head, "upgrade") {
        return Err(Refusal::Upgrade);
    }
    hostname(head)
}

/// RFC 9113 §8.3.1: a host is named in `:authority` and nowhere else.
fn is_h2_path(head: &RequestHeader) -> bool {
    let target = head.raw_path();
    target.starts_with(b"/") || (target == b"*" && head.method == Method::OPTIONS)
}

/// Whether `Connection` names an option, on any of its lines.
pub(crate) fn names_option(head: &RequestHeader, option: &str) -> bool {
    let mut lines = head.headers.get_all(CONNECTION).into_iter().map(http::HeaderValue::as_bytes);
    lines.any(|line| lists(line, option))
}

/// Whether a comma-separated list has this item, in any case.
pub(crate) fn lists(line: &[u8], item: &str) -> bool {
    line.split(|byte| *byte == b',').any(|each| each.trim_ascii().eq_ignore_ascii_case(item.as_bytes()))
}

/// The host as it was sent, of a request that names one.
pub(crate) fn host(head: &RequestHeader) -> Option<&[u8]> {
    let pseudo = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    pseudo.or_else(|| head.headers.get(HOST).map(http::HeaderValue::as_bytes))
}

/// The port that the visitor named, of a request whose host is valid.
pub(crate) fn port(head: &RequestHeader) -> Option<u16> {
    let text = std::str::from_utf8(host(head)?).ok()?;
    text.rsplit_once(':')?.1.parse().ok()
}

/// The host of `Host`, `:authority` and an absolute target, all of which must agree.
pub(crate) fn hostname(head: &RequestHeader) -> Result<Hostname, Refusal> {
    let pseudo = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let fields = head.headers.get_all(HOST).into_iter().map(http::HeaderValue::as_bytes);
    agreed_host(head.raw_path(), pseudo, fields)
}

/// The one host that target, `:authority` and the `Host` fields name.
///
/// They have to be the same bytes: names that differ only in case or port come from no client that we know, and
/// something in front of us may tell them apart.
pub(crate) fn agreed_host<'h>(
    target: &'h [u8],
    pseudo: Option<&'h [u8]>,
    mut fields: impl Iterator<Item = &'h [u8]>,
) -> Result<Hostname, Refusal> {
    let absolute = match raw_target_authority(target) {
        RawTargetAuthority::None => None,
        RawTargetAuthority::AmbiguousAuthority => return Err(Refusal::Host),
        RawTargetAuthority::Absolute { authority, .. } => Some(authority),
    };
    let (field, second) = (fields.next(), fields.next());
    if second.is_some() {
        return Err(Refusal::Host);
    }
    let mut named = absolute.into_iter().chain(pseudo).chain(field);
    let first = named.next().ok_or(Refusal::Host)?;
    if named.any(|other| other != first) {
        return Err(Refusal::Host);
    }
    parse_host(first)
}

fn parse_host(value: &[u8]) -> Result<Hostname, Refusal> {
    let text = std::str::from_utf8(value).map_err(|_| Refusal::Host)?;
    if let Some((_, port)) = text.rsplit_once(':') {
        // An empty port is allowed (RFC 3986 §3.2.3), one that no socket can have is not.
        let is_port = port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
        if !is_port {
            return Err(Refusal::Host);
        }
    }
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
            ("/", &[("Host", "a.localhost:65536")], Err(Refusal::Host)),
            ("/", &[("Host", "a.localhost:+80")], Err(Refusal::Host)),
            ("http://shop.localhost:81/x", &[("Host", "shop.localhost")], Err(Refusal::Host)),
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
    fn a_port_is_what_follows_the_host() {
        for (host, expected) in
            [("a.localhost", None), ("a.localhost:8080", Some(8080)), ("a.localhost:", None)]
        {
            assert_eq!(port(&head("GET", "/", &[("Host", host)])), expected, "{host}");
        }
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
