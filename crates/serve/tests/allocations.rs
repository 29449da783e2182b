//! A request that no rule is for must not cost an allocation: most requests are such.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod large_site;

use http::{HeaderMap, HeaderValue, Method};
use large_site::{block, name, redirect, text};
use loggia_serve::decide::{Answer, Decision, Extent, Role};
use loggia_serve::matching::{Headers, Redirects, RuleRequest};
use loggia_serve::{Asked, Policy, RequestHead, Site, decide};
use loggia_types::build::Environment;
use loggia_types::manifest::{HtmlHandling, MANIFEST_FILES_MAX, Manifest, NotFound};
use loggia_types::route::ServeSettings;
use loggia_types::rules::{
    Condition, Dialect, HeaderLine, HeaderRule, Part, QueryTest, RedirectRule, Scheme,
};

/// Of every kind: by hash, by prefix, open ones, and such as match the path but fail what else they ask.
fn redirects() -> Redirects {
    let mut rules: Vec<RedirectRule> =
        (0..5000).map(|n| redirect(n, vec![text(&format!("old/{n}"))])).collect();
    for n in 5000..5250 {
        rules.push(redirect(n, vec![text(&format!("blog/{n}/")), name("slug"), text(".html")]));
        rules.push(redirect(n, vec![name("a"), text(&format!("-{n}-")), Part::Splat]));
    }
    let conditions = [
        Condition::Language(vec!["fr".into()]),
        Condition::Country(vec!["FR".into()]),
        Condition::Cookie(vec!["beta".into()]),
        Condition::Header { name: "x-beta".into(), values: vec!["1".into()] },
        Condition::Host(vec!["other.test".into()]),
    ];
    for condition in conditions {
        let mut rule = redirect(6000, vec![text("blog/"), Part::Splat]);
        rule.conditions.push(condition);
        rules.push(rule);
    }
    let mut rule = redirect(6001, vec![Part::Splat]);
    rule.query.push(QueryTest { key: "id".into(), value: name("id") });
    rules.push(rule);
    Redirects::new(rules, Dialect::Netlify)
}

fn headers() -> Headers {
    let block = |parts: Vec<Part>| {
        let set = vec![HeaderLine { name: "x-a".into(), value: vec![name("slug")] }];
        HeaderRule { set, ..block(parts) }
    };
    let mut rules = vec![block(vec![Part::Splat])];
    rules.extend((1..499).map(|n| block(vec![text(&format!("p{n}/")), Part::Splat])));
    rules.push(block(vec![text("blog/"), name("slug")]));
    Headers::new(rules)
}

#[test]
fn a_miss_and_the_match_of_header_blocks_allocate_nothing() {
    let (redirects, headers) = (redirects(), headers());
    let mut map = HeaderMap::new();
    map.insert("accept-language", HeaderValue::from_static("de-AT,de;q=0.9,en;q=0.8"));
    map.insert("cookie", HeaderValue::from_static("a=1; b=2"));
    map.insert("x-beta", HeaderValue::from_static("2"));
    for path in
        ["", "blog/post", "blog/5000/slug.htm", "a/very/deep/path/of/more/segments/than/there/are/rules"]
    {
        let request = RuleRequest {
            path,
            query: Some(b"id=7&x=%20"),
            scheme: Scheme::Https,
            host: "site.test",
            headers: &map,
            country: Some("AT"),
        };
        let counted = allocation_counter::measure(|| {
            assert!(redirects.find_forced(&request).is_none());
            assert!(redirects.find_unforced(&request).is_none());
            assert!(!headers.matching(&request).is_empty());
        });
        assert_eq!(counted.count_total, 0, "/{path}");
    }
}

fn large_site(html_handling: HtmlHandling) -> Site {
    let new = large_site::manifest(MANIFEST_FILES_MAX, large_site::rules(), html_handling);
    Site::open(Manifest::parse(Manifest::encode(new).unwrap()).unwrap())
}

fn is_whole(decision: &Decision<'_>, expected: Role) -> bool {
    matches!(&decision.answer, Answer::Content(content) if content.role == expected && content.extent == Extent::Whole)
}

fn is_extent(decision: &Decision<'_>, expected: impl Fn(Extent) -> bool) -> bool {
    matches!(&decision.answer, Answer::Content(content) if expected(content.extent))
}

/// Whatever decides for a file, or for a page that stands in for it: 100,000 files, all the rules there may be.
fn check_decisions(html_handling: HtmlHandling, page: &str, folder: &str) {
    let site = large_site(html_handling);
    let with = |lines: &[(&'static str, &'static str)]| -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    };
    let browser = [
        ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "de-AT,de;q=0.9,en;q=0.8"),
        ("cookie", "a=1; b=2"),
        ("sec-fetch-mode", "navigate"),
    ];
    type Expected = fn(&Decision<'_>) -> bool;
    let file: Expected = |decision| is_whole(decision, Role::File);
    let cases: [(&str, NotFound, HeaderMap, Expected); 8] = [
        (page, NotFound::None, with(&[]), file),
        (page, NotFound::None, with(&browser), file),
        (folder, NotFound::None, with(&browser), file),
        ("/", NotFound::None, with(&browser), file),
        (page, NotFound::None, with(&[("range", "bytes=0-1, 5-7, -9")]), |decision| {
            is_extent(decision, |extent| matches!(extent, Extent::Part(_)))
        }),
        (page, NotFound::None, with(&[("if-none-match", "*")]), |decision| {
            is_extent(decision, |extent| extent == Extent::NotModified)
        }),
        ("/app/route", NotFound::SinglePageApplication, with(&browser), |decision| {
            is_whole(decision, Role::Shell)
        }),
        ("/no/such/page.js?x=1", NotFound::None, with(&browser), |decision| {
            matches!(decision.answer, Answer::Nothing(_))
        }),
    ];
    for (target, not_found, headers, expected) in cases {
        let settings = ServeSettings { not_found };
        let policy = Policy {
            settings: &settings,
            environment: Environment::Production,
            is_primary: true,
            is_platform_host: true,
        };
        let head = RequestHead {
            method: &Method::GET,
            target: target.as_bytes(),
            headers: &headers,
            scheme: Scheme::Https,
            host: "site.test",
            country: Some("AT"),
        };
        let counted = allocation_counter::measure(|| {
            let asked = Asked::parse(head).unwrap();
            let decision = decide(&site, &policy, &asked);
            assert!(expected(&decision), "{target}: {decision:?}");
        });
        assert_eq!(counted.count_total, 0, "{target}");
    }
}

#[test]
fn a_decision_about_a_file_allocates_nothing_in_auto_trailing_slash() {
    check_decisions(HtmlHandling::AutoTrailingSlash, &format!("/{}", large_site::page(77_777)), "/folder/");
}

#[test]
fn a_decision_about_a_file_allocates_nothing_in_force_trailing_slash() {
    check_decisions(HtmlHandling::ForceTrailingSlash, &format!("/{}/", large_site::page(77_777)), "/folder/");
}

#[test]
fn a_decision_about_a_file_allocates_nothing_in_drop_trailing_slash() {
    check_decisions(HtmlHandling::DropTrailingSlash, &format!("/{}", large_site::page(77_777)), "/folder");
}

#[test]
fn a_decision_about_a_file_allocates_nothing_without_html_handling() {
    let page = format!("/{}.html", large_site::page(77_777));
    check_decisions(HtmlHandling::None, &page, "/folder/index.html");
}

#[test]
fn an_opened_manifest_takes_no_more_memory_than_it_says() {
    for files in [10, MANIFEST_FILES_MAX] {
        let new = large_site::manifest(files, large_site::rules(), HtmlHandling::default());
        let bytes = Manifest::encode(new).unwrap();
        let mut site = None;
        let counted = allocation_counter::measure(|| {
            site = Some(Site::open(Manifest::parse(bytes.as_slice()).unwrap()));
        });
        let (taken, said) = (counted.bytes_current, site.unwrap().heap_bytes());
        assert!(taken <= i64::try_from(said).unwrap(), "{files} files: {taken} bytes, it says {said}");
    }
}
