//! Step 1 of docs/BEHAVIOR.md: a hostname that leads to another one, whatever is asked of it.
//!
//! No manifest is needed, so it works while nothing is deployed and while the store is away.

use std::fmt::Write as _;

use bytes::Bytes;
use loggia_types::route::RouteRedirect;
use loggia_types::rules::Scheme;
use percent_encoding::percent_encode;

use crate::head;
use crate::pages::Page;
use crate::request::{Asked, RequestHead};
use crate::respond::{Body, Response};
use crate::target::QUERY_ESCAPED;

/// What the log and `X-Loggia-Rule` call it.
const RULE: &str = "domain";

/// The answer of a hostname that leads elsewhere. `port` is the one that the visitor named: where it leads is reached
/// through it too, unless that is not ours.
pub fn redirect(request: RequestHead<'_>, port: Option<u16>, to: &RouteRedirect) -> Response<'static> {
    // What cannot be understood is nobody's address.
    if let Err(error) = Asked::parse(request) {
        let (parts, body) = Page::bad_target(error).into_answer(request.headers);
        let body = Body::Inline(body);
        return Response { parts, body, rule: None, is_protected: false, is_repeatable: false };
    }
    let location = location(request, port.filter(|_| !to.is_elsewhere), to);
    Response {
        parts: head::of_host_redirect(to.status, &location, RULE),
        body: Body::Inline(Bytes::new()),
        rule: Some(RULE.to_owned()),
        is_protected: false,
        is_repeatable: true,
    }
}

/// Path and query as they came; only what a header value or a URL cannot hold is escaped. What follows the host begins
/// with a slash, so it stays on that host.
fn location(request: RequestHead<'_>, port: Option<u16>, to: &RouteRedirect) -> String {
    let scheme = match request.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let mut location = format!("{scheme}://{}", to.to);
    if let Some(port) = port {
        // Writing into memory does not fail.
        let _ = write!(location, ":{port}");
    }
    let target = request.target.split(|byte| *byte == b'#').next().unwrap_or_default();
    match target {
        // `OPTIONS *` is about the server as a whole.
        b"*" => location.push('/'),
        target => location.extend(percent_encode(target, QUERY_ESCAPED)),
    }
    location
}

#[cfg(test)]
mod tests {
    use http::header::LOCATION;
    use http::{HeaderMap, Method};
    use loggia_types::route::RedirectStatus;

    use super::*;

    fn ask(method: &Method, target: &str, scheme: Scheme, port: Option<u16>, is_elsewhere: bool) -> String {
        let headers = HeaderMap::new();
        let host = "www.example.com";
        let target = target.as_bytes();
        let request = RequestHead { method, target, headers: &headers, scheme, host, country: None };
        let status = if is_elsewhere { RedirectStatus::Temporary } else { RedirectStatus::Permanent };
        let to = RouteRedirect { to: "example.com".parse().expect("valid"), status, is_elsewhere };
        let Response { parts, rule, is_repeatable, .. } = redirect(request, port, &to);
        let location = parts.headers.get(LOCATION).map(|value| value.to_str().expect("ASCII").to_owned());
        assert_eq!(location.is_some(), rule.is_some() && is_repeatable);
        format!("{} {}", parts.status.as_u16(), location.unwrap_or_default())
    }

    #[test]
    fn path_and_query_are_kept() {
        let cases = [
            ("/", "308 http://example.com/"),
            ("/a/b.html?x=1&y=%20", "308 http://example.com/a/b.html?x=1&y=%20"),
            ("/a//b", "308 http://example.com/a//b"),
            ("//evil.example/x", "308 http://example.com//evil.example/x"),
            ("/?", "308 http://example.com/?"),
            ("/a#fragment", "308 http://example.com/a"),
            ("/ü?ü=\"<", "308 http://example.com/%C3%BC?%C3%BC=%22%3C"),
            ("/a b", "308 http://example.com/a%20b"),
            ("/%zz", "400 "),
            ("/..", "400 "),
            ("/\\evil.example", "400 "),
            ("/a?b\r\nc", "400 "),
            ("@evil.example", "400 "),
            ("", "400 "),
            ("*", "400 "),
        ];
        for (target, expected) in cases {
            assert_eq!(ask(&Method::GET, target, Scheme::Http, None, false), expected, "{target}");
        }
        assert_eq!(ask(&Method::OPTIONS, "*", Scheme::Http, None, false), "308 http://example.com/");
    }

    #[test]
    fn scheme_and_port_are_the_visitors_unless_it_leads_to_somebody_else() {
        let ask = |scheme, port, is_elsewhere| ask(&Method::GET, "/a", scheme, port, is_elsewhere);
        assert_eq!(ask(Scheme::Http, Some(8080), false), "308 http://example.com:8080/a");
        assert_eq!(ask(Scheme::Https, None, false), "308 https://example.com/a");
        assert_eq!(ask(Scheme::Https, Some(8443), true), "307 https://example.com/a");
    }
}
