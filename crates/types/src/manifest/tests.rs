use super::*;
use crate::id::{DeploymentId, ProjectId};
use proptest::prelude::*;

fn deployment() -> DeploymentRef {
    DeploymentRef { project_id: ProjectId::from_parts(1, 1), deployment_id: DeploymentId::from_parts(2, 2) }
}

fn facts() -> Facts {
    Facts {
        deployment: deployment(),
        created_at: Timestamp::from_unix_secs(1_700_000_000).expect("valid"),
        commit: None,
        branch: None,
        framework: Some("vite".into()),
        html_handling: HtmlHandling::default(),
        not_found: NotFound::default(),
        problems: Vec::new(),
    }
}

fn entry(path: &str) -> NewEntry {
    NewEntry {
        path: path.parse().expect("valid"),
        hash: ContentHash::of(path.as_bytes()),
        size: path.len() as u64,
        folder: FolderRef::of_attempt(deployment().deployment_id, 1),
        content_type: crate::media_type::for_path(path),
        fingerprinted: path.contains("app"),
        immutable: path.contains("app"),
    }
}

fn encoded(paths: &[&str]) -> Vec<u8> {
    Manifest::encode(&facts(), paths.iter().map(|path| entry(path)).collect()).expect("encodes")
}

#[test]
fn what_was_encoded_is_found_again() {
    let manifest =
        Manifest::parse(&encoded(&["index.html", "a/b.css", "assets/app.js", "ü.txt"])).expect("parses");
    assert_eq!(manifest.facts(), &facts());
    assert_eq!(manifest.len(), 4);
    let app = manifest.find("assets/app.js").expect("exists");
    assert_eq!(app.hash(), ContentHash::of(b"assets/app.js"));
    assert_eq!(app.size(), 13);
    assert_eq!(app.content_type(), "text/javascript; charset=utf-8");
    assert!(app.is_fingerprinted() && app.is_immutable());
    assert_eq!(app.object_key().as_str(), format!("{}/assets/app.js", deployment()));
    assert!(!manifest.find("index.html").expect("exists").is_immutable());
    for missing in ["", "index", "index.htm", "index.html/", "assets", "assets/app.jsx", "INDEX.HTML", "zzz"]
    {
        assert!(manifest.find(missing).is_none(), "{missing:?}");
    }
    assert!(!manifest.has_404_page());
    assert!(Manifest::parse(&encoded(&["docs/404.html"])).expect("parses").has_404_page());
    assert!(Manifest::parse(&encoded(&[])).expect("parses").is_empty());
}

#[test]
fn two_files_with_one_path_are_refused() {
    let twice = vec![entry("a"), entry("a")];
    assert_eq!(Manifest::encode(&facts(), twice), Err(ManifestError::DuplicatePath("a".into())));
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let mut bytes = encoded(&["index.html"]);
    bytes[8..12].copy_from_slice(&9u32.to_le_bytes());
    let error = Manifest::parse(&bytes).expect_err("newer");
    assert_eq!(error, ManifestError::NewerVersion(9));
    assert!(error.to_string().contains("update"));
}

#[test]
fn every_cut_and_every_flipped_byte_is_noticed() {
    let bytes = encoded(&["index.html", "assets/app.js"]);
    for len in 0..bytes.len() {
        assert!(Manifest::parse(&bytes[..len]).is_err(), "cut at {len}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        assert!(Manifest::parse(&damaged).is_err(), "flipped at {at}");
    }
}

#[test]
fn a_hundred_thousand_files_open_and_are_all_found() {
    let paths: Vec<String> =
        (0..MANIFEST_FILES_MAX).map(|n| format!("docs/section-{}/page-{n}.html", n % 97)).collect();
    let entries = paths.iter().map(|path| entry(path)).collect();
    let bytes = Manifest::encode(&facts(), entries).expect("encodes");
    let manifest = Manifest::parse(&bytes).expect("parses");
    assert!(manifest.heap_bytes() < 40_000_000, "{} bytes", manifest.heap_bytes());
    assert!(paths.iter().all(|path| manifest.find(path).is_some_and(|entry| entry.path() == path)));
    let one_more = (0..=MANIFEST_FILES_MAX).map(|n| entry(&format!("{n}"))).collect();
    assert_eq!(
        Manifest::encode(&facts(), one_more),
        Err(ManifestError::TooManyFiles(MANIFEST_FILES_MAX + 1))
    );
}

proptest! {
    #[test]
    fn any_bytes_parse_or_fail_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::parse(&bytes);
        // With a right preamble, so that the deeper checks are reached.
        let mut framed = b"LOGGIAMF\x01\0\0\0".to_vec();
        framed.extend(crc32fast::hash(&bytes).to_le_bytes());
        framed.extend(&bytes);
        let _ = Manifest::parse(&framed);
    }

    #[test]
    fn any_set_of_paths_is_found_again(paths in proptest::collection::btree_set("[a-c./]{1,6}", 0..20)) {
        let valid: Vec<&str> = paths.iter().map(String::as_str).filter(|p| p.parse::<SitePath>().is_ok()).collect();
        let manifest = Manifest::parse(&encoded(&valid)).expect("parses");
        for path in &paths {
            prop_assert_eq!(manifest.find(path).is_some(), valid.contains(&path.as_str()));
        }
    }
}
