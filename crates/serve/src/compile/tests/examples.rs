//! The documented examples of Netlify and Cloudflare, in `crates/serve/tests/examples`, compile as they are.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples").join(name)
}

fn read(name: &str, file: &str) -> Option<Vec<u8>> {
    fs::read(folder(name).join(file)).ok()
}

fn example(name: &str) -> Compiled {
    let (redirects, headers) = (read(name, "_redirects"), read(name, "_headers"));
    let netlify_toml = read(name, "netlify.toml");
    let files = SourceFiles {
        redirects: redirects.as_deref(),
        headers: headers.as_deref(),
        netlify_toml: netlify_toml.as_deref(),
        has_wrangler: netlify_toml.is_none(),
        loggia_toml: None,
    };
    compile(&files, &Defaults { allow_proxy: true, ..Defaults::default() }).unwrap()
}

/// Lines that are a rule.
fn rule_lines(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with(['/', 'h'])).count()
}

#[test]
fn every_documented_example_becomes_a_rule_without_a_problem() {
    for (name, dialect, in_toml) in
        [("netlify", Dialect::Netlify, (3, 1)), ("cloudflare", Dialect::Cloudflare, (0, 0))]
    {
        let compiled = example(name);
        assert_eq!(compiled.problems, [], "{name}");
        assert_eq!(compiled.dialect, dialect);
        let count = |file: &str| rule_lines(&String::from_utf8(read(name, file).unwrap()).unwrap());
        assert_eq!(compiled.rules.redirects.len(), count("_redirects") + in_toml.0, "{name}");
        assert_eq!(compiled.rules.headers.len(), count("_headers") + in_toml.1, "{name}");
    }
}

#[test]
fn the_tables_of_requests_can_be_read() {
    for name in ["netlify", "cloudflare"] {
        let table = String::from_utf8(read(name, "cases.tsv").unwrap()).unwrap();
        let site = String::from_utf8(read(name, "site.txt").unwrap()).unwrap();
        for row in table.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = row.split('\t').collect();
            let [method, url, headers, status, expected] = columns[..] else { panic!("{name}: {row}") };
            assert!(["GET", "HEAD"].contains(&method), "{row}");
            assert!(url.starts_with('/') || url.starts_with("https://"), "{row}");
            assert!(headers == "-" || headers.split("; ").count() > 0, "{row}");
            assert!(status.parse::<u16>().is_ok_and(|status| (200..500).contains(&status)), "{row}");
            if let Some(file) = expected.strip_prefix('/') {
                assert!(site.lines().any(|line| line == file), "{name} has no {file}: {row}");
            }
        }
    }
}
