//! One line of the access log: what is in it, and above all what is not.
//!
//! No query, no fragment, no credentials of a URL, no header but the user agent, of the referer only the host.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::header::{REFERER, USER_AGENT};
use pingora::http::RequestHeader;
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::metrics::Label;
use crate::record::Record;
use crate::request;

const USER_AGENT_BYTES_MAX: usize = 256;

/// Paths of sites are shorter; refused ones can be as long as a whole head.
const PATH_BYTES_MAX: usize = 2048;

#[derive(Debug, Serialize)]
pub(crate) struct Line<'r> {
    time: String,
    request_id: String,
    client: Option<IpAddr>,
    method: &'r str,
    /// `None` when the request did not name exactly one valid host.
    host: Option<String>,
    path: Cow<'r, str>,
    protocol: &'static str,
    /// `None`: the client left before anything was sent.
    status: Option<u16>,
    bytes: u64,
    duration_ms: f64,
    cache: &'static str,
    project_id: Option<String>,
    project: Option<&'r str>,
    deployment_id: Option<String>,
    rule: Option<&'r str>,
    cut_by: Option<&'static str>,
    origin_fault: Option<&'static str>,
    user_agent: Option<Cow<'r, str>>,
    referer_host: Option<String>,
}

impl<'r> Line<'r> {
    pub(crate) fn new(
        head: &'r RequestHeader,
        client: Option<IpAddr>,
        status: Option<u16>,
        bytes: u64,
        duration: Duration,
        record: &'r Record,
    ) -> Self {
        let route = record.route.as_deref();
        Self {
            time: timestamp(SystemTime::now()),
            request_id: record.id.to_string(),
            client,
            method: head.method.as_str(),
            host: request::hostname(head).ok().map(|hostname| hostname.to_string()),
            path: path(head),
            protocol: protocol(head.version),
            status,
            bytes,
            duration_ms: duration.as_secs_f64() * 1000.0,
            cache: record.cache.text(),
            project_id: route.map(|route| route.project_id.to_string()),
            project: route.map(|route| route.slug.as_str()),
            deployment_id: route.and_then(|route| route.deployment_id).map(|id| id.to_string()),
            rule: record.rule.as_deref(),
            cut_by: record.cut.map(Label::text),
            origin_fault: record.origin_fault.map(Label::text),
            user_agent: head
                .headers
                .get(USER_AGENT)
                .map(|value| text(value.as_bytes(), USER_AGENT_BYTES_MAX)),
            referer_host: head.headers.get(REFERER).and_then(|value| host_of(value.to_str().ok()?)),
        }
    }

    /// As JSON with a line end. The encoder escapes whatever could end a line or a string early.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

fn timestamp(at: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from(at).format(format).unwrap_or_default()
}

/// The path as it was sent. A target that is no path may hold a user and a password: it is left out.
fn path(head: &RequestHeader) -> Cow<'_, str> {
    let target = request::target(head);
    let path = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    if path.starts_with(b"/") || path == b"*" { text(path, PATH_BYTES_MAX) } else { Cow::Borrowed("") }
}

/// The first bytes as text; what is no UTF-8, also from a character cut in two, becomes U+FFFD.
fn text(bytes: &[u8], bytes_max: usize) -> Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(bytes_max)])
}

fn host_of(referer: &str) -> Option<String> {
    url::Url::parse(referer).ok()?.host_str().map(str::to_owned)
}

fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_2 => "HTTP/2",
        http::Version::HTTP_11 => "HTTP/1.1",
        http::Version::HTTP_10 => "HTTP/1.0",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(target: &[u8], headers: &[(&str, &[u8])]) -> serde_json::Value {
        let mut head = RequestHeader::build("GET", target, None).expect("a request");
        for (name, value) in headers {
            let value = http::HeaderValue::from_bytes(value).expect("a value");
            head.append_header((*name).to_owned(), value).expect("a header");
        }
        let record = Record::default();
        let line = Line::new(&head, None, Some(200), 5, Duration::from_micros(1500), &record).encode();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        serde_json::from_slice(&line).expect("JSON")
    }

    #[test]
    fn queries_fragments_and_credentials_are_left_out() {
        let cases = [
            ("/a/b?token=secret", "/a/b"),
            ("/a#secret", "/a"),
            ("/", "/"),
            ("*", "*"),
            ("http://shop.localhost/x?secret", "/x"),
            ("http://user:secret@shop.localhost/x", "/x"),
            ("secret", ""),
        ];
        for (target, expected) in cases {
            let referer: &[u8] = b"https://me:secret@from.example/secret?secret";
            let line = logged(target.as_bytes(), &[("host", b"shop.localhost"), ("referer", referer)]);
            assert_eq!(line["path"], expected, "{target}");
            assert_eq!(line["referer_host"], "from.example");
            assert!(!line.to_string().contains("secret"), "{line}");
        }
    }

    #[test]
    fn hostile_bytes_become_harmless_text() {
        let agent = [b"\"},{\t\xff\xfe".as_slice(), &[b'x'; 400]].concat();
        let line =
            logged("/\u{e9}\"\\{".as_bytes(), &[("host", b"u:p@shop.localhost"), ("user-agent", &agent)]);
        assert_eq!(line["path"], "/\u{e9}\"\\{");
        assert_eq!(line["host"], serde_json::Value::Null);
        let agent = line["user_agent"].as_str().expect("text");
        assert!(agent.starts_with("\"},{\t\u{fffd}\u{fffd}x") && agent.chars().count() == 256, "{agent}");
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_007);
        assert_eq!(timestamp(at), "2023-11-14T22:13:20.007Z");
    }
}
