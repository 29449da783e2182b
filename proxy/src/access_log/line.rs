//! One line of the access log: what is in it, and above all what is not.
//!
//! No query, no fragment, no credentials of a URL, no header but the user agent, of the referer only the host.
//!
//! Every request writes one, so it is put together by hand: no allocation, the library of JSON only where strangers
//! chose the text, and once only what is the same each time an answer is sent again ([`Repeated`]).

use std::cell::Cell;
use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use loggia_types::route::Route;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::metrics::{CacheResult, CutBy, Label, OriginFault};
use crate::record::RequestId;

const USER_AGENT_BYTES_MAX: usize = 256;

/// Paths of sites are shorter; refused ones can be as long as a whole head.
const PATH_BYTES_MAX: usize = 2048;

#[derive(Debug)]
pub(crate) struct Line<'r> {
    pub id: RequestId,
    pub client: Option<IpAddr>,
    pub method: &'r str,
    /// `None` when the request did not name exactly one valid host.
    pub host: Option<&'r str>,
    /// As it was sent.
    pub target: &'r [u8],
    pub protocol: &'static str,
    /// `None`: the client left before anything was sent.
    pub status: Option<u16>,
    pub bytes: u64,
    pub duration: Duration,
    pub cache: CacheResult,
    pub route: Option<&'r Route>,
    pub rule: Option<&'r str>,
    pub cut: Option<CutBy>,
    pub origin_fault: Option<OriginFault>,
    pub user_agent: Option<&'r [u8]>,
    pub referer: Option<&'r [u8]>,
    /// What was written the last time, when this is the same answer to the same question.
    pub repeated: Option<&'r Repeated>,
}

/// The parts of a line that are the same whenever an answer is sent again, as JSON.
#[derive(Debug)]
pub(crate) struct Repeated {
    asked: Box<[u8]>,
    answered: Box<[u8]>,
}

impl Line<'_> {
    /// As JSON with a line end.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(b"{\"time\":\"");
        into.extend_from_slice(&timestamp(SystemTime::now()));
        into.extend_from_slice(b"\",\"request_id\":\"");
        into.extend_from_slice(&self.id.hex());
        into.push(b'"');
        address(into, "client", self.client);
        plain(into, "protocol", Some(self.protocol));
        match self.repeated {
            Some(repeated) => into.extend_from_slice(&repeated.asked),
            None => self.asked(into),
        }
        number(into, "bytes", Some(self.bytes));
        millis(into, "duration_ms", self.duration);
        match self.repeated {
            Some(repeated) => into.extend_from_slice(&repeated.answered),
            None => self.answered(into),
        }
        text(into, "user_agent", self.user_agent, USER_AGENT_BYTES_MAX);
        let referer_host = self.referer.and_then(host_of);
        text(into, "referer_host", referer_host.as_deref().map(str::as_bytes), usize::MAX);
        into.extend_from_slice(b"}\n");
    }

    /// For the next lines of the same answer.
    pub(crate) fn repeated(&self) -> Repeated {
        let part = |write: fn(&Self, &mut Vec<u8>)| {
            let mut bytes = Vec::new();
            write(self, &mut bytes);
            bytes.into_boxed_slice()
        };
        Repeated { asked: part(Self::asked), answered: part(Self::answered) }
    }

    fn asked(&self, into: &mut Vec<u8>) {
        text(into, "method", Some(self.method.as_bytes()), usize::MAX);
        plain(into, "host", self.host);
        text(into, "path", Some(path(self.target)), PATH_BYTES_MAX);
        number(into, "status", self.status);
    }

    fn answered(&self, into: &mut Vec<u8>) {
        plain(into, "cache", Some(self.cache.text()));
        shown(into, "project_id", self.route.map(|route| route.project_id));
        plain(into, "project", self.route.map(|route| route.slug.as_str()));
        shown(into, "deployment_id", self.route.and_then(|route| route.deployment_id));
        text(into, "rule", self.rule.map(str::as_bytes), usize::MAX);
        plain(into, "cut_by", self.cut.map(Label::text));
        plain(into, "origin_fault", self.origin_fault.map(Label::text));
    }
}

fn name(into: &mut Vec<u8>, name: &str) {
    into.extend_from_slice(b",\"");
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(b"\":");
}

/// A text of our own, or one that was parsed, which holds nothing that would have to be escaped.
fn plain(into: &mut Vec<u8>, of: &str, value: Option<&str>) {
    name(into, of);
    match value {
        Some(value) => quoted(into, value.as_bytes()),
        None => into.extend_from_slice(b"null"),
    }
}

/// As [`plain`], of what only shows itself.
fn shown(into: &mut Vec<u8>, of: &str, value: Option<impl Display>) {
    name(into, of);
    // Writing into memory does not fail.
    let _ = match value {
        Some(value) => write!(into, "\"{value}\""),
        None => into.write_all(b"null"),
    };
}

fn quoted(into: &mut Vec<u8>, text: &[u8]) {
    into.push(b'"');
    into.extend_from_slice(text);
    into.push(b'"');
}

fn digits(into: &mut Vec<u8>, number: impl itoa::Integer) {
    into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn number(into: &mut Vec<u8>, of: &str, value: Option<impl itoa::Integer>) {
    name(into, of);
    match value {
        Some(value) => digits(into, value),
        None => into.extend_from_slice(b"null"),
    }
}

fn address(into: &mut Vec<u8>, of: &str, ip: Option<IpAddr>) {
    let Some(IpAddr::V4(ip)) = ip else { return shown(into, of, ip) };
    name(into, of);
    into.push(b'"');
    for (at, octet) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            into.push(b'.');
        }
        digits(into, octet);
    }
    into.push(b'"');
}

/// With three digits behind the point.
fn millis(into: &mut Vec<u8>, of: &str, duration: Duration) {
    number(into, of, Some(duration.as_secs() * 1000 + u64::from(duration.subsec_millis())));
    let micros = duration.subsec_micros() % 1000;
    into.push(b'.');
    for unit in [100, 10, 1] {
        into.push(digit(micros / unit));
    }
}

/// The last one of a number.
fn digit(number: u32) -> u8 {
    b'0' + (number % 10) as u8
}

/// A text of strangers, cut to its first bytes. The encoder escapes whatever could end a line or a string early; what is no
/// UTF-8, also from a character cut in two, becomes U+FFFD.
fn text(into: &mut Vec<u8>, of: &str, value: Option<&[u8]>, bytes_max: usize) {
    name(into, of);
    let Some(value) = value else { return into.extend_from_slice(b"null") };
    let value = &value[..value.len().min(bytes_max)];
    // Without a branch for each byte, so that many are looked at in one step.
    let needs_no_care = value
        .iter()
        .fold(true, |all, byte| all & (*byte >= b' ') & (*byte <= b'~') & (*byte != b'"') & (*byte != b'\\'));
    if needs_no_care {
        quoted(into, value);
    } else {
        let _ = serde_json::to_writer(into, &String::from_utf8_lossy(value));
    }
}

/// `2023-11-14T22:13:20.007Z`. The second is written once, and then only its milliseconds.
fn timestamp(at: SystemTime) -> [u8; 24] {
    thread_local! {
        static SECOND: Cell<(u64, [u8; 24])> = const { Cell::new((u64::MAX, [b'0'; 24])) };
    }
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (mut second, mut text) = SECOND.get();
    if second != since.as_secs() {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z");
        let formatted = OffsetDateTime::from(at).format(format).unwrap_or_default();
        if let Ok(formatted) = formatted.into_bytes().try_into() {
            (second, text) = (since.as_secs(), formatted);
            SECOND.set((second, text));
        }
    }
    for (place, unit) in [(20, 100), (21, 10), (22, 1)] {
        text[place] = digit(since.subsec_millis() / unit);
    }
    text
}

/// The path without its query. A target that is no path may hold a user and a password: it is left out.
fn path(target: &[u8]) -> &[u8] {
    let path = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    if path.starts_with(b"/") || path == b"*" { path } else { b"" }
}

fn host_of(referer: &[u8]) -> Option<String> {
    url::Url::parse(std::str::from_utf8(referer).ok()?).ok()?.host_str().map(str::to_owned)
}

#[cfg(test)]
pub(super) fn example(target: &[u8]) -> Line<'_> {
    Line {
        id: RequestId::random(),
        client: None,
        method: "GET",
        host: None,
        target,
        protocol: "HTTP/1.1",
        status: Some(200),
        bytes: 5,
        duration: Duration::from_micros(1500),
        cache: CacheResult::Hit,
        route: None,
        rule: None,
        cut: None,
        origin_fault: None,
        user_agent: None,
        referer: None,
        repeated: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::http::RequestHeader;

    fn logged(target: &[u8], headers: &[(&str, &[u8])]) -> serde_json::Value {
        let value = |name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let mut line = Vec::new();
        Line { user_agent: value("user-agent"), referer: value("referer"), ..example(target) }
            .encode(&mut line);
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
            let head = RequestHeader::build("GET", target.as_bytes(), None).expect("a request");
            let line = logged(crate::request::target(&head), &[("referer", referer)]);
            assert_eq!(line["path"], expected, "{target}");
            assert_eq!(line["referer_host"], "from.example");
            assert!(!line.to_string().contains("secret"), "{line}");
        }
    }

    #[test]
    fn hostile_bytes_become_harmless_text() {
        let agent = [b"\"},{\t\xff\xfe".as_slice(), &[b'x'; 400]].concat();
        let line = logged("/\u{e9}\"\\{".as_bytes(), &[("user-agent", &agent)]);
        assert_eq!(line["path"], "/\u{e9}\"\\{");
        assert_eq!(line["host"], serde_json::Value::Null);
        let agent = line["user_agent"].as_str().expect("text");
        assert!(agent.starts_with("\"},{\t\u{fffd}\u{fffd}x") && agent.chars().count() == 256, "{agent}");
    }

    #[test]
    fn a_repeated_answer_is_logged_as_the_first_time() {
        let first = Line {
            client: Some("192.0.2.255".parse().expect("an address")),
            host: Some("shop.localhost"),
            rule: Some("/a\"b"),
            ..example(b"/a?secret")
        };
        let repeated = first.repeated();
        let again = Line { repeated: Some(&repeated), ..example(b"another, that is not looked at") };
        let read = |line: &Line<'_>| {
            let mut bytes = Vec::new();
            line.encode(&mut bytes);
            let mut read: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
            read.as_object_mut().expect("an object").remove("time");
            read
        };
        let expected = read(&first);
        assert_eq!(read(&Line { id: first.id, client: first.client, ..again }), expected);
        assert_eq!(expected["client"], "192.0.2.255");
        assert_eq!(expected["duration_ms"], 1.5);
        assert_eq!((&expected["path"], &expected["rule"]), (&"/a".into(), &"/a\"b".into()));
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_007);
        assert_eq!(&timestamp(at), b"2023-11-14T22:13:20.007Z");
        assert_eq!(&timestamp(at + Duration::from_millis(990)), b"2023-11-14T22:13:20.997Z");
        assert_eq!(&timestamp(at + Duration::from_millis(993)), b"2023-11-14T22:13:21.000Z");
    }
}
