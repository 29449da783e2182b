use http::{HeaderMap, HeaderName, HeaderValue};
use loggia_types::build::Environment;
use loggia_types::content_hash::ContentHash;
use loggia_types::rules::{Dialect, HeaderLine, HeaderRule, HeaderScope, RuleSource};
use proptest::prelude::*;

use super::patterns::{any_pattern, expression};
use super::{get, parts, path_pattern, url_pattern};
use crate::matching::{Answered, Headers};

/// `/path [context=preview] [status=404] | name: value | ! name | basic-auth: u:p`.
fn block(text: &str) -> HeaderRule {
    let mut fields = text.split(" | ");
    let mut head = fields.next().expect("a path").split(' ');
    let path = head.next().expect("a path");
    let scope = match path.strip_prefix("file:/") {
        Some(path) => HeaderScope::File(path_pattern(path, Dialect::Netlify)),
        None => HeaderScope::Url(url_pattern(path, Dialect::Netlify)),
    };
    let source = RuleSource { file: "_headers".into(), line: 1 };
    let (remove, set, credentials) = Default::default();
    let mut rule = HeaderRule { source, scope, environment: None, status: None, remove, set, credentials };
    for narrowing in head {
        match narrowing {
            "[context=preview]" => rule.environment = Some(Environment::Preview),
            status => {
                rule.status =
                    status.trim_matches(['[', ']']).strip_prefix("status=").and_then(|s| s.parse().ok());
            }
        }
    }
    for field in fields {
        match (field.strip_prefix("! "), field.split_once(": ")) {
            (Some(name), _) => rule.remove.push(name.into()),
            (_, Some(("basic-auth", users))) => {
                rule.credentials = users.split(' ').map(|user| ContentHash::of(user.as_bytes())).collect();
            }
            (_, Some((name, value))) => rule.set.push(HeaderLine { name: name.into(), value: parts(value) }),
            _ => panic!("{field} is no field"),
        }
    }
    rule
}

fn headers(blocks: &[&str]) -> Headers {
    Headers::new(blocks.iter().map(|text| block(text)).collect())
}

const ANSWERED: Answered<'static> =
    Answered { environment: Environment::Production, status: 200, file: None, is_platform_host: false };

/// All headers of the answer, when the system had set `x-system: s` twice.
fn applied(headers: &Headers, url: &str, answered: &Answered<'_>) -> String {
    let request = get(url);
    let mut map = HeaderMap::new();
    for _ in 0..2 {
        map.append("x-system", HeaderValue::from_static("s"));
    }
    headers.apply(&headers.matching(&request.head()), answered, &request.head(), &mut map);
    let mut lines: Vec<String> = map
        .iter()
        .map(|(name, value): (&HeaderName, _)| {
            format!("{name}={}", String::from_utf8_lossy(value.as_bytes()))
        })
        .collect();
    lines.sort();
    lines.join(" | ")
}

#[test]
fn blocks_apply_in_file_order() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "x-system=s | x-system=s"),
        (&["/* | x-system: u"], "x-system=u"),
        (&["/* | x-system: u", "/a | x-system: v"], "x-system=u, v"),
        (&["/a | x-system: v", "/* | x-system: u", "/b | x-system: w"], "x-system=v, u"),
        (&["/* | ! x-system"], ""),
        (&["/* | x-system: u | ! x-system"], "x-system=u"),
        (&["/* | x-system: u", "/a | ! x-system"], ""),
        (&["/* | x-system: u", "/a | ! x-system | x-system: v"], "x-system=v"),
        (&["/* | x-system: u", "/a | ! x-system", "/a | x-system: v", "/a | x-system: w"], "x-system=v, w"),
        (&["/* | x-other: o"], "x-other=o | x-system=s | x-system=s"),
        (&["/* | x-system: a\nb"], "x-system=s | x-system=s"),
        (&["/* | content-length: 0 | x-loggia-rule: x | transfer-encoding: x"], "x-system=s | x-system=s"),
    ];
    for (blocks, expected) in cases {
        assert_eq!(applied(&headers(blocks), "/a", &ANSWERED), *expected, "{blocks:?}");
    }
}

#[test]
fn placeholders_are_filled_in_and_bring_no_byte_of_their_own() {
    let headers = headers(&["https://:host.test/:x/* | x-system: <:host>; :x :splat :unknown"]);
    let cases = [
        ("/a/b/c", "x-system=<site>; a b/c :unknown"),
        ("/a/ü\r\nx: y", "x-system=<site>; a %C3%BC%0D%0Ax%3A%20y :unknown"),
        ("http://site.test/a/b", "x-system=<site>; a b :unknown"),
        ("https://site.example/a/b", "x-system=s | x-system=s"),
    ];
    for (url, expected) in cases {
        assert_eq!(applied(&headers, url, &ANSWERED), expected, "{url}");
    }
}

#[test]
fn a_block_may_be_narrowed() {
    let headers = headers(&[
        "/* [context=preview] | x-system: preview",
        "/* [status=404] | x-system: missing",
        "file:/docs/:name.html | x-system: file :name",
    ]);
    let preview = Environment::Preview;
    let cases = [
        (ANSWERED, "x-system=s | x-system=s"),
        (Answered { environment: preview, ..ANSWERED }, "x-system=preview"),
        (Answered { environment: preview, status: 404, ..ANSWERED }, "x-system=preview, missing"),
        (Answered { file: Some("docs/a.html"), ..ANSWERED }, "x-system=file a"),
        (Answered { file: Some("docs/a.css"), ..ANSWERED }, "x-system=s | x-system=s"),
        (Answered { status: 404, file: Some("docs/404.html"), ..ANSWERED }, "x-system=missing, file 404"),
    ];
    for (answered, expected) in cases {
        assert_eq!(applied(&headers, "/docs/a", &answered), expected, "{answered:?}");
    }
}

#[test]
fn no_site_binds_the_subdomains_of_the_platform() {
    let headers = headers(&[
        "/* | strict-transport-security: max-age=1; IncludeSubdomains",
        "/a | strict-transport-security: max-age=2",
    ]);
    let kept = "strict-transport-security=max-age=1; IncludeSubdomains, max-age=2 | x-system=s | x-system=s";
    assert_eq!(applied(&headers, "/a", &ANSWERED), kept);
    let platform = Answered { is_platform_host: true, ..ANSWERED };
    assert_eq!(
        applied(&headers, "/a", &platform),
        "strict-transport-security=max-age=2 | x-system=s | x-system=s"
    );
}

/// Whether `authorization` lets in at `url`; `None` is no header at all.
fn admits(headers: &Headers, url: &str, authorization: Option<&str>) -> bool {
    let matches = headers.matching(&get(url).head());
    let value = authorization.map(|text| HeaderValue::from_str(text).expect("a value"));
    headers.credentials(&matches, Environment::Production).admits(value.as_ref())
}

const ANNA: &str = "Basic YW5uYTpzZWNyZXQ="; // anna:secret
const BERT: &str = "Basic YmVydDpzZWNyZXQ="; // bert:secret

#[test]
fn a_protected_path_opens_for_its_users_only() {
    let headers =
        headers(&["/in/* | basic-auth: anna:secret bert:secret", "/p/* [context=preview] | basic-auth: a:b"]);
    let cases = [
        ("/", None, true),
        ("/p/x", None, true),
        ("/in", None, false),
        ("/in/", None, false),
        ("/in/x", None, false),
        ("/in/x", Some(ANNA), true),
        ("/in/x", Some(BERT), true),
        ("/in/x", Some("bASIC   YW5uYTpzZWNyZXQ"), true),
        ("/in/x", Some("Basic YW5uYTpzZWNyZXQ=="), true),
        ("/in/x", Some("Basic YW5uYTpzZWNyZXQ==="), false),
        ("/in/x", Some("Basic YW5uYTp3cm9uZw=="), false),
        ("/in/x", Some("Basic"), false),
        ("/in/x", Some("Basic "), false),
        ("/in/x", Some("Basic ===="), false),
        ("/in/x", Some("BasicYW5uYTpzZWNyZXQ="), false),
        ("/in/x", Some("Bearer YW5uYTpzZWNyZXQ="), false),
        ("/in/x", Some(""), false),
    ];
    for (url, authorization, expected) in cases {
        assert_eq!(admits(&headers, url, authorization), expected, "{url} {authorization:?}");
    }
    let preview = headers.credentials(&headers.matching(&get("/p/x").head()), Environment::Preview);
    assert!(preview.is_required() && !preview.admits(None));
}

#[test]
fn every_protecting_block_has_to_be_opened() {
    let headers = headers(&["/* | basic-auth: anna:secret bert:secret", "/in/* | basic-auth: anna:secret"]);
    for (url, authorization, expected) in
        [("/", BERT, true), ("/", ANNA, true), ("/in/", BERT, false), ("/in/", ANNA, true)]
    {
        assert_eq!(admits(&headers, url, Some(authorization)), expected, "{url} {authorization}");
    }
}

#[test]
fn a_status_does_not_open_a_block() {
    assert!(!admits(&headers(&["/* [status=404] | basic-auth: anna:secret"]), "/", None));
}

#[test]
fn a_file_may_be_protected_wherever_it_is_asked_for() {
    let headers = headers(&["file:/in/* | basic-auth: anna:secret"]);
    assert!(admits(&headers, "/in/x", None));
    let is_protected = |file| {
        headers.file_credentials(&get("/elsewhere").head(), file, Environment::Production).is_required()
    };
    assert!(is_protected("in/x.html") && !is_protected("x.html"));
}

#[test]
fn a_protecting_block_beyond_the_limit_closes_the_site() {
    let mut blocks = vec![block("/a | x: y"); 512];
    assert!(admits(&Headers::new(blocks.clone()), "/", None));
    blocks.push(block("/in/* | basic-auth: anna:secret"));
    assert!(!admits(&Headers::new(blocks.clone()), "/", None));
    assert!(!admits(&Headers::new(blocks), "/in/x", Some(ANNA)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_index_finds_the_blocks_that_a_look_at_each_finds(
        patterns in proptest::collection::vec(any_pattern(), 0..24),
        path in "[ab/é]{0,8}",
    ) {
        let rule = |path| HeaderRule { scope: HeaderScope::File(path), ..block("/x | y: z") };
        let headers = Headers::new(patterns.iter().cloned().map(rule).collect());
        let answered = Answered { file: Some(&path), ..ANSWERED };
        let expected = patterns.iter().filter(|pattern| expression(pattern).is_match(&path)).count();
        let lines = applied(&headers, "/", &answered);
        prop_assert_eq!(lines.matches('z').count(), expected);
    }

    #[test]
    fn no_authorization_makes_a_panic_or_an_entrance(bytes in proptest::collection::vec(32u8..=255, 0..40)) {
        let headers = headers(&["/* | basic-auth: anna:secret"]);
        let protection = headers.credentials(&headers.matching(&get("/").head()), Environment::Production);
        for value in [bytes.clone(), [b"Basic ".to_vec(), bytes].concat()] {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                prop_assert!(!protection.admits(Some(&value)));
            }
        }
    }
}
