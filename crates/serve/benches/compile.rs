//! How long the largest files that are allowed take.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use loggia_serve::compile::limits::{FILE_BYTES_MAX, HEADER_BLOCKS_MAX};
use loggia_serve::compile::{Defaults, SourceFiles, compile};
use loggia_types::rules::Dialect;

/// As many numbered lines as fit.
fn filled(count: usize, line: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0..count {
        let line = line(n);
        if text.len() + line.len() > FILE_BYTES_MAX {
            break;
        }
        text.push_str(&line);
    }
    text
}

fn redirect_files() -> Vec<(&'static str, String)> {
    vec![
        ("static redirects", filled(5_000, |n| format!("/{n:x} /b\n"))),
        ("dynamic redirects", filled(500, |n| format!("/{n}/:a/*  /{n}x/:a/:splat/{}\n", "y".repeat(90)))),
        ("conditions", filled(5_000, |n| format!("/{n:x} a=:a /b 301 Country=us Language=en\n"))),
        (
            "names in a row",
            filled(500, |n| format!("/{n}{}/* /x{}\n", "/:ab".replace("ab", "a"), ":a".repeat(900))),
        ),
        ("distinct names", {
            let names = |n: usize| (0..240).map(|i| format!(":a{:x}", i + n)).collect::<String>();
            filled(500, |n| format!("/{n}{} /x{}\n", names(n), names(n)))
        }),
        ("query tests", {
            let tests = |n: usize| (0..190).map(|i| format!("&{:x}=:b{i}", i + n)).collect::<String>();
            filled(500, |n| format!("/{n}?{} /x\n", &tests(n)[1..]))
        }),
        ("colons", filled(500, |n| format!("/{n}/:a /{}\n", ":".repeat(1_900)))),
        ("nonsense", "x\n".repeat(FILE_BYTES_MAX / 2)),
    ]
}

fn header_files() -> Vec<(&'static str, String)> {
    let mut one_name = String::from("/*\n");
    one_name.push_str(&"X: :splat\n".repeat(6_500));
    let names = (0..6_000).fold(String::from("/*\n"), |mut text, n| {
        let _ = writeln!(text, "X{n:x}:1");
        text
    });
    vec![
        (
            "blocks",
            filled(HEADER_BLOCKS_MAX, |n| format!("/{n}/*\n X-A: {}\n X-B: :splat\n", "v".repeat(90))),
        ),
        ("one name", one_name),
        ("names", names),
        ("removals", format!("/*\n{}", filled(8_000, |n| format!("! {n:x}\n")))),
        ("passwords", format!("/*\n{}", format!("Basic-Auth: {}\n", "a:b ".repeat(480)).repeat(33))),
        ("nonsense", format!("/*\n{}", "x\n".repeat(FILE_BYTES_MAX / 2 - 2))),
    ]
}

fn toml_files() -> Vec<(&'static str, String)> {
    vec![
        ("redirects", filled(5_000, |n| format!("[[redirects]]\nfrom=\"/{n}\"\nto=\"/b\"\n"))),
        (
            "headers",
            filled(HEADER_BLOCKS_MAX, |n| {
                format!("[[headers]]\nfor=\"/{n}\"\nvalues={{X=\"{}\"}}\n", "v".repeat(80))
            }),
        ),
        ("unknown keys", filled(20_000, |n| format!("k{n}=1\n"))),
        ("nonsense", "x\n".repeat(FILE_BYTES_MAX / 2)),
    ]
}

fn largest_files(criterion: &mut Criterion) {
    let all = [("_redirects", redirect_files()), ("_headers", header_files()), ("loggia.toml", toml_files())];
    for (file, texts) in all {
        for (name, text) in texts {
            assert!(text.len() <= FILE_BYTES_MAX, "{file} {name}: {}", text.len());
            let bytes = Some(text.as_bytes());
            let files = match file {
                "_redirects" => SourceFiles { redirects: bytes, ..SourceFiles::default() },
                "_headers" => SourceFiles { headers: bytes, ..SourceFiles::default() },
                _ => SourceFiles { loggia_toml: bytes, ..SourceFiles::default() },
            };
            for dialect in [Dialect::Netlify, Dialect::Cloudflare] {
                let defaults = Defaults { dialect: Some(dialect), ..Defaults::default() };
                criterion.bench_function(&format!("{file}: {name}, {dialect:?}"), |bench| {
                    bench.iter(|| compile(black_box(&files), &defaults));
                });
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(std::time::Duration::from_millis(200)).measurement_time(std::time::Duration::from_millis(500));
    targets = largest_files
}
criterion_main!(benches);
