//! How long a manifest of 100,000 files takes to open, against two general encodings of the same table.
//!
//! `cargo run --release -p loggia-types --example manifest_encoding`; the result stands in
//! docs/decisions/0003-manifest-encoding.md.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement prints, and fails loudly")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use loggia_types::manifest::{
    Coding, Facts, HtmlHandling, MANIFEST_FILES_MAX, NewEntry, NewManifest, NewVariant, NotFound,
};
use loggia_types::rules::{Dialect, Rules};
use loggia_types::{ContentHash, DeploymentId, DeploymentRef, FolderRef, Manifest, ProjectId, Timestamp};
use serde::{Deserialize, Serialize};

const ROUNDS: usize = 11;

#[derive(Serialize, Deserialize)]
struct Row {
    hash: [u8; 32],
    size: u64,
    content_type: String,
    folder: String,
    immutable: bool,
}

fn main() {
    let deployment = DeploymentRef {
        project_id: ProjectId::from_parts(1, 1),
        deployment_id: DeploymentId::from_parts(2, 2),
    };
    let facts = Facts {
        deployment,
        created_at: Timestamp::from_unix_secs(0).unwrap(),
        commit: None,
        branch: None,
        framework: None,
        dialect: Dialect::default(),
        html_handling: HtmlHandling::default(),
        not_found: NotFound::default(),
        permanent: false,
        problems: Vec::new(),
    };
    let folder = FolderRef::of_attempt(deployment.deployment_id, 1);
    let entries: Vec<NewEntry> = (0..MANIFEST_FILES_MAX)
        .map(|n| {
            let path = format!("docs/section-{}/chapter-{}/page-{n}/index.html", n % 97, n % 13);
            NewEntry {
                hash: ContentHash::of(path.as_bytes()),
                size: n as u64,
                folder,
                content_type: "text/html; charset=utf-8".into(),
                fingerprinted: false,
                immutable: false,
                path: path.parse().unwrap(),
                source_path: path.parse().unwrap(),
                variants: Coding::ALL
                    .map(|coding| NewVariant {
                        coding,
                        size: 100,
                        hash: ContentHash::of(coding.as_str().as_bytes()),
                    })
                    .to_vec(),
                link: Some("</app.css>; rel=preload; as=style".into()),
            }
        })
        .collect();
    let rows: HashMap<String, Row> = entries
        .iter()
        .map(|entry| {
            let row = Row {
                hash: *entry.hash.as_bytes(),
                size: entry.size,
                content_type: entry.content_type.clone(),
                folder: entry.folder.to_string(),
                immutable: entry.immutable,
            };
            (entry.path.to_string(), row)
        })
        .collect();

    let new = NewManifest { facts, rules: Rules::default(), entries, retired: Vec::new() };
    let ours = Manifest::encode(new).unwrap();
    let json = serde_json::to_vec(&rows).unwrap();
    let postcard = postcard::to_allocvec(&rows).unwrap();
    let opened = Manifest::parse(ours.as_slice()).unwrap();
    println!("encoding   bytes       open");
    report("ours", ours.len(), || drop(black_box(Manifest::parse(ours.as_slice()).unwrap())));
    report("postcard", postcard.len(), || {
        drop(black_box(postcard::from_bytes::<HashMap<String, Row>>(&postcard).unwrap()));
    });
    report("json", json.len(), || {
        drop(black_box(serde_json::from_slice::<HashMap<String, Row>>(&json).unwrap()));
    });
    println!("on the heap, ours: {} bytes", opened.heap_bytes());
    let wanted: Vec<String> = opened.entries().step_by(7).map(|entry| entry.path().to_owned()).collect();
    let started = Instant::now();
    let found = wanted.iter().filter(|path| black_box(opened.find(path)).is_some()).count();
    println!("look-up, ours: {} ns", started.elapsed().as_nanos() / found as u128);
}

fn report(name: &str, bytes: usize, open: impl Fn()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            open();
            started.elapsed()
        })
        .collect();
    times.sort();
    println!("{name:9} {bytes:9} {:8.1} ms", times[ROUNDS / 2].as_secs_f64() * 1000.0);
}
