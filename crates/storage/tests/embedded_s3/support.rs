//! A server of its own for each test, and clients for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use loggia_storage::embedded::{EmbeddedS3, EmbeddedS3Config};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

pub(crate) const BUCKET: &str = "bucket";
pub(crate) const ACCESS_KEY: &str = "test";
pub(crate) const SECRET_KEY: &str = "test-secret";

pub(crate) struct World {
    pub(crate) server: EmbeddedS3,
    pub(crate) client: Client,
    dir: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = start(&dir.path().join("root")).await;
        let client = client(&server.endpoint_url(), SECRET_KEY);
        Self { server, client, dir }
    }

    pub(crate) async fn restart(self) -> Self {
        self.server.shutdown().await;
        let server = start(&self.dir.path().join("root")).await;
        let client = client(&server.endpoint_url(), SECRET_KEY);
        Self { server, client, dir: self.dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) async fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let body = ByteStream::from(body.into());
        self.client.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap();
    }

    pub(crate) async fn get(&self, key: &str) -> Option<Vec<u8>> {
        match self.client.get_object().bucket(BUCKET).key(key).send().await {
            Ok(object) => Some(object.body.collect().await.unwrap().to_vec()),
            Err(error) => {
                assert_eq!(error.code(), Some("NoSuchKey"), "{error:?}");
                None
            }
        }
    }

    pub(crate) async fn delete(&self, key: &str) {
        self.client.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
    }

    /// All keys, by pages of the default size.
    pub(crate) async fn keys(&self) -> Vec<String> {
        list(&self.client, &Listing::default()).await.0
    }

    /// A signed URL's path and query, for requests that the SDK would not send.
    pub(crate) async fn presigned_put(&self, key: &str) -> String {
        let hour = PresigningConfig::expires_in(Duration::from_secs(3600)).unwrap();
        let request = self.client.put_object().bucket(BUCKET).key(key).presigned(hour).await.unwrap();
        request.uri().strip_prefix(&self.server.endpoint_url()).unwrap().to_owned()
    }

    pub(crate) async fn presigned_get(&self, key: &str) -> String {
        let hour = PresigningConfig::expires_in(Duration::from_secs(3600)).unwrap();
        let request = self.client.get_object().bucket(BUCKET).key(key).presigned(hour).await.unwrap();
        request.uri().strip_prefix(&self.server.endpoint_url()).unwrap().to_owned()
    }

    pub(crate) async fn raw(&self, request: &str) -> String {
        raw(self.server.addr(), request).await
    }

    /// Files that are still arriving, or that somebody forgot.
    pub(crate) fn temp_files(&self) -> usize {
        std::fs::read_dir(self.root().join("tmp")).unwrap().count()
    }
}

/// Sends bytes as they are, and returns the answer up to the end of the connection.
pub(crate) async fn raw(addr: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

pub(crate) async fn start(root: &Path) -> EmbeddedS3 {
    EmbeddedS3::start(config(root)).await.unwrap()
}

pub(crate) fn config(root: &Path) -> EmbeddedS3Config {
    EmbeddedS3Config {
        root: root.to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        buckets: vec![BUCKET.to_owned()],
    }
}

pub(crate) fn client(endpoint_url: &str, secret_key: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(ACCESS_KEY, secret_key, None, None, "test"))
        .endpoint_url(endpoint_url)
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

/// One way of listing.
#[derive(Debug, Default, Clone)]
pub(crate) struct Listing {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) start_after: Option<String>,
    pub(crate) page_len: Option<i32>,
}

/// Keys and common prefixes over all pages. Asserts that no page is longer than asked for.
pub(crate) async fn list(client: &Client, listing: &Listing) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
    let mut token = None;
    loop {
        let page = client
            .list_objects_v2()
            .bucket(BUCKET)
            .prefix(&listing.prefix)
            .set_delimiter(listing.delimiter.clone())
            .set_start_after(listing.start_after.clone())
            .set_max_keys(listing.page_len)
            .set_continuation_token(token)
            .send()
            .await
            .unwrap();
        let len = page.contents().len() + page.common_prefixes().len();
        assert_eq!(page.key_count(), i32::try_from(len).ok());
        assert!(listing.page_len.is_none_or(|limit| len <= usize::try_from(limit).unwrap()));
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        prefixes.extend(page.common_prefixes().iter().map(|prefix| prefix.prefix().unwrap().to_owned()));
        assert_eq!(page.is_truncated(), Some(page.next_continuation_token().is_some()));
        match page.next_continuation_token {
            Some(next) => token = Some(next),
            None => return (keys, prefixes),
        }
    }
}

/// Every path below a directory, with its size.
pub(crate) fn tree(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            found.extend(tree(&entry.path()));
        }
        found.insert(entry.path(), meta.len());
    }
    found
}

/// Deterministic noise (xorshift64): a failing run can be repeated.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }
}

/// Waits for a condition that another task brings about.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}
