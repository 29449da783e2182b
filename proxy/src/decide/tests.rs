use http::header::{HeaderName, HeaderValue};
use loggia_types::content_hash::ContentHash;
use loggia_types::manifest::{Facts, NewEntry, NotFound};
use loggia_types::{DeploymentId, DeploymentRef, FolderRef, ProjectId, Timestamp, media_type};
use proptest::prelude::*;

use super::*;

const CREATED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// A file's content is its path; names with `-hash.` are immutable.
pub(crate) fn manifest<'a>(paths: impl IntoIterator<Item = &'a str>) -> Manifest {
    let deployment_id = DeploymentId::from_parts(2, 2);
    let facts = Facts {
        deployment: DeploymentRef { project_id: ProjectId::from_parts(1, 1), deployment_id },
        created_at: Timestamp::from_unix_secs(1_700_000_000).expect("valid"),
        commit: None,
        branch: None,
        framework: None,
        html_handling: HtmlHandling::default(),
        not_found: NotFound::Auto,
        problems: Vec::new(),
    };
    let entry = |path: &str| NewEntry {
        path: path.parse().expect("a valid path"),
        hash: ContentHash::of(path.as_bytes()),
        size: path.len() as u64,
        folder: FolderRef::of_attempt(deployment_id, 1),
        content_type: media_type::for_path(path),
        fingerprinted: path.contains("-hash."),
        immutable: path.contains("-hash."),
    };
    let bytes = Manifest::encode(&facts, paths.into_iter().map(entry).collect()).expect("encodes");
    Manifest::parse(&bytes).expect("parses")
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"));
    }
    map
}

fn ask(site: &Manifest, method: Method, target: &str, lines: &[(&'static str, &str)]) -> String {
    let settings = ServeSettings::default();
    let headers = headers(lines);
    summary(&decide(site, &settings, RequestHead { method: &method, target: target.as_bytes(), headers: &headers }))
}

fn get(site: &Manifest, target: &str) -> String {
    ask(site, Method::GET, target, &[])
}

fn summary(decision: &Decision<'_>) -> String {
    let name = |served: &Served<'_>| served.entry.path().to_owned();
    match decision {
        Decision::Whole(served) if served.role == Role::NotFoundPage => format!("404 {}", name(served)),
        Decision::Whole(served) if served.role == Role::Shell => format!("200 shell {}", name(served)),
        Decision::Whole(served) => format!("200 {}", name(served)),
        Decision::Part(_, range) => format!("206 {}-{}", range.first, range.last),
        Decision::NotModified(_) => "304".into(),
        Decision::RangeNotSatisfiable(_) => "416".into(),
        Decision::Redirect { location } => format!("307 {location}"),
        Decision::NotFound => "404".into(),
        Decision::MethodNotAllowed => "405".into(),
        Decision::Options => "204".into(),
        Decision::BadRequest(_) => "400".into(),
    }
}

#[test]
fn html_urls_follow_the_table_of_auto_trailing_slash() {
    let site = manifest(["both.html", "both/index.html", "file.html", "folder/index.html", "bin"]);
    let cases = [
        ("/file", "200 file.html"),
        ("/file/", "307 /file"),
        ("/file.html", "307 /file"),
        ("/file/index", "307 /file"),
        ("/file/index.html", "307 /file"),
        ("/folder", "307 /folder/"),
        ("/folder/", "200 folder/index.html"),
        ("/folder/index.html", "307 /folder/"),
        ("/folder/index", "307 /folder/"),
        ("/folder.html", "307 /folder/"),
        ("/both", "200 both.html"),
        ("/both.html", "307 /both"),
        ("/both/index.html", "307 /both/"),
        ("/both/index", "307 /both/"),
        ("/both/", "200 both/index.html"),
        ("/bin", "200 bin"),
        ("/bin/", "404"),
        ("/bin.html", "404"),
        ("/", "404"),
        ("/file?a=b", "200 file.html"),
        ("/file.html?a=b", "307 /file?a=b"),
        ("//file.html?a=//b", "307 /file?a=//b"),
        ("/x/..//folder", "307 /folder/"),
        ("/FILE", "404"),
    ];
    for (target, expected) in cases {
        assert_eq!(get(&site, target), expected, "GET {target}");
    }
}

#[test]
fn no_file_hides_behind_a_redirect_to_another() {
    // `a` and `a.html`, `index` and `index/index.html`: each has a URL of its own.
    let site = manifest(["a", "a.html", "b/index", "b/index.html", "c.html.html", "d", "d.html", "d/index.html", "index.html"]);
    let cases = [
        ("/", "200 index.html"),
        ("/index.html", "307 /"),
        ("/index", "307 /"),
        ("/a", "200 a"),
        ("/a.html", "200 a.html"),
        ("/b/index", "200 b/index"),
        ("/b/index.html", "307 /b/"),
        ("/b/", "200 b/index.html"),
        ("/c.html", "200 c.html.html"),
        ("/c.html.html", "307 /c.html"),
        ("/c", "404"),
        ("/d.html", "200 d.html"),
    ];
    let with_page = |target: &str| {
        let answer = get(&site, target);
        if answer.starts_with("200 shell") { "404".to_owned() } else { answer }
    };
    for (target, expected) in cases {
        assert_eq!(with_page(target), expected, "GET {target}");
    }
}

#[test]
fn the_canonical_spelling_is_one_redirect_away() {
    let site = manifest(["a b.html", "ü/index.html", "x@y.txt", "404.html"]);
    let cases = [
        ("/a%20b", "200 a b.html"),
        ("/a%20b.html", "307 /a%20b"),
        ("/%61%20b.html?q", "307 /a%20b?q"),
        ("/%c3%bc", "307 /%C3%BC/"),
        ("/%C3%BC/", "200 ü/index.html"),
        ("/x@y.txt", "307 /x%40y.txt"),
        ("/x%40y.txt", "200 x@y.txt"),
        ("/missing@", "307 /missing%40"),
        ("/missing%40", "404 404.html"),
        ("/..%2fx", "400"),
        ("/../x", "400"),
        ("/%", "400"),
    ];
    for (target, expected) in cases {
        assert_eq!(get(&site, target), expected, "GET {target}");
    }
}

#[test]
fn the_nearest_404_page_answers() {
    let site = manifest(["404.html", "docs/404.html", "docs/a.html", "index.html", ".env", ".well-known/x"]);
    let cases = [
        ("/docs", "404 404.html"),
        ("/docs/", "404 docs/404.html"),
        ("/docs/x", "404 docs/404.html"),
        ("/docs/x/y/z", "404 docs/404.html"),
        ("/other/x", "404 404.html"),
        ("/x.js", "404 404.html"),
        ("/.env", "404 404.html"),
        ("/%2eenv", "404 404.html"),
        ("/docs/.git/config", "404 docs/404.html"),
        ("/.well-known/x", "200 .well-known/x"),
        ("/404.html", "307 /404"),
        ("/404", "200 404.html"),
    ];
    for (target, expected) in cases {
        assert_eq!(get(&site, target), expected, "GET {target}");
    }
    assert_eq!(get(&manifest(["a.txt"]), "/b"), "404");
    assert_eq!(get(&manifest(["docs/404.html", "index.html"]), "/b"), "404", "a 404.html anywhere means 404-page");
}

#[test]
fn the_shell_answers_navigations_only() {
    let site = manifest(["index.html", "app.js", ".git/config"]);
    let shell = "200 shell index.html";
    type Lines = &'static [(&'static str, &'static str)];
    let cases: &[(&str, Lines, &str)] = &[
        ("/deep/link", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], shell),
        ("/deep/link", &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "text/html")], "404"),
        ("/deep/link", &[("sec-fetch-site", "same-origin"), ("accept", "text/html")], "404"),
        ("/deep/link", &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")], "404"),
        ("/deep/link", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "image")], "404"),
        ("/x.js", &[("sec-fetch-dest", "script"), ("accept", "*/*")], "404"),
        ("/deep/link", &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")], shell),
        ("/deep/link", &[("accept", "application/json"), ("accept", "TEXT/HTML;q=0.5")], shell),
        ("/deep/link", &[("accept", "text/html;q=0, */*")], shell),
        ("/deep/link", &[("accept", "application/json")], "404"),
        ("/deep/link", &[("accept", "image/*")], "404"),
        ("/deep/link", &[("accept", "*/*")], shell),
        ("/deep/link", &[], shell),
        ("/missing.js", &[("accept", "*/*")], "404"),
        ("/missing.css", &[], "404"),
        ("/missing.WOFF2", &[], "404"),
        ("/user/jane.doe", &[], shell),
        ("/v1.2", &[("accept", "*/*")], shell),
        ("/app.js", &[("accept", "*/*")], "200 app.js"),
        ("/.git/config", &[("accept", "text/html")], "404"),
        ("/", &[], "200 index.html"),
    ];
    for (target, lines, expected) in cases {
        assert_eq!(ask(&site, Method::GET, target, lines), *expected, "GET {target} {lines:?}");
    }
    assert_eq!(ask(&site, Method::HEAD, "/deep", &[]), shell);
    assert_eq!(ask(&site, Method::POST, "/deep", &[("accept", "text/html")]), "404");
}

#[test]
fn settings_fill_what_the_deployment_leaves_open() {
    let site = manifest(["index.html", "404.html"]);
    for (mode, expected) in [
        (NotFound::Auto, "404 404.html"),
        (NotFound::Page, "404 404.html"),
        (NotFound::SinglePageApplication, "200 shell index.html"),
        (NotFound::None, "404"),
    ] {
        let settings = ServeSettings { not_found: mode };
        let request = RequestHead { method: &Method::GET, target: b"/x", headers: &HeaderMap::new() };
        assert_eq!(summary(&decide(&site, &settings, request)), expected, "{mode:?}");
    }
}

#[test]
fn only_get_head_and_options_reach_files() {
    let site = manifest(["index.html", "a.html", "404.html"]);
    let cases = [
        (Method::HEAD, "/a", "200 a.html"),
        (Method::OPTIONS, "/a", "204"),
        (Method::OPTIONS, "*", "204"),
        (Method::POST, "/a", "405"),
        (Method::PUT, "/a.html", "405"),
        (Method::DELETE, "/", "405"),
        (Method::PATCH, "/missing", "404 404.html"),
        (Method::POST, "/../x", "400"),
    ];
    for (method, target, expected) in cases {
        assert_eq!(ask(&site, method.clone(), target, &[]), expected, "{method} {target}");
    }
}

#[test]
fn conditions_are_answered_from_the_manifest() {
    let site = manifest(["a.html", "404.html"]);
    let etag = ContentHash::of(b"a.html").etag();
    let (weak, list) = (format!("W/{etag}"), format!("\"x, y\", {etag} , \"z\""));
    let inside = format!("\"x{}\"", etag.trim_matches('"'));
    let cases: &[(&[(&'static str, &str)], &str)] = &[
        (&[("if-none-match", &etag)], "304"),
        (&[("if-none-match", &weak)], "304"),
        (&[("if-none-match", &list)], "304"),
        (&[("if-none-match", "\"x\""), ("if-none-match", &etag)], "304"),
        (&[("if-none-match", "*")], "304"),
        (&[("if-none-match", "\"x\"")], "200 a.html"),
        (&[("if-none-match", &inside)], "200 a.html"),
        (&[("if-none-match", "\"unclosed")], "200 a.html"),
        (&[("if-none-match", "")], "200 a.html"),
        (&[("if-modified-since", CREATED)], "304"),
        (&[("if-modified-since", "Tue, 14 Nov 2023 22:13:21 GMT")], "304"),
        (&[("if-modified-since", "Tue, 14 Nov 2023 22:13:19 GMT")], "200 a.html"),
        (&[("if-modified-since", "yesterday")], "200 a.html"),
        (&[("if-none-match", "\"x\""), ("if-modified-since", CREATED)], "200 a.html"),
        (&[("if-none-match", &etag), ("range", "bytes=0-1")], "304"),
    ];
    for (lines, expected) in cases {
        assert_eq!(ask(&site, Method::GET, "/a", lines), *expected, "{lines:?}");
        assert_eq!(ask(&site, Method::HEAD, "/a", lines), *expected, "HEAD {lines:?}");
    }
    assert_eq!(ask(&site, Method::GET, "/missing", &[("if-none-match", "*")]), "404 404.html");
}

#[test]
fn ranges_are_taken_from_the_stored_content() {
    let site = manifest(["ten-bytes.", "404.html"]);
    let etag = ContentHash::of(b"ten-bytes.").etag();
    let weak = format!("W/{etag}");
    let whole = "200 ten-bytes.";
    let cases: &[(&[(&'static str, &str)], &str)] = &[
        (&[("range", "bytes=0-4")], "206 0-4"),
        (&[("range", "bytes=0-0")], "206 0-0"),
        (&[("range", "bytes=4-")], "206 4-9"),
        (&[("range", "bytes=-3")], "206 7-9"),
        (&[("range", "bytes=-99")], "206 0-9"),
        (&[("range", "bytes=5-99")], "206 5-9"),
        (&[("range", "BYTES=5-5")], "206 5-5"),
        (&[("range", "bytes=9-99999999999999999999999")], "206 9-9"),
        (&[("range", "bytes=10-")], "416"),
        (&[("range", "bytes=99999999999999999999999-")], "416"),
        (&[("range", "bytes=-0")], "416"),
        (&[("range", "bytes=4-2")], whole),
        (&[("range", "bytes=0-1,3-4")], whole),
        (&[("range", "bytes=")], whole),
        (&[("range", "bytes=a-b")], whole),
        (&[("range", "bytes=+1-2")], whole),
        (&[("range", "lines=0-1")], whole),
        (&[("range", "0-1")], whole),
        (&[("range", "bytes=0-1"), ("range", "bytes=2-3")], whole),
        (&[("range", "bytes=0-1"), ("if-range", &etag)], "206 0-1"),
        (&[("range", "bytes=0-1"), ("if-range", CREATED)], "206 0-1"),
        (&[("range", "bytes=0-1"), ("if-range", &weak)], whole),
        (&[("range", "bytes=0-1"), ("if-range", "\"x\"")], whole),
        (&[("range", "bytes=0-1"), ("if-range", "Tue, 14 Nov 2023 22:13:21 GMT")], whole),
        (&[("range", "bytes=99-"), ("if-range", "\"x\"")], whole),
    ];
    for (lines, expected) in cases {
        assert_eq!(ask(&site, Method::GET, "/ten-bytes.", lines), *expected, "{lines:?}");
    }
    assert_eq!(ask(&site, Method::HEAD, "/ten-bytes.", &[("range", "bytes=0-1")]), whole);
    assert_eq!(ask(&site, Method::GET, "/missing", &[("range", "bytes=0-1")]), "404 404.html");
}

#[test]
fn an_empty_file_has_no_ranges() {
    for (line, expected) in [
        ("bytes=0-", RangeRequest::NotSatisfiable),
        ("bytes=-1", RangeRequest::Whole),
        ("bytes=-0", RangeRequest::NotSatisfiable),
    ] {
        assert_eq!(range::requested(&headers(&[("range", line)]), 0), expected, "{line}");
    }
}

/// Status and headers that matter, in one line.
fn head(site: &Manifest, target: &str, lines: &[(&'static str, &str)], names: &[&str]) -> String {
    let headers = headers(lines);
    let request = RequestHead { method: &Method::GET, target: target.as_bytes(), headers: &headers };
    let parts = headers::of_decision(&decide(site, &ServeSettings::default(), request), site, true);
    let values = names.iter().map(|name| parts.headers.get(*name).and_then(|v| v.to_str().ok()).unwrap_or("-"));
    format!("{} {}", parts.status.as_u16(), values.collect::<Vec<_>>().join(" | "))
}

#[test]
fn caching_follows_the_content() {
    let page = manifest(["index.html", "a/app-hash.js", "data.json", "404.html"]);
    let app = manifest(["index.html"]);
    let names = ["cache-control", "content-type", "content-length", "accept-ranges"];
    let cases = [
        (&page, "/", "200 public, max-age=0, must-revalidate | text/html; charset=utf-8 | 10 | bytes"),
        (&page, "/a/app-hash.js", "200 public, max-age=31536000, immutable | text/javascript; charset=utf-8 | 13 | bytes"),
        (&page, "/data.json", "200 public, max-age=0, must-revalidate | application/json | 9 | bytes"),
        (&page, "/x", "404 no-store | text/html; charset=utf-8 | 8 | -"),
        (&app, "/x", "200 public, max-age=0, must-revalidate | text/html; charset=utf-8 | 10 | bytes"),
        (&app, "/x.js", "404 no-store | - | - | -"),
    ];
    for (site, target, expected) in cases {
        assert_eq!(head(site, target, &[], &names), expected, "GET {target}");
    }
}

#[test]
fn partial_and_conditional_answers_describe_the_file() {
    let site = manifest(["ten-bytes."]);
    let etag = ContentHash::of(b"ten-bytes.").etag();
    let names = ["content-length", "content-range", "content-type", "etag", "last-modified"];
    let cases: &[(&[(&'static str, &str)], String)] = &[
        (&[], format!("200 10 | - | application/octet-stream | {etag} | {CREATED}")),
        (&[("range", "bytes=2-3")], format!("206 2 | bytes 2-3/10 | application/octet-stream | {etag} | {CREATED}")),
        (&[("range", "bytes=10-")], "416 0 | bytes */10 | - | - | -".to_owned()),
        (&[("if-none-match", "*")], format!("304 - | - | - | {etag} | {CREATED}")),
    ];
    for (lines, expected) in cases {
        assert_eq!(head(&site, "/ten-bytes.", lines, &names), *expected, "{lines:?}");
    }
}

#[test]
fn every_answer_has_the_platform_headers() {
    let site = manifest(["a.html"]);
    let names = ["x-content-type-options", "referrer-policy", "server", "x-robots-tag"];
    for target in ["/a", "/a.html", "/missing", "/../x"] {
        let line = head(&site, target, &[], &names);
        assert!(line.ends_with("nosniff | strict-origin-when-cross-origin | loggia | -"), "{target}: {line}");
    }
    let request = RequestHead { method: &Method::GET, target: b"/a", headers: &HeaderMap::new() };
    let decision = decide(&site, &ServeSettings::default(), request);
    let parts = headers::of_decision(&decision, &site, false);
    assert_eq!(parts.headers["x-robots-tag"], "noindex");
    let shell = manifest(["index.html"]);
    assert_eq!(head(&shell, "/x", &[], &["vary"]), "200 Accept, Sec-Fetch-Dest, Sec-Fetch-Mode");
    let redirect = head(&site, "/a.html?q=1", &[], &["location", "content-length"]);
    assert_eq!(redirect, "307 /a?q=1 | 0");
}

fn any_target() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("/"), Just("."), Just(".."), Just("a"), Just("b"), Just("index"), Just(".html"), Just("%2e"),
        Just("%2f"), Just("%5c"), Just("\\"), Just("%61"), Just("@"), Just("ü"), Just("?"), Just("#"), Just("%"),
        Just("%00"), Just("\r\n"), Just("404"),
    ];
    prop_oneof![
        proptest::collection::vec(piece, 0..14).prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

fn any_site() -> impl Strategy<Value = Manifest> {
    let name = "(a|b|index|404)(/(a|b|index))?(/index)?(\\.html){0,2}";
    proptest::collection::btree_set(name, 0..8)
        .prop_map(|paths| manifest(paths.iter().map(String::as_str)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_redirect_is_safe_and_never_leads_to_another(site in any_site(), target in any_target()) {
        let (headers, settings) = (HeaderMap::new(), ServeSettings::default());
        let ask = |target: &[u8]| {
            decide(&site, &settings, RequestHead { method: &Method::GET, target, headers: &headers })
        };
        if let Decision::Redirect { location } = ask(&target) {
            prop_assert!(location.starts_with('/'));
            prop_assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{location}");
            prop_assert!(location.bytes().all(|b| b.is_ascii_graphic()), "{location}");
            let next = ask(location.as_bytes());
            prop_assert!(!matches!(next, Decision::Redirect { .. } | Decision::BadRequest(_)), "{location}: {next:?}");
        }
    }

    #[test]
    fn every_file_can_be_reached_at_its_name(site in any_site()) {
        for entry in site.entries() {
            let mut target = format!("/{}", entry.path());
            let headers = HeaderMap::new();
            for _ in 0..2 {
                let settings = ServeSettings::default();
                let request = RequestHead { method: &Method::GET, target: target.as_bytes(), headers: &headers };
                match decide(&site, &settings, request) {
                    Decision::Redirect { location } => target = location,
                    Decision::Whole(served) => prop_assert_eq!(served.entry.path(), entry.path()),
                    other => prop_assert!(false, "{}: {:?}", target, other),
                }
            }
        }
    }
}
