//! Raw heads and what becomes of them, and that the parser behind reads an accepted one as it was checked.

use bytes::BytesMut;
use pingora::protocols::http::ServerSession;
use proptest::prelude::*;

use super::*;

/// `200` for a head that passes, the status of its refusal, or `more`.
fn outcome(bytes: &[u8]) -> String {
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, 1), whole, "byte by byte: {:?}", String::from_utf8_lossy(bytes));
    whole
}

fn read(bytes: &[u8], step: usize) -> String {
    let mut scan = Scan::default();
    let mut seen = 0;
    while seen < bytes.len() {
        seen = (seen + step).min(bytes.len());
        match scan.advance(&bytes[..seen]) {
            Ok(None) => {}
            Ok(Some(head)) => return check(&bytes[head]).map_or_else(status, |_| "200".to_owned()),
            Err(refusal) => return status(refusal),
        }
    }
    "more".to_owned()
}

fn status(refusal: Refusal) -> String {
    refusal.status().as_u16().to_string()
}

#[test]
fn first_lines_have_three_parts() {
    let cases: &[(&str, &str)] = &[
        ("GET / HTTP/1.1", "200"),
        ("get / HTTP/1.1", "200"), // a method that nobody knows: the site says 405
        ("GET /%C3%BC?a=b&c='| HTTP/1.1", "200"),
        ("GET /\" HTTP/1.1", "200"),
        ("GET /a#b HTTP/1.1", "400"),
        ("GET /a?b|c HTTP/1.1", "200"),
        ("GET / HTTP/1.0", "200"),
        ("GET http://a/x HTTP/1.1", "200"),
        ("GET HTTP://a/x HTTP/1.1", "200"),
        ("OPTIONS * HTTP/1.1", "200"),
        ("GET * HTTP/1.1", "400"),
        ("GET  / HTTP/1.1", "400"),
        ("GET /  HTTP/1.1", "400"),
        ("GET / HTTP/1.1 ", "400"),
        (" GET / HTTP/1.1", "400"),
        ("GET\t/ HTTP/1.1", "400"),
        ("GET /\tHTTP/1.1", "400"),
        ("GET /a\tb HTTP/1.1", "400"),
        ("GET /a b HTTP/1.1", "400"),
        ("GET / HTTP/1.1 x", "400"),
        ("GET /", "400"),
        ("GET", "400"),
        ("GET  HTTP/1.1", "400"),
        ("G@T / HTTP/1.1", "400"),
        ("GET: / HTTP/1.1", "400"),
        (" / HTTP/1.1", "400"),
        ("GET / http/1.1", "400"),
        ("GET / HTTP/1", "400"),
        ("GET / HTTP/1.", "400"),
        ("GET / HTTP/1.10", "400"),
        ("GET / HTTP/11", "400"),
        ("GET / HTTP 1.1", "400"),
        ("GET / HTTPS/1.1", "400"),
        ("GET / ICAP/1.0", "400"),
        ("GET / HTTP/+1.1", "400"),
        ("GET / HTTP/0.9", "505"),
        ("GET / HTTP/1.2", "505"),
        ("GET / HTTP/2.0", "505"),
        ("GET / HTTP/3.0", "505"),
        ("PRI * HTTP/2.0", "400"),
        ("GET a/b HTTP/1.1", "400"),
        ("GET a:80 HTTP/1.1", "400"),
        ("GET ?x HTTP/1.1", "400"),
        ("GET ftp://a/ HTTP/1.1", "400"),
        ("GET http:/a HTTP/1.1", "400"),
        ("GET http:///x HTTP/1.1", "400"),
        ("GET http:\\\\a/ HTTP/1.1", "400"),
        ("GET http://b/ HTTP/1.1", "400"),
        ("GET http://a:80/ HTTP/1.1", "400"),
        ("GET http://u@a/ HTTP/1.1", "400"),
        ("CONNECT a:443 HTTP/1.1", "405"),
        ("CONNECT / HTTP/1.1", "405"),
        ("TRACE / HTTP/1.1", "405"),
    ];
    for (line, expected) in cases {
        assert_eq!(outcome(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()), *expected, "{line:?}");
    }
    // Refused with the line: what would follow may never come.
    for line in ["GET /\r\n", "GET / HTTP/1.1\n", "GET / HTTP/1.1\rH", "\x16\x03\x01\x02", "\n", "\r\n\r\n"] {
        assert_eq!(outcome(line.as_bytes()), "400", "{line:?}");
    }
    assert_eq!(outcome(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "200");
    for partial in ["", "G", "GET / HTTP/1.1", "GET / HTTP/1.1\r", "GET / HTTP/1.1\r\nHost: a\r\n\r"] {
        assert_eq!(outcome(partial.as_bytes()), "more", "{partial:?}");
    }
}

#[test]
fn header_lines_have_a_name_and_a_value() {
    let cases: &[(&[u8], &str)] = &[
        (b"X: y", "200"),
        (b"X:y", "200"),
        (b"X:", "200"),
        (b"X: \t y \t ", "200"),
        (b"X: \xff\xfe", "200"),
        (b"X : y", "400"),
        (b"X\t: y", "400"),
        (b": y", "400"),
        (b" X: y", "400"),
        (b"\tX: y", "400"),
        (b"X", "400"),
        (b"X y: z", "400"),
        (b"X(: y", "400"),
        (b"X\xfc: y", "400"),
        (b"X[]: y", "400"),
        (b"X: y\r\n folded", "400"),
        (b"X: y\r\n\tfolded", "400"),
        (b"X: y\nZ: z", "400"),
        (b"X: y\rZ: z", "400"),
        (b"X: y\r\r\nZ: z", "400"),
        (b"X: \0", "400"),
        (b"X: a\x01b", "400"),
        (b"X: a\x0bb", "400"),
        (b"X: a\x7fb", "400"),
        (b"X\0: y", "400"),
    ];
    for (line, expected) in cases {
        let head = [b"GET / HTTP/1.1\r\nHost: a\r\n", *line, b"\r\n\r\n"].concat();
        assert_eq!(outcome(&head), *expected, "{:?}", String::from_utf8_lossy(line));
    }
    assert_eq!(outcome(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"), "400");
    assert_eq!(outcome(b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"), "400");
}

#[test]
fn hosts_are_one_name() {
    let cases: &[(&str, &str)] = &[
        ("Host: a", "200"),
        ("HOST:a", "200"),
        ("Host: A.Localhost:8080", "200"),
        ("Host: a.", "200"),
        ("Host: a:", "200"),
        ("Host: 192.0.2.1", "200"),
        ("Host: [::1]:8080", "200"), // a health check by address; no site has such a name
        ("X: y", "400"),
        ("Host:", "400"),
        ("Host: a\r\nHost: a", "400"),
        ("Host: a\r\nhost: b", "400"),
        ("Host: a, b", "400"),
        ("Host: a b", "400"),
        ("Host: u@a", "400"),
        ("Host: http://a", "400"),
        ("Host: a/b", "400"),
        ("Host: a?b", "400"),
        ("Host: a#b", "400"),
        ("Host: a\\b", "400"),
        ("Host: a:b", "400"),
        ("Host: a:80:80", "400"),
        ("Host: a:0", "400"),
        ("Host: a:65536", "400"),
        ("Host: a:-1", "400"),
        ("Host: :80", "400"),
        ("Host: .", "400"),
        ("Host: a..b", "400"),
        ("Host: ..", "400"),
        ("Host: a%00", "400"),
        ("Host: [::1", "400"),
        ("Host: [::1]x", "400"),
        ("Host: \u{fc}", "400"),
    ];
    for (line, expected) in cases {
        assert_eq!(outcome(format!("GET / HTTP/1.1\r\n{line}\r\n\r\n").as_bytes()), *expected, "{line:?}");
    }
    // RFC 9112 §3.2: the field is a must, also beside a URL.
    assert_eq!(outcome(b"GET http://a/ HTTP/1.1\r\n\r\n"), "400");
    assert_eq!(outcome(b"GET / HTTP/1.0\r\n\r\n"), "200");
}

#[test]
fn bodies_are_framed_in_one_way() {
    let cases: &[(&str, &str)] = &[
        ("Content-Length: 0", "200"),
        ("Content-Length: 5", "200"),
        ("Content-Length: 005", "200"),
        ("Transfer-Encoding: chunked", "200"),
        ("Transfer-Encoding: Chunked", "200"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", "400"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", "400"),
        ("Content-Length: 5\r\nContent-Length: 5", "400"),
        ("Content-Length: 5\r\nContent-Length: 6", "400"),
        ("Content-Length: 5, 5", "400"),
        ("Content-Length:", "400"),
        ("Content-Length: +5", "400"),
        ("Content-Length: -5", "400"),
        ("Content-Length: 5 5", "400"),
        ("Content-Length: 0x5", "400"),
        ("Content-Length: 5.0", "400"),
        ("Content-Length: 1e1", "400"),
        ("Content-Length: five", "400"),
        ("Content-Length: \"5\"", "400"),
        ("Content-Length: 99999999999999999999999", "400"),
        ("Transfer-Encoding: gzip", "501"),
        ("Transfer-Encoding: identity", "501"),
        ("Transfer-Encoding: xchunked", "501"),
        ("Transfer-Encoding: gzip, chunked", "501"),
        ("Transfer-Encoding: chunked, chunked", "400"),
        ("Transfer-Encoding: chunked, identity", "400"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "400"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "400"),
        ("Transfer-Encoding: chunked;q=1", "400"),
        ("Transfer-Encoding: \"chunked\"", "400"),
        ("Transfer-Encoding: chunked,", "400"),
        ("Transfer-Encoding: ,chunked", "400"),
        ("Transfer-Encoding:", "400"),
        ("Transfer-Encoding: \u{b}chunked", "400"),
        ("Transfer-Encoding : chunked", "400"),
        ("Transfer-Encoding:\r\n chunked", "400"),
    ];
    for (lines, expected) in cases {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        assert_eq!(outcome(head.as_bytes()), *expected, "{lines:?}");
    }
    assert_eq!(outcome(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), "400");
}

#[test]
fn nothing_changes_protocols_and_expectations_are_known() {
    let cases: &[(&str, &str)] = &[
        ("Expect: 100-continue", "200"),
        ("Expect: 100-Continue", "200"),
        ("Expect: 200-ok", "417"),
        ("Expect: 100-continue, x", "417"),
        ("Expect:", "417"),
        ("Upgrade: websocket", "400"),
        ("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__", "400"),
        ("HTTP2-Settings: AAMAAABkAAQAAP__", "400"),
        ("Connection: close, UPGRADE", "400"),
        ("Connection: close\r\nConnection: upgrade", "400"),
        ("Connection: keep-alive", "200"),
    ];
    for (lines, expected) in cases {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        assert_eq!(outcome(head.as_bytes()), *expected, "{lines:?}");
    }
    assert_eq!(outcome(b"GET / HTTP/1.0\r\nHost: a\r\nExpect: x\r\n\r\n"), "200");
}

#[test]
fn heads_have_limits() {
    let target = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    let with_target = |target: &str| outcome(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    assert_eq!(with_target(&target(TARGET_BYTES_MAX)), "200");
    assert_eq!(with_target(&target(TARGET_BYTES_MAX + 1)), "414");
    assert_eq!(outcome(format!("GET {}", target(2 * TARGET_BYTES_MAX)).as_bytes()), "414");
    assert_eq!(outcome("A".repeat(REQUEST_LINE_BYTES_MAX + 1).as_bytes()), "400");
    assert_eq!(outcome(format!("{} / HTTP/1.1\r\n", "A".repeat(METHOD_BYTES_MAX + 1)).as_bytes()), "400");

    let with_fields = |count: usize| {
        outcome(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1)).as_bytes())
    };
    assert_eq!(with_fields(HEADERS_MAX), "200");
    assert_eq!(with_fields(HEADERS_MAX + 1), "431");

    let around = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let with_value = |bytes: usize| {
        outcome(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "v".repeat(bytes)).as_bytes())
    };
    assert_eq!(with_value(HEAD_BYTES_MAX - around), "200");
    assert_eq!(with_value(HEAD_BYTES_MAX - around + 1), "431");
    assert_eq!(outcome(format!("GET / HTTP/1.1\r\nX: {}", "v".repeat(HEAD_BYTES_MAX)).as_bytes()), "431");
}

type Fields = Vec<(String, Vec<u8>)>;

/// Method, target and fields as the proxy library reads them.
fn as_the_proxy_reads(bytes: &[u8]) -> Option<(String, Vec<u8>, Fields)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (_client, stream) = tokio::io::duplex(16);
        let mut session = ServerSession::new_http1(Box::new(stream));
        session.set_pipelined_prefix(BytesMut::from(bytes));
        session.read_request().await.ok().filter(|read| *read)?;
        let head = session.req_header();
        let fields = head.headers.iter();
        let fields = fields.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        Some((head.method.to_string(), head.raw_path().to_vec(), fields.collect()))
    })
}

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        "GET ",
        "POST ",
        "/",
        "a",
        "http://a/",
        " HTTP/1.1",
        " HTTP/1.0",
        "\r\n",
        "\r",
        "\n",
        "\r\n\r\n",
        "Host: a",
        "Host: b:80",
        "Content-Length: 3",
        "Transfer-Encoding: chunked",
        "X",
        ":",
        " ",
        "\t",
        "?",
        "%2f",
        "\\",
        "\"",
        "<",
        "|",
        "{",
        "^",
        "`",
        "#",
        "[",
        "@",
        "Connection: close",
        "User-Agent: b",
        "Expect: 100-continue",
        "\0",
        "\u{fc}",
    ]);
    prop::collection::vec(fragment, 0..14).prop_map(|fragments| fragments.concat().into_bytes())
}

/// Heads that are nearly right.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let field = "[ -~\u{80}-\u{ff}\t]{0,12}";
    (
        "(GET|HEAD|POST|OPTIONS|X-Y)",
        "/[!-~\u{80}-\u{ff}]{0,16}",
        prop::collection::vec(("[!-9;-~]{1,6}", field), 0..4),
    )
        .prop_map(|(method, target, fields)| {
            let fields: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
            format!("{method} {target} HTTP/1.1\r\nHost: a.localhost\r\n{fields}\r\n").into_bytes()
        })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        outcome(&bytes);
    }

    #[test]
    fn an_accepted_head_means_the_same_to_the_proxy(bytes in prop_oneof![fragments(), heads()]) {
        let Ok(Some(place)) = Scan::default().advance(&bytes) else { return Ok(()) };
        let head = &bytes[place];
        if check(head).is_err() {
            return Ok(());
        }
        let mut fields = [EMPTY_HEADER; HEADERS_MAX];
        let mut request = Request::new(&mut fields);
        request.parse(head).expect("checked");
        let (method, target, read) = as_the_proxy_reads(head).expect("the proxy reads what we accept");
        prop_assert_eq!(Some(method.as_str()), request.method);
        prop_assert_eq!(Some(target.as_slice()), request.path.map(str::as_bytes));
        prop_assert_eq!(read.len(), request.headers.len());
        if let Some(plain) = plain(head) {
            let value = |name| values(request.headers, name).next();
            prop_assert_eq!((request.method, request.version), (Some("GET"), Some(1)));
            prop_assert_eq!(Some(plain.target), request.path.map(str::as_bytes));
            prop_assert_eq!(Some(plain.host), value("host"));
            prop_assert_eq!(plain.user_agent, value("user-agent"));
        }
        for field in request.headers.iter() {
            let found = read.iter().any(|(name, value)| {
                name.eq_ignore_ascii_case(field.name) && value == field.value
            });
            prop_assert!(found, "{} is lost", field.name);
        }
    }
}

#[test]
fn a_plain_get_asks_for_no_more_than_its_answer() {
    let is_plain = |line: &str, fields: &str| {
        let head = format!("{line}\r\nHost: a\r\n{fields}\r\n");
        assert!(Scan::default().advance(head.as_bytes()).is_ok_and(|place| place.is_some()), "{head:?}");
        plain(head.as_bytes()).is_some()
    };
    for fields in
        ["", "Connection: keep-alive\r\n", "USER-AGENT:b\r\nAccept: c\r\nX:\r\n", "Range: bytes=0-\r\n"]
    {
        assert!(is_plain("GET /a?b HTTP/1.1", fields), "{fields:?}");
    }
    for line in ["HEAD / HTTP/1.1", "GET / HTTP/1.0", "GET http://a/ HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        assert!(!is_plain(line, ""), "{line}");
    }
    let more = [
        "Host: a",
        "Connection: close",
        "Connection: keep-alive, upgrade",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "HTTP2-Settings: AA",
        "Fastly-Debug: x",
        "Referer: a\r\nReferer: b",
    ];
    for field in more {
        assert!(!is_plain("GET / HTTP/1.1", &format!("{field}\r\n")), "{field}");
    }
}
