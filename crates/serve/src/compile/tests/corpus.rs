//! The stored files that once were, or might be, hard to read: `crates/serve/tests/corpus`.

use std::fs;
use std::path::{Path, PathBuf};

use super::any_bytes::check_invariants;
use super::*;

pub(super) fn files(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<(PathBuf, Vec<u8>)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn run(folder: &str, as_files: impl for<'a> Fn(&'a [u8]) -> SourceFiles<'a>) {
    let files = files(folder);
    assert!(files.len() >= 12, "{folder} has lost its files");
    for (path, bytes) in files {
        for dialect in [Dialect::Netlify, Dialect::Cloudflare] {
            let compiled = in_dialect(dialect, &as_files(&bytes));
            check_invariants(&compiled).unwrap_or_else(|broken| panic!("{}: {broken}", path.display()));
        }
    }
}

#[test]
fn nasty_redirects_compile_to_sound_rules() {
    run("redirects", |bytes| SourceFiles { redirects: Some(bytes), ..SourceFiles::default() });
}

#[test]
fn nasty_headers_compile_to_sound_rules() {
    run("headers", |bytes| SourceFiles { headers: Some(bytes), ..SourceFiles::default() });
}

#[test]
fn nasty_toml_compiles_to_sound_rules() {
    run("toml", |bytes| SourceFiles { loggia_toml: Some(bytes), ..SourceFiles::default() });
    run("toml", |bytes| SourceFiles { netlify_toml: Some(bytes), ..SourceFiles::default() });
}
