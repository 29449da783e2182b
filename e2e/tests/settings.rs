//! `.env.example` names every setting that the code reads, and no other.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::collections::BTreeSet;

use loggia_e2e::process::repository_root;

/// Read by the command line, by clap or directly, and by what installs and runs things; not by a server's `config.rs`.
const ELSEWHERE: [&str; 4] = ["DATABASE_URL", "POSTGRES_PASSWORD", "LOGGIA_IMAGE", "LOGGIA_POSTGRES_BIN_DIR"];

#[test]
fn the_example_of_the_environment_is_complete() {
    let root = repository_root();
    let mut read = BTreeSet::new();
    for file in [
        "api/src/config.rs",
        "api/src/config/cdn.rs",
        "api/src/config/mail.rs",
        "api/src/config/people.rs",
        "builder/src/config.rs",
        "proxy/src/config.rs",
        "cli/src/main.rs",
        "cli/src/api.rs",
        "cli/src/deploy.rs",
        "cli/src/keys.rs",
        "cli/src/purge.rs",
        "cli/src/up/mod.rs",
    ] {
        read.extend(quoted_names(&std::fs::read_to_string(root.join(file)).unwrap()));
    }
    let example = std::fs::read_to_string(root.join(".env.example")).unwrap();
    let documented: BTreeSet<String> = example
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once('='))
        .map(|(name, _)| name.to_owned())
        .filter(|name| is_name(name))
        .collect();
    let missing: Vec<&String> = read.difference(&documented).collect();
    let unknown: Vec<&String> =
        documented.difference(&read).filter(|name| !ELSEWHERE.contains(&name.as_str())).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
}

/// `"LOGGIA_…"` and `"DOCKER_HOST"` in a source.
fn quoted_names(source: &str) -> impl Iterator<Item = String> {
    source.split('"').filter(|text| is_name(text)).map(str::to_owned)
}

fn is_name(text: &str) -> bool {
    let known =
        ["LOGGIA_", "DOCKER_", "DATABASE_", "POSTGRES_"].iter().any(|prefix| text.starts_with(prefix));
    known && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
