//! Encoded manifests: each fails to open, or is consistent in itself.

use std::collections::HashSet;

use loggia_serve::Site;
use loggia_serve::compile::{Defaults, SourceFiles, compile};
use loggia_types::manifest::{
    Entry, Facts, HtmlHandling, Manifest, NewEntry, NewManifest, NewRetired, NewVariant,
};
use loggia_types::route::ServeSettings;
use loggia_types::rules::{Dialect, Rules};
use loggia_types::{Problem, SitePath};
use serde::de::IgnoredAny;

use crate::answers::{self, ensure};
use crate::harness::{Checked, Notes, Target};
use crate::world::{self, Question};

/// See `layout.rs`: a preamble, then JSON.
const PREAMBLE_LEN: usize = 32;

pub(crate) const TARGET: Target = Target {
    name: "manifest",
    dictionary: &[
        &[0; 4],
        &[1, 0, 0, 0],
        &[2, 0, 0, 0],
        &[255; 2],
        &[255; 4],
        &[0, 0, 1, 0],
        b"\0",
        b"\x01",
        b"\x02",
        b"\x03",
        b"/",
        b"..",
        b"../",
        b"//",
        b"\\",
        b".loggia/",
        b"index.html",
        b"404.html",
        b".html",
        b"a",
        "ü".as_bytes(),
        "u\u{308}".as_bytes(),
        b"\xff",
        b"\"rules\":{\"redirects\":[]},",
        b"\"links\":[],",
        b"\"links\":[\"\\r\\nX: y\"],",
        b"\"retirements\":[],",
        b"\"content_types\":[\"text/html\"],",
        b"\"text/html\\r\\nX: y\"",
        b"\"html_handling\":\"none\",",
        b"\"not_found\":\"404-page\",",
        b"\"not_found\":\"single-page-application\",",
        b"\"dialect\":\"cloudflare\",",
        b"\"permanent\":true,",
        b"{\"text\":\"/\"}",
        b"{\"name\":\"a\"}",
        b"\"splat\"",
        b"null",
        b"\"",
        b",",
        b"[]",
        b"{}",
        b"\\u0000",
        b"9999-12-31T23:59:59Z",
        b"-0001-01-01T00:00:00Z",
        b"LOGGIAMF",
    ],
    len_max: 32 * 1024,
    check,
    made,
    repair,
};

/// Without files, with some, with all of them, and with rules.
fn made() -> Vec<Vec<u8>> {
    let facts = || world::facts(Dialect::Netlify, HtmlHandling::AutoTrailingSlash);
    let rules = || {
        let redirects =
            b"/a/* /b/:splat 200!\n/:a id=:id https://example.org/:a?x=:id Country=us Cookie=b\n/g 410";
        let headers = b"/*\n X-A: :splat\n ! Vary\n Basic-Auth: a:b\nfile:/b [status=404]\n X: 1";
        let files =
            SourceFiles { redirects: Some(redirects), headers: Some(headers), ..SourceFiles::default() };
        compile(&files, &Defaults::default()).unwrap().rules
    };
    let all = || world::new_manifest(facts(), Rules::default());
    let some = |count| {
        let NewManifest { entries, retired, .. } = all();
        let entries = entries.into_iter().take(count).collect();
        NewManifest { facts: facts(), rules: rules(), entries, retired }
    };
    let moved = {
        let mut new = NewManifest { retired: Vec::new(), ..some(3) };
        new.entries[1].source_path = "moved.html".parse().unwrap();
        new
    };
    let none = NewManifest { entries: Vec::new(), retired: Vec::new(), ..all() };
    let problems = vec![Problem::in_file("_redirects", "a problem")];
    let told = NewManifest { facts: Facts { problems, permanent: true, ..facts() }, ..some(1) };
    [all(), some(1), some(2), some(5), moved, none, told].map(|new| Manifest::encode(new).unwrap()).to_vec()
}

/// Says how long the header is now, and makes the checksum fit: what gets past both is what matters.
fn repair(bytes: &mut [u8]) {
    if bytes.len() < PREAMBLE_LEN {
        return;
    }
    let mut values = serde_json::Deserializer::from_slice(&bytes[PREAMBLE_LEN..]).into_iter::<IgnoredAny>();
    if let Some(Ok(_)) = values.next() {
        let len = u32::try_from(values.byte_offset()).expect("inputs are short");
        bytes[16..20].copy_from_slice(&len.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
}

fn check(input: &[u8], notes: &mut Notes) -> Checked {
    let manifest = match Manifest::parse(input) {
        Ok(manifest) => manifest,
        Err(error) => {
            // Without the numbers that some of them carry.
            notes.note(error.to_string().replace(|c: char| c.is_ascii_digit(), ""));
            return Ok(());
        }
    };
    check_files(&manifest, notes)?;
    check_encoded_again(&manifest)?;
    check_served(manifest, notes)
}

/// Every file is found at its path, and lies where files lie.
fn check_files(manifest: &Manifest, notes: &mut Notes) -> Checked {
    let paths: Vec<&str> = manifest.entries().map(|entry| entry.path()).collect();
    notes.note(("files", paths.len().min(4), manifest.retired().count(), manifest.has_404_page()));
    ensure(manifest.len() == paths.len(), || "another number of files".into())?;
    ensure(paths.windows(2).all(|pair| pair[0] < pair[1]), || "files that are not sorted".into())?;
    for entry in manifest.entries() {
        let found = manifest.find(entry.path());
        ensure(found.is_some_and(|found| is_same(&found, &entry)), || format!("{entry:?} is not found"))?;
        check_entry(&entry)?;
    }
    for (entry, retirement) in manifest.retired() {
        let found = manifest.find_retired(entry.path());
        let is_found = found.is_some_and(|(found, of)| is_same(&found, &entry) && of == retirement);
        ensure(is_found, || format!("{entry:?} is not found"))?;
        check_entry(&entry)?;
    }
    let has_404_page = paths.iter().any(|path| *path == "404.html" || path.ends_with("/404.html"));
    ensure(has_404_page == manifest.has_404_page(), || "a 404.html that is not known".into())
}

fn is_same(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    one.path() == other.path() && one.hash() == other.hash() && one.size() == other.size()
}

fn check_entry(entry: &Entry<'_>) -> Checked {
    for path in [entry.path(), entry.source_path()] {
        let parsed = path.parse::<SitePath>();
        let is_itself = parsed.as_ref().is_ok_and(|parsed| parsed.as_str() == path);
        ensure(is_itself, || format!("{path:?} is the path of no file"))?;
    }
    let codings: Vec<_> = entry.variants().map(|variant| variant.coding).collect();
    ensure(codings.windows(2).all(|pair| pair[0] < pair[1]), || format!("{entry:?} has {codings:?}"))?;
    let key = entry.object_key();
    ensure(!key.as_str().contains("/../"), || format!("{key} leads out of its folder"))
}

/// What is written anew from what was read is read the same.
fn check_encoded_again(manifest: &Manifest) -> Checked {
    let retired = manifest
        .retired()
        .map(|(entry, retirement)| NewRetired { entry: renewed(&entry), retirement: *retirement });
    let new = NewManifest {
        facts: manifest.facts().clone(),
        rules: manifest.rules().clone(),
        entries: manifest.entries().map(|entry| renewed(&entry)).collect(),
        retired: retired.collect(),
    };
    let bytes = Manifest::encode(new.clone()).map_err(|error| error.to_string())?;
    let again = Manifest::parse(bytes.clone()).map_err(|error| error.to_string())?;
    ensure(again.facts() == manifest.facts() && again.rules() == manifest.rules(), || {
        "another header".into()
    })?;
    let entries: Vec<NewEntry> = again.entries().map(|entry| renewed(&entry)).collect();
    ensure(entries == new.entries, || "other files".into())?;
    let second = Manifest::encode(NewManifest { entries, ..new }).map_err(|error| error.to_string())?;
    ensure(second == bytes, || "other bytes".into())
}

fn renewed(entry: &Entry<'_>) -> NewEntry {
    let variant = |variant: loggia_types::manifest::Variant| NewVariant {
        coding: variant.coding,
        size: variant.size.try_into().expect("it was read from four bytes"),
        hash: variant.hash,
    };
    NewEntry {
        path: entry.path().parse().expect("checked before"),
        hash: entry.hash(),
        size: entry.size(),
        folder: entry.folder(),
        source_path: entry.source_path().parse().expect("checked before"),
        content_type: entry.content_type().to_owned(),
        fingerprinted: entry.is_fingerprinted(),
        immutable: entry.is_immutable(),
        variants: entry.variants().map(variant).collect(),
        link: entry.link().map(Into::into),
    }
}

fn check_served(manifest: Manifest, notes: &mut Notes) -> Checked {
    let paths: HashSet<String> = manifest.entries().map(|entry| format!("/{}", entry.path())).collect();
    let site = Site::open(manifest);
    let settings = ServeSettings::default();
    let [policy, _] = world::policies(&settings);
    let mut paths: Vec<String> = paths.into_iter().collect();
    paths.sort();
    for target in paths.into_iter().take(8).chain(["/", "/a", "/no/such"].map(str::to_owned)) {
        answers::check(&site, &policy, &Question::get(target), notes)?;
    }
    Ok(())
}
