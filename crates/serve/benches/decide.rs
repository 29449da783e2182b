//! What a request costs, from its head to a decision, and to a whole answer: on a deployment of 10 files and on one of
//! 100,000, without rules and with as many as there may be. What counts is that it does not grow.
//!
//! `make bench`; docs/BENCHMARKS.md says what the rows mean.

#![allow(clippy::print_stdout, reason = "a measurement prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method};
use loggia_serve::decide::{Answer, Extent, Role};
use loggia_serve::{Asked, Policy, RequestHead, Site, decide, respond};
use loggia_types::ContentHash;
use loggia_types::Manifest;
use loggia_types::build::Environment;
use loggia_types::manifest::{HtmlHandling, MANIFEST_FILES_MAX, NotFound};
use loggia_types::route::ServeSettings;
use loggia_types::rules::{Rules, Scheme};

#[path = "../tests/large_site/mod.rs"]
mod large_site;

const FEW: usize = 10;
const SAMPLES: usize = 20;

/// In the order of a row's numbers: few files, all files, then both with rules.
const SIZES: [(&str, usize, bool); 4] = [
    ("10 files, no rules", FEW, false),
    ("100,000 files, no rules", MANIFEST_FILES_MAX, false),
    ("10 files, all rules", FEW, true),
    ("100,000 files, all rules", MANIFEST_FILES_MAX, true),
];

struct Case {
    name: &'static str,
    /// More than one are asked for in turn.
    targets: fn(files: usize) -> Vec<String>,
    headers: Vec<(&'static str, String)>,
    not_found: NotFound,
    needs_rules: bool,
    /// Begins the answer's name in `summary`.
    expected: &'static str,
}

fn cases() -> Vec<Case> {
    fn one(target: &str) -> Vec<String> {
        vec![target.to_owned()]
    }
    let case = |name, targets, expected| Case {
        name,
        targets,
        headers: Vec::new(),
        not_found: NotFound::None,
        needs_rules: false,
        expected,
    };
    let tag = &ContentHash::of(b"docs/section-1/chapter-1/page-1.html").to_hex()[..32];
    let html = || vec![("accept", "text/html,*/*;q=0.8".to_owned())];
    let page_1: fn(usize) -> Vec<String> = |_| vec![format!("/{}", large_site::page(1))];
    // 7 apart, so that neighbours in memory are not asked for one after another.
    let in_turn: fn(usize) -> Vec<String> =
        |files| (0..files - 4).map(|n| format!("/{}", large_site::page(n * 7 % (files - 4)))).collect();
    vec![
        case("hit", page_1, "200"),
        case("hit, another file each time", in_turn, "200"),
        Case {
            headers: vec![("accept-encoding", "gzip, deflate, br, zstd".to_owned())],
            ..case("hit, negotiated coding", page_1, "200 br")
        },
        Case { headers: vec![("if-none-match", format!("\"{tag}\""))], ..case("hit, 304", page_1, "304") },
        case("hit, last of 500 header blocks", |_| one("/p499/x"), "200"),
        Case {
            not_found: NotFound::SinglePageApplication,
            headers: html(),
            ..case("miss, application shell", |_| one("/app/route/7"), "200")
        },
        Case {
            not_found: NotFound::Page,
            headers: html(),
            ..case("miss, 404 page", |_| one("/no/such/page"), "404 page")
        },
        case("miss, no page", |_| one("/no/such/page"), "404"),
        Case { needs_rules: true, ..case("first static redirect", |_| one("/old/0"), "302") },
        Case { needs_rules: true, ..case("last static redirect", |_| one("/old/4999"), "302") },
        Case { needs_rules: true, ..case("last dynamic redirect", |_| one("/section499/post/a/b"), "302") },
    ]
}

fn summary(answer: &Answer<'_>) -> String {
    match answer {
        Answer::Content(content) => match (content.role, content.extent, content.variant) {
            (Role::StandIn(_), ..) => "404 page".to_owned(),
            (_, Extent::NotModified, _) => "304".to_owned(),
            (_, _, Some(variant)) => format!("200 {}", variant.coding.as_str()),
            (_, _, None) => "200".to_owned(),
        },
        Answer::Redirect { status, .. } => status.to_string(),
        Answer::Nothing(status) => status.code().to_string(),
        other => format!("{other:?}"),
    }
}

/// Nanoseconds of one call, in the sample that other work on the machine disturbed least; criterion prints its own line.
fn measure(criterion: &mut Criterion, id: &str, mut call: impl FnMut()) -> f64 {
    let mut samples = Vec::new();
    criterion.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let started = Instant::now();
            for _ in 0..iterations {
                call();
            }
            let took = started.elapsed();
            samples.push(took.as_secs_f64() * 1e9 / iterations as f64);
            took
        });
    });
    // Those before were to warm up.
    let last = samples.split_off(samples.len().saturating_sub(SAMPLES));
    last.into_iter().fold(f64::NAN, f64::min)
}

fn encoded(files: usize, has_rules: bool) -> Vec<u8> {
    let rules = if has_rules { large_site::rules() } else { Rules::default() };
    Manifest::encode(large_site::manifest(files, rules, HtmlHandling::default())).expect("encodes")
}

fn open(bytes: &[u8]) -> Site {
    Site::open(Manifest::parse(bytes).expect("parses"))
}

/// Nanoseconds to a decision, and to a whole answer.
fn ask(criterion: &mut Criterion, case: &Case, size: &str, site: &Site, files: usize) -> [f64; 2] {
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        headers.insert(*name, HeaderValue::from_str(value).expect("a header value"));
    }
    let settings = ServeSettings { not_found: case.not_found };
    let policy = Policy {
        settings: &settings,
        environment: Environment::Production,
        is_primary: true,
        is_platform_host: true,
    };
    let targets = (case.targets)(files);
    let request = |target| RequestHead {
        method: &Method::GET,
        target,
        headers: &headers,
        scheme: Scheme::Https,
        host: "site.test",
        country: None,
    };
    for target in &targets {
        let asked = Asked::parse(request(target.as_bytes())).expect("a good target");
        let answer = decide(site, &policy, &asked).answer;
        assert_eq!(summary(&answer), case.expected, "{}: {target}", case.name);
    }
    let mut next = targets.iter().cycle();
    let mut request = || request(black_box(next.next().map_or("/", String::as_str)).as_bytes());
    let decided = measure(criterion, &format!("decide: {}, {size}", case.name), || {
        let asked = Asked::parse(request()).expect("a good target");
        black_box(&decide(site, &policy, &asked));
    });
    let responded = measure(criterion, &format!("respond: {}, {size}", case.name), || {
        black_box(&respond(site, &policy, request()));
    });
    [decided, responded]
}

fn requests(criterion: &mut Criterion) {
    let cases = cases();
    let mut rows = vec![[[f64::NAN; 4]; 2]; cases.len()];
    for (column, (size, files, has_rules)) in SIZES.into_iter().enumerate() {
        let site = open(&encoded(files, has_rules));
        for (case, row) in cases.iter().zip(&mut rows).filter(|(case, _)| has_rules || !case.needs_rules) {
            let [decided, responded] = ask(criterion, case, size, &site, files);
            (row[0][column], row[1][column]) = (decided, responded);
        }
    }
    for (at, what) in ["decide", "respond"].into_iter().enumerate() {
        println!(
            "\n| {what} | 100,000 / 10 files | all / no rules | 10 files, ns | 100,000 files, ns | 10 files, all rules, ns | 100,000 files, all rules, ns |"
        );
        println!("|---|---|---|---|---|---|---|");
        for (case, row) in cases.iter().zip(&rows) {
            let [few, many, few_ruled, many_ruled] = row[at];
            let numbers = [few, many, few_ruled, many_ruled].map(|ns| number(ns, 0)).join(" | ");
            let by_files = number(many_ruled / few_ruled, 2);
            let by_rules = number(few_ruled / few, 2);
            println!("| {} | {by_files} | {by_rules} | {numbers} |", case.name);
        }
    }
}

fn number(value: f64, digits: usize) -> String {
    if value.is_nan() { "–".to_owned() } else { format!("{value:.digits$}") }
}

fn opening(criterion: &mut Criterion) {
    let mut rows = Vec::new();
    for (size, files, has_rules) in SIZES {
        let bytes = encoded(files, has_rules);
        let parsed = measure(criterion, &format!("open: {size}, manifest"), || {
            black_box(&Manifest::parse(black_box(bytes.as_slice())).expect("parses"));
        });
        let opened = measure(criterion, &format!("open: {size}, with its rules indexed"), || {
            black_box(&open(black_box(&bytes)));
        });
        rows.push((size, bytes.len(), parsed, opened, open(&bytes).heap_bytes()));
    }
    println!(
        "\n| open | bytes | manifest, ms | with its rules indexed, ms | heap, bytes |\n|---|---|---|---|---|"
    );
    for (size, len, parsed, opened, heap) in rows {
        println!("| {size} | {len} | {:.3} | {:.3} | {heap} |", parsed / 1e6, opened / 1e6);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(SAMPLES)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300));
    targets = requests, opening
}
criterion_main!(benches);
