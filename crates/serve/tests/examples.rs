//! The documented examples of both providers and our own, request by request, through the engine.
//! `tests/examples/README.md` tells what the tables mean.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "support/cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::path::Path;

use cases::{Case, Example, Expected, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use loggia_serve::compile::{Compiled, Defaults, SourceFiles, compile};
use loggia_serve::respond::{Body, respond};
use loggia_serve::{Policy, RequestHead, Site};
use loggia_types::build::Environment;
use loggia_types::fingerprint::is_fingerprinted;
use loggia_types::manifest::{Coding, Facts, NewEntry, NewManifest, NewVariant};
use loggia_types::route::ServeSettings;
use loggia_types::rules::Scheme;
use loggia_types::{
    ContentHash, DeploymentId, DeploymentRef, FolderRef, Manifest, ProjectId, Timestamp, media_type,
};

fn open(example: &Example) -> Site {
    let read = |name: &str| std::fs::read(example.folder.join(name)).ok();
    let files = [read("_redirects"), read("_headers"), read("loggia.toml"), read("netlify.toml")];
    let sources = SourceFiles {
        redirects: files[0].as_deref(),
        headers: files[1].as_deref(),
        loggia_toml: files[2].as_deref(),
        netlify_toml: files[3].as_deref(),
        has_wrangler: example.folder.join("wrangler.toml").exists(),
    };
    let compiled = compile(&sources, &Defaults::default()).unwrap();
    Site::open(manifest(compiled, example.files()))
}

fn manifest(compiled: Compiled, files: Vec<(String, Vec<u8>)>) -> Manifest {
    let deployment_id = DeploymentId::from_parts(2, 2);
    let facts = Facts {
        deployment: DeploymentRef { project_id: ProjectId::from_parts(1, 1), deployment_id },
        created_at: Timestamp::from_unix_secs(1_700_000_000).unwrap(),
        commit: None,
        branch: None,
        framework: None,
        dialect: compiled.dialect,
        html_handling: compiled.html_handling,
        not_found: compiled.not_found,
        permanent: compiled.permanent,
        problems: compiled.problems,
    };
    let entry = |(path, content): (String, Vec<u8>)| NewEntry {
        path: path.parse().unwrap(),
        hash: ContentHash::of(&content),
        size: content.len() as u64,
        folder: FolderRef::of_attempt(deployment_id, 1),
        source_path: path.parse().unwrap(),
        content_type: media_type::for_path(&path),
        fingerprinted: is_fingerprinted(&path),
        immutable: is_fingerprinted(&path),
        variants: variants(&path, &content),
        link: None,
    };
    let entries = files.into_iter().map(entry).collect();
    let new = NewManifest { facts, rules: compiled.rules, entries, retired: Vec::new() };
    Manifest::parse(Manifest::encode(new).unwrap()).unwrap()
}

/// As a deployment makes them, of a content that is easily compressed.
fn variants(path: &str, content: &[u8]) -> Vec<NewVariant> {
    if content.len() <= 1024 || !media_type::is_compressible(&media_type::for_path(path)) {
        return Vec::new();
    }
    let variant = |coding: Coding| {
        let hash = ContentHash::of(&[coding.as_str().as_bytes(), content].concat());
        NewVariant { coding, size: 100, hash }
    };
    Coding::ALL.map(variant).to_vec()
}

fn check(case: &Case, site: &Site) {
    let (host, target) = case.host_and_target();
    let policy = Policy {
        settings: &ServeSettings::default(),
        environment: Environment::Production,
        is_primary: host == HOST,
        is_platform_host: false,
    };
    let method: Method = case.method.parse().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let request = RequestHead {
        method: &method,
        target: target.as_bytes(),
        headers: &headers,
        scheme: Scheme::Https,
        host,
        country: case.country.as_deref(),
    };
    let response = respond(site, &policy, request);
    let what = format!("{case:?}: {response:?}");
    assert_eq!(response.parts.status.as_u16(), case.status, "{what}");
    let header = |name: &str| response.parts.headers.get(name).map(|value| value.to_str().unwrap());
    match &case.expected {
        Expected::Location(location) => assert_eq!(header("location"), Some(location.as_str()), "{what}"),
        Expected::NoHeader(name) => assert_eq!(header(name), None, "{what}"),
        Expected::Header(name, value) => assert_eq!(header(name), Some(value.as_str()), "{what}"),
        Expected::File(path) => match &response.body {
            Body::File(content) => assert_eq!(content.entry.path(), path, "{what}"),
            _ => assert_eq!(method, Method::HEAD, "{what}"),
        },
    }
}

#[test]
fn the_examples_do_what_they_say() {
    let examples = Example::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples"));
    let counts = examples.iter().map(|example| {
        let site = open(example);
        let cases = example.cases();
        cases.iter().for_each(|case| check(case, &site));
        (example.name.as_str(), cases.len())
    });
    let counts: BTreeMap<&str, usize> = counts.collect();
    assert!(counts["netlify"] > 60 && counts["cloudflare"] > 40 && counts["loggia"] > 60, "{counts:?}");
}
