//! Rule matching at the limits of `docs/BEHAVIOR.md` (5,000 static, 500 dynamic rules, 500 header blocks), each
//! beside what one would otherwise use: `regex::RegexSet`, a list of `regex::Regex`, or std's `HashMap`.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use loggia_serve::matching::{Headers, Redirects, RuleRequest};
use loggia_types::rules::{
    Action, Destination, Dialect, HeaderLine, HeaderRule, HeaderScope, Part, PathPattern, RedirectRule,
    RedirectStatus, RuleSource, Scheme, UrlPattern,
};
use regex::{Regex, RegexSet};

const STATIC: usize = 5000;
const DYNAMIC: usize = 500;

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

fn url(parts: Vec<Part>) -> UrlPattern {
    UrlPattern { origin: None, path: PathPattern { parts, lenient: true } }
}

fn source() -> RuleSource {
    RuleSource { file: "_redirects".into(), line: 1 }
}

fn redirect(parts: Vec<Part>) -> RedirectRule {
    let to = Destination { origin: None, path: vec![text("/to/the/new/place")], query: None, fragment: None };
    RedirectRule {
        source: source(),
        from: url(parts),
        query: Vec::new(),
        conditions: Vec::new(),
        forced: false,
        action: Action::Redirect { status: RedirectStatus::Found, to },
    }
}

fn block(parts: Vec<Part>) -> HeaderRule {
    HeaderRule {
        source: source(),
        scope: HeaderScope::Url(url(parts)),
        environment: None,
        status: None,
        remove: Vec::new(),
        set: vec![HeaderLine { name: "x-a".into(), value: vec![text("1")] }],
        credentials: Vec::new(),
    }
}

fn static_paths() -> impl Iterator<Item = String> {
    (0..STATIC).map(|n| format!("old/articles/{n}"))
}

/// `section17/:slug/*`
fn different_prefixes() -> Vec<Vec<Part>> {
    let parts = |n| vec![text(&format!("section{n}/")), Part::Name("slug".into()), text("/"), Part::Splat];
    (0..DYNAMIC).map(parts).collect()
}

/// `blog/:slug/part17`
fn one_prefix() -> Vec<Vec<Part>> {
    let parts = |n| vec![text("blog/"), Part::Name("slug".into()), text(&format!("/part{n}"))];
    (0..DYNAMIC).map(parts).collect()
}

/// `blog/:slug/part17/:page`: nothing at either end tells them apart.
fn one_prefix_and_end() -> Vec<Vec<Part>> {
    let name = |name: &str| Part::Name(name.into());
    let parts = |n| vec![text("blog/"), name("slug"), text(&format!("/part{n}/")), name("page")];
    (0..DYNAMIC).map(parts).collect()
}

fn expressions(patterns: &[Vec<Part>]) -> Vec<String> {
    let expression = |parts: &Vec<Part>| {
        let pieces = parts.iter().map(|part| match part {
            Part::Text(text) => regex::escape(text),
            Part::Name(_) => "([^/]+)".to_owned(),
            Part::Splat => "(.*)".to_owned(),
        });
        format!("^{}/?$", pieces.collect::<String>())
    };
    patterns.iter().map(expression).collect()
}

struct Peers {
    paths: HashMap<String, usize>,
    set: RegexSet,
    list: Vec<Regex>,
}

impl Peers {
    fn new(patterns: &[Vec<Part>]) -> Self {
        let expressions = expressions(patterns);
        Self {
            paths: static_paths().zip(0..).collect(),
            set: RegexSet::new(&expressions).expect("expressions"),
            list: expressions.iter().map(|text| Regex::new(text).expect("an expression")).collect(),
        }
    }

    fn find_in_set(&self, path: &str) -> Option<usize> {
        self.paths.get(path).copied().or_else(|| self.set.matches(path).iter().next())
    }

    fn find_in_list(&self, path: &str) -> Option<usize> {
        self.paths.get(path).copied().or_else(|| self.list.iter().position(|regex| regex.is_match(path)))
    }
}

fn redirects(c: &mut Criterion) {
    let empty = HeaderMap::new();
    let cases = [
        ("static hit among 5000", "old/articles/4711", different_prefixes()),
        ("miss, prefixes differ", "assets/js/main.js", different_prefixes()),
        ("miss, one prefix", "blog/some-post/part", one_prefix()),
        ("miss, one prefix and end", "blog/some-post/part/2", one_prefix_and_end()),
        ("dynamic hit, last, prefixes differ", "section499/some-post/page", different_prefixes()),
        ("dynamic hit, last, one prefix", "blog/some-post/part499", one_prefix()),
        ("dynamic hit, last, one prefix and end", "blog/some-post/part499/2", one_prefix_and_end()),
    ];
    for (case, path, patterns) in cases {
        let peers = Peers::new(&patterns);
        let rules =
            static_paths().map(|path| redirect(vec![text(&path)])).chain(patterns.into_iter().map(redirect));
        let redirects = Redirects::new(rules.collect(), Dialect::Netlify);
        let request = RuleRequest {
            path,
            query: None,
            scheme: Scheme::Https,
            host: "site.test",
            headers: &empty,
            country: None,
        };
        assert_eq!(redirects.find_unforced(&request).is_some(), peers.find_in_list(path).is_some(), "{case}");

        let mut group = c.benchmark_group(case);
        group.bench_function("loggia", |b| b.iter(|| redirects.find_unforced(black_box(&request)).is_some()));
        group.bench_function("HashMap + RegexSet", |b| b.iter(|| peers.find_in_set(black_box(path))));
        group.bench_function("HashMap + Regex list", |b| b.iter(|| peers.find_in_list(black_box(path))));
        group.finish();
    }
}

fn headers(c: &mut Criterion) {
    let empty = HeaderMap::new();
    let mut patterns = different_prefixes();
    patterns[0] = vec![Part::Splat];
    let set = RegexSet::new(expressions(&patterns)).expect("expressions");
    let headers = Headers::new(patterns.into_iter().map(block).collect());
    let path = "section499/some-post/page";
    let request = RuleRequest {
        path,
        query: None,
        scheme: Scheme::Https,
        host: "site.test",
        headers: &empty,
        country: None,
    };
    let mut group = c.benchmark_group("header match among 500");
    group.bench_function("loggia", |b| b.iter(|| headers.matching(black_box(&request))));
    group.bench_function("RegexSet", |b| b.iter(|| set.matches(black_box(path)).iter().count()));
    group.finish();
}

// Short, so that `make bench` prints everything within minutes.
criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500));
    targets = redirects, headers
}
criterion_main!(benches);
