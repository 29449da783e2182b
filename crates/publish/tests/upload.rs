//! Contents into a real S3 server, and what lies there afterwards.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Read;
use std::path::PathBuf;

use loggia_publish::Compressors;
use loggia_publish::upload::{is_compressed, upload_all};
use loggia_storage::embedded::{EmbeddedS3, EmbeddedS3Config};
use loggia_storage::{Store, StoreConfig, StoreError};
use loggia_types::manifest::{Coding, NewEntry};
use loggia_types::publish::{Plan, SiteFile, plan, share_findings};
use loggia_types::{ContentHash, DeploymentId, FolderRef, ObjectKey, ProjectId};
use tempfile::TempDir;

struct World {
    store: Store,
    dir: TempDir,
    _s3: EmbeddedS3,
}

impl World {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = EmbeddedS3Config {
            root: dir.path().join("s3"),
            listen: ([127, 0, 0, 1], 0).into(),
            access_key: "test".to_owned(),
            secret_key: "test-secret".to_owned(),
            buckets: vec!["loggia".to_owned()],
        };
        let s3 = EmbeddedS3::start(config).await.unwrap();
        let store = Store::connect(&StoreConfig {
            endpoint_url: Some(s3.endpoint_url()),
            region: "us-east-1".to_owned(),
            bucket: "loggia".to_owned(),
            access_key: "test".to_owned(),
            secret_key: "test-secret".to_owned(),
        });
        Self { store, dir, _s3: s3 }
    }

    fn locate(&self, entry: &NewEntry) -> PathBuf {
        self.dir.path().join(entry.path.as_str())
    }

    fn plan(&self, files: &[(&str, &[u8])]) -> Plan {
        let write = |(path, content): &(&str, &[u8])| {
            std::fs::write(self.dir.path().join(path), content).unwrap();
            let hash = ContentHash::of(content);
            SiteFile { path: path.parse().unwrap(), hash, size: content.len() as u64 }
        };
        plan(files.iter().map(write).collect(), folder(), None).unwrap()
    }

    async fn upload(&self, plan: &mut Plan) -> Result<usize, StoreError> {
        let mut done = 0;
        let locate = |entry: &NewEntry| self.locate(entry);
        upload_all(&self.store, &Compressors::default(), project(), plan, locate, |count| done = count)
            .await?;
        share_findings(&mut plan.entries);
        Ok(done)
    }

    async fn read(&self, key: &ObjectKey) -> Vec<u8> {
        self.store.find_start(key, usize::MAX).await.unwrap().unwrap()
    }
}

fn project() -> ProjectId {
    ProjectId::from_parts(1, 1)
}

fn folder() -> FolderRef {
    FolderRef::of_attempt(DeploymentId::from_parts(2, 2), 1)
}

fn decompressed(bytes: &[u8], coding: Coding) -> Vec<u8> {
    let mut content = Vec::new();
    match coding {
        Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut content).unwrap(),
        Coding::Zstd => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut content).unwrap(),
        Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut content).unwrap(),
    };
    content
}

#[tokio::test]
async fn every_content_lies_there_once_with_its_compressed_forms() {
    let world = World::start().await;
    let script = "let x = 1;\n".repeat(200).into_bytes();
    let page = b"<link rel=modulepreload href=/app.js><p>short".as_slice();
    let files = [("app.js", &*script), ("copy.js", &script), ("index.html", page), ("photo.jpg", &script)];
    let mut plan = world.plan(&files);
    assert_eq!(world.upload(&mut plan).await.unwrap(), 2, "three files have one content");
    let codings =
        |at: usize| plan.entries[at].variants.iter().map(|variant| variant.coding).collect::<Vec<_>>();
    assert_eq!(codings(0), Coding::ALL);
    assert_eq!((codings(1), codings(2)), (codings(0), Vec::new()));
    assert_eq!(plan.entries[2].link.as_deref(), Some("</app.js>; rel=modulepreload"));
    for variant in &plan.entries[0].variants {
        let key = ObjectKey::variant(project(), folder(), variant.coding, &plan.entries[0].source_path);
        let bytes = world.read(&key).await;
        assert_eq!((bytes.len() as u64, ContentHash::of(&bytes)), (u64::from(variant.size), variant.hash));
        assert_eq!(decompressed(&bytes, variant.coding), script);
    }
    let keys = world.store.list_keys("").await.unwrap();
    assert_eq!(keys.len(), 5, "{keys:#?}");
}

#[tokio::test]
async fn only_texts_of_a_page_s_size_are_compressed() {
    let world = World::start().await;
    let cases = [
        ("a.txt", 1024, false),
        ("b.txt", 1025, true),
        ("c.jpg", 5000, false),
        ("_headers", 5000, false),
        ("netlify.toml", 5000, false),
        ("wrangler.jsonc", 5000, false),
        ("d.svg", 5000, true),
    ];
    for (path, size, expected) in cases {
        let plan = world.plan(&[(path, &vec![b'x'; size])]);
        assert_eq!(is_compressed(&plan.entries[0]), expected, "{path} of {size} bytes");
    }
    let mut plan = world.plan(&[("long.txt", b"x")]);
    plan.entries[0].size = 64 * 1024 * 1024;
    assert!(is_compressed(&plan.entries[0]));
    plan.entries[0].size += 1;
    assert!(!is_compressed(&plan.entries[0]));
}

#[tokio::test]
async fn what_cannot_be_made_fails_the_upload_and_can_be_tried_again() {
    let world = World::start().await;
    let content = "text ".repeat(1000).into_bytes();
    let mut plan = world.plan(&[("a.txt", &content), ("index.html", b"<p>")]);
    std::fs::write(world.dir.path().join("a.txt"), "x".repeat(5000)).unwrap();
    let error = world.upload(&mut plan).await.unwrap_err();
    assert!(plan.entries[0].variants.is_empty(), "{error}");
    std::fs::write(world.dir.path().join("a.txt"), &content).unwrap();
    assert_eq!(world.upload(&mut plan).await.unwrap(), 2);
    assert_eq!(plan.entries[0].variants.len(), 3);
}

#[tokio::test]
async fn the_start_of_an_object_is_read_and_no_more() {
    let world = World::start().await;
    let mut plan = world.plan(&[("empty.txt", b""), ("long.jpg", &[7; 300_000])]);
    world.upload(&mut plan).await.unwrap();
    let key = |at: usize| ObjectKey::file(project(), folder(), &plan.entries[at].source_path);
    assert_eq!(world.store.find_start(&key(0), 10).await.unwrap(), Some(Vec::new()));
    assert_eq!(world.store.find_start(&key(1), 100_001).await.unwrap(), Some(vec![7; 100_001]));
    let nothing = ObjectKey::file(project(), folder(), &"none".parse().unwrap());
    assert_eq!(world.store.find_start(&nothing, 10).await.unwrap(), None);
}
