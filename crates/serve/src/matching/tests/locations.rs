use http::HeaderValue;
use loggia_types::rules::{Action, Destination, Dialect, Part, PathPattern, QueryTest};
use proptest::prelude::*;

use super::{Request, get, parts, rule};
use crate::matching::Redirects;

/// What the one rule `line` makes of a request; `-`: it does not hold; `nothing`: it makes no address.
fn made(line: &str, request: &Request) -> String {
    let redirects = Redirects::new(vec![rule(line, 1, Dialect::Netlify)], Dialect::Netlify);
    let head = request.head();
    let Some(found) = redirects.find_unforced(&head) else { return "-".to_owned() };
    found.location(&head).or_else(|| found.rewritten_path()).unwrap_or_else(|| "nothing".to_owned())
}

#[test]
fn captures_are_escaped_for_their_place() {
    let cases = [
        // rule                                      request          Location
        ("/a/:x /b/:x", "/a/ü @?#%", "/b/%C3%BC%20%40%3F%23%25"),
        ("/a/* /b/:splat", "/a/ü/@", "/b/%C3%BC/%40"),
        ("/a/* /b?x=:splat#:splat", "/a/b/&=", "/b?x=b/%26%3D#b/%26%3D"),
        ("/a/* /b?x=:splat", "/a/1@~!:$,+;?#% ü", "/b?x=1@~!:$,%2B%3B%3F%23%25%20%C3%BC"),
        ("/a/:x/b/:x /c/:x", "/a/1/b/2", "/c/1"),
        ("/a/:x https://:x.other.test/", "/a/de-1", "https://de-1.other.test/"),
        ("/a/:x https://:x.other.test/", "/a/evil.test", "nothing"),
        ("/a/:x https://:x.other.test/", "/a/evil@", "nothing"),
        ("/a/* https://:splat.other.test/", "/a/", "nothing"),
        ("/a/* https://other.test/:splat", "/a/b/c", "https://other.test/b/c"),
        (
            "/a/* https://web.test/x/https://other.test/:splat",
            "/a/b",
            "https://web.test/x/https://other.test/b",
        ),
        ("/a/:x /b/:y", "/a/b", "/b/:y"),
        ("/a /b/:splat", "/a", "/b/:splat"),
    ];
    for (line, url, expected) in cases {
        let mut request = get("/");
        request.path = url[1..].into();
        assert_eq!(made(line, &request), expected, "{line} and {url}");
    }
}

#[test]
fn a_query_is_passed_on_unless_the_target_has_one() {
    let cases = [
        ("/a /b", "/a", "/b"),
        ("/a /b", "/a?", "/b?"),
        ("/a /b", "/a?x=1&y=<\">\r\n", "/b?x=1&y=%3C%22%3E%0D%0A"),
        ("/a /b?", "/a?x=1", "/b"),
        ("/a /b?y=2", "/a?x=1", "/b?y=2"),
        ("/a /b#c", "/a?x=1", "/b?x=1#c"),
        ("/a https://other.test/b", "/a?x=1", "https://other.test/b?x=1"),
        ("/a https://other.test/b 200", "/a?x=1", "https://other.test/b?x=1"),
    ];
    for (line, url, expected) in cases {
        assert_eq!(made(line, &get(url)), expected, "{line} and {url}");
    }
}

#[test]
fn a_location_never_names_another_host_by_accident() {
    let cases = [
        ("/a/* /:splat", "/a/", "/"),
        ("/a/* /:splat/x", "/a/", "/x"),
        ("/a/* //:splat", "/a/evil.test", "/evil.test"),
        ("/a/* /b//:splat", "/a/c", "/b/c"),
        ("/a/* /\\evil.test/:splat", "/a/c", "/%5Cevil.test/c"),
        ("/a/:x /b/.:x/c", "/a/.", "nothing"),
        ("/a/:x /b/%2e:x", "/a/.", "nothing"),
        ("/a x=:x /:x", "/a?x=..", "nothing"),
        ("/a x=:x /:x", "/a?x=%2F/evil.test", "/%2F%2Fevil.test?x=%2F/evil.test"),
        ("/a x=:x /:x", "/a?x=%0d%0aX", "/%0D%0AX?x=%0d%0aX"),
        ("/a x=:x /:x", "/a?x=%ff", "/%EF%BF%BD?x=%ff"),
    ];
    for (line, url, expected) in cases {
        assert_eq!(made(line, &get(url)), expected, "{line} and {url}");
    }
}

#[test]
fn a_rewritten_path_is_canonical_or_none() {
    let cases = [
        ("/a/* /b/:splat 200", "/a/ü c/", "b/ü c/"),
        ("/a/* /:splat/index.html 200", "/a/", "index.html"),
        ("/a/* /b//:splat 200", "/a/c", "b/c"),
        ("/a/* / 200", "/a/b", ""),
        ("/a/:x /b/.:x/c 200", "/a/.", "nothing"),
        ("/a/:x /b/:x 404", "/a/c", "b/c"),
        ("/a x=:x /:x/b 200", "/a?x=..", "nothing"),
        ("/a x=:x /:x 200", "/a?x=%2e%2e%2fb", "nothing"),
        ("/a x=:x /:x 200", "/a?x=b%5cc", "nothing"),
        ("/a x=:x /:x 200", "/a?x=b%00", "nothing"),
        ("/a x=:x /:x 200", "/a?x=b", "b"),
    ];
    for (line, url, expected) in cases {
        assert_eq!(made(line, &get(url)), expected, "{line} and {url}");
    }
}

#[test]
fn a_location_ends_at_eight_kibibytes() {
    let long = get(&format!("/a/{}", "x".repeat(8000)));
    assert_eq!(made("/a/* /b/:splat", &long).len(), 8003);
    assert_eq!(made("/a/* /b/:splat/:splat", &long), "nothing");
    assert_eq!(made("/a/* /b/:splat/:splat 200", &long), "nothing");
    let escaped = get(&format!("/a/{}", "ü".repeat(2000)));
    assert_eq!(made("/a/* /b/:splat", &escaped), "nothing");
}

fn any_parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        ".{0,4}".prop_map(|text| Part::Text(text.into())),
        r"[./\\%?#@:]{0,3}".prop_map(|text| Part::Text(text.into())),
        Just(Part::Name("x".into())),
        Just(Part::Name("q".into())),
        Just(Part::Splat),
    ];
    proptest::collection::vec(part, 0..5)
}

fn any_destination() -> impl Strategy<Value = Destination> {
    let maybe = || proptest::option::of(any_parts());
    (maybe(), any_parts(), maybe(), maybe()).prop_map(|(origin, path, query, fragment)| Destination {
        origin,
        path,
        query,
        fragment,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_template_and_no_request_make_a_location_that_is_unsafe(
        to in any_destination(),
        path in r"(\PC|[./\\\r\n]){1,6}/(\PC|[./\\\r\n]){0,6}",
        value in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let is_ours = to.origin.is_none();
        let mut rule = rule("/:x/* /b", 1, Dialect::Netlify);
        rule.query = vec![QueryTest { key: "q".into(), value: Part::Name("q".into()) }];
        rule.from.path = PathPattern { parts: parts(":x/*"), lenient: true };
        let rewrite = Action::Rewrite { status: loggia_types::rules::RewriteStatus::Ok, path: to.path.clone() };
        let Action::Redirect { status, .. } = rule.action else { unreachable!() };
        rule.action = Action::Redirect { status, to };

        let mut request = get("/");
        request.path = path;
        request.query = Some([b"q=".to_vec(), value].concat());
        let head = request.head();
        let redirects = Redirects::new(vec![rule.clone()], Dialect::Netlify);
        if let Some(location) = redirects.find_unforced(&head).and_then(|found| found.location(&head)) {
            prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
            prop_assert!(HeaderValue::from_str(&location).is_ok());
            prop_assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{location:?}");
            prop_assert!(!is_ours || location.starts_with('/'), "{location:?}");
        }

        rule.action = rewrite;
        let redirects = Redirects::new(vec![rule], Dialect::Netlify);
        if let Some(path) = redirects.find_unforced(&head).and_then(|found| found.rewritten_path()) {
            prop_assert!(!path.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\'), "{path:?}");
            prop_assert!(!path.starts_with('/') && !path.contains("//"), "{path:?}");
            prop_assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{path:?}");
        }
    }
}
