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
        dialect: Dialect::default(),
        html_handling: HtmlHandling::default(),
        not_found: NotFound::default(),
        permanent: false,
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
        source_path: path.parse().expect("valid"),
        variants: Vec::new(),
        link: None,
    }
}

fn new(entries: Vec<NewEntry>) -> NewManifest {
    NewManifest { facts: facts(), rules: Rules::default(), entries, retired: Vec::new() }
}

fn encoded(paths: &[&str]) -> Vec<u8> {
    Manifest::encode(new(paths.iter().map(|path| entry(path)).collect())).expect("encodes")
}

#[test]
fn what_was_encoded_is_found_again() {
    let manifest =
        Manifest::parse(encoded(&["index.html", "a/b.css", "assets/app.js", "ü.txt"])).expect("parses");
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
    assert!(Manifest::parse(encoded(&["docs/404.html"])).expect("parses").has_404_page());
    assert!(Manifest::parse(encoded(&[])).expect("parses").is_empty());
}

#[test]
fn variants_links_and_retired_files_are_found_again() {
    let br = NewVariant { coding: Coding::Brotli, size: 7, hash: ContentHash::of(b"br") };
    let gzip = NewVariant { coding: Coding::Gzip, size: 9, hash: ContentHash::of(b"gzip") };
    let moved = NewEntry {
        source_path: "old.html".parse().expect("valid"),
        variants: vec![br, gzip],
        link: Some("</app.js>; rel=preload".into()),
        ..entry("new.html")
    };
    let retirement = Retirement {
        deployment_id: DeploymentId::from_parts(9, 9),
        retired_at: Timestamp::from_unix_secs(5).expect("valid"),
        age: 3,
    };
    let retired = vec![NewRetired { entry: entry("assets/app-1.js"), retirement }];
    let new = NewManifest { retired, ..new(vec![entry("a.txt"), moved]) };
    let manifest = Manifest::parse(Manifest::encode(new).expect("encodes")).expect("parses");

    let page = manifest.find("new.html").expect("is there");
    let variants: Vec<_> =
        page.variants().map(|variant| (variant.coding, variant.size, variant.hash)).collect();
    assert_eq!(variants, [(Coding::Brotli, 7, br.hash), (Coding::Gzip, 9, gzip.hash)]);
    assert_eq!(page.link(), Some("</app.js>; rel=preload"));
    assert!(page.is_compressible());
    assert_eq!(page.object_key().as_str(), format!("{}/old.html", deployment()));
    assert_eq!(page.variant_key(Coding::Gzip).as_str(), format!("{}/.loggia/gzip/old.html", deployment()));
    let plain = manifest.find("a.txt").expect("is there");
    assert_eq!((plain.variants().count(), plain.link()), (0, None));

    assert!(manifest.find("assets/app-1.js").is_none() && manifest.find_retired("a.txt").is_none());
    let (entry, found) = manifest.find_retired("assets/app-1.js").expect("is there");
    assert_eq!((entry.hash(), *found), (ContentHash::of(b"assets/app-1.js"), retirement));
}

#[test]
fn two_files_with_one_path_are_refused() {
    let twice = vec![entry("a"), entry("a")];
    assert_eq!(Manifest::encode(new(twice)), Err(ManifestError::DuplicatePath("a".into())));
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let mut bytes = encoded(&["index.html"]);
    bytes[8..12].copy_from_slice(&9u32.to_le_bytes());
    let error = Manifest::parse(bytes).expect_err("newer");
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
        assert!(Manifest::parse(damaged).is_err(), "flipped at {at}");
    }
}

/// What no [`Manifest::encode`] writes, with a checksum that fits.
#[test]
fn an_inconsistent_manifest_does_not_open() {
    let variant = |coding| NewVariant { coding, size: 1, hash: ContentHash::of(b"x") };
    let variants = vec![variant(Coding::Gzip), variant(Coding::Brotli), variant(Coding::Brotli)];
    let good =
        Manifest::encode(new(vec![NewEntry { variants, ..entry("a.html") }, entry("b")])).expect("encodes");
    let manifest = Manifest::parse(good.as_slice()).expect("parses");
    let codings: Vec<Coding> =
        manifest.entries().flat_map(|entry| entry.variants()).map(|v| v.coding).collect();
    assert_eq!(codings, [Coding::Brotli, Coding::Gzip], "encoding sorts them");

    let records = 32 + manifest.sections.header_len();
    let variants = records + 2 * 72;
    let slots = variants + 2 * 37;
    let paths = slots + 4 * 4;
    let numbers = |numbers: [u32; 4]| numbers.map(u32::to_le_bytes).concat();
    let cases: [(&str, usize, Vec<u8>); 9] = [
        ("a coding twice", variants, vec![Coding::Gzip as u8]),
        ("no record in the hash table", slots, numbers([0; 4])),
        ("one record only", slots, numbers([1, 1, 1, 0])),
        ("no empty slot", slots, numbers([1, 2, 1, 2])),
        ("an absolute path", paths, b"/".to_vec()),
        ("a control character", paths + 1, b"\n".to_vec()),
        ("a backslash", paths + 1, b"\\".to_vec()),
        ("an empty segment", paths, b"a//".to_vec()),
        ("a path that climbs", paths, b"../".to_vec()),
    ];
    for (what, at, bytes) in cases {
        let mut damaged = good.clone();
        damaged[at..at + bytes.len()].copy_from_slice(&bytes);
        let crc = crc32fast::hash(&damaged[16..]);
        damaged[12..16].copy_from_slice(&crc.to_le_bytes());
        let error = Manifest::parse(damaged).expect_err(what);
        assert!(matches!(error, ManifestError::Damaged(_)), "{what}: {error}");
    }
}

#[test]
fn a_hundred_thousand_files_open_and_are_all_found() {
    let paths: Vec<String> =
        (0..MANIFEST_FILES_MAX).map(|n| format!("docs/section-{}/page-{n}.html", n % 97)).collect();
    let entries = paths.iter().map(|path| entry(path)).collect();
    let bytes = Manifest::encode(new(entries)).expect("encodes");
    let manifest = Manifest::parse(bytes).expect("parses");
    assert!(manifest.heap_bytes() < 40_000_000, "{} bytes", manifest.heap_bytes());
    assert!(paths.iter().all(|path| manifest.find(path).is_some_and(|entry| entry.path() == path)));
    let one_more = (0..=MANIFEST_FILES_MAX).map(|n| entry(&format!("{n}"))).collect();
    assert_eq!(Manifest::encode(new(one_more)), Err(ManifestError::TooManyFiles(MANIFEST_FILES_MAX + 1)));
}

proptest! {
    #[test]
    fn any_bytes_parse_or_fail_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::parse(bytes.as_slice());
        // With a right preamble, so that the deeper checks are reached.
        let mut framed = b"LOGGIAMF\x02\0\0\0".to_vec();
        framed.extend(crc32fast::hash(&bytes).to_le_bytes());
        framed.extend(&bytes);
        let _ = Manifest::parse(framed);
    }

    #[test]
    fn any_set_of_paths_is_found_again(paths in proptest::collection::btree_set("[a-c./]{1,6}", 0..20)) {
        let valid: Vec<&str> = paths.iter().map(String::as_str).filter(|p| p.parse::<SitePath>().is_ok()).collect();
        let manifest = Manifest::parse(encoded(&valid)).expect("parses");
        for path in &paths {
            prop_assert_eq!(manifest.find(path).is_some(), valid.contains(&path.as_str()));
        }
    }
}
