//! A thin client of one bucket: the operations that Loggia needs, with the errors that callers act on.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use data_encoding::BASE64;
use loggia_types::manifest::{ManifestError, NewEntry, NewVariant};
use loggia_types::{DeploymentRef, Manifest, ObjectKey, ProjectId};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A store that is silent for so long is not there.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A store that takes less is as good as silent: 5 GiB, the largest file, have an hour and a half.
const UPLOAD_BYTES_PER_SECOND: u64 = 1024 * 1024;

/// Where the bucket is, and how to be let in.
#[derive(Clone)]
pub struct StoreConfig {
    /// `None`: AWS itself, by region.
    pub endpoint_url: Option<String>,
    pub region: String,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: String,
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreConfig({} at {:?} as {})", self.bucket, self.endpoint_url, self.access_key)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer, or one that says «later».
    #[error("the object store did not {action}: {cause}")]
    Unavailable { action: String, cause: String },
    /// An answer that will not change by itself: wrong credentials, no such bucket.
    #[error("the object store refused to {action}: {code}: {cause}")]
    Refused { action: String, code: String, cause: String },
    #[error("reading {path} for upload: {cause}")]
    LocalFile { path: String, cause: String },
    #[error("deployment {deployment}: {cause}")]
    Manifest { deployment: DeploymentRef, cause: ManifestError },
}

/// What became of writing a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestWrite {
    Written,
    /// Somebody was first; a deployment never changes once it exists.
    AlreadyThere,
}

/// A manifest of 100,000 files is about 10 MB; a larger object is not one of ours.
const MANIFEST_BYTES_MAX: i64 = 128 * 1024 * 1024;

#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    bucket: String,
}

impl Store {
    pub fn connect(config: &StoreConfig) -> Self {
        let credentials = Credentials::new(&config.access_key, &config.secret_key, None, None, "loggia");
        let mut builder = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(credentials)
            .region(Region::new(config.region.clone()))
            // MinIO and most others know buckets by path, not by hostname.
            .force_path_style(config.endpoint_url.is_some())
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            // No limit on a whole operation: an upload may be large. A silent peer is noticed all the same.
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build(),
            );
        if let Some(url) = &config.endpoint_url {
            builder = builder.endpoint_url(url);
        }
        Self { client: Client::from_conf(builder.build()), bucket: config.bucket.clone() }
    }

    /// Fails unless the bucket can be listed: for start-up and health checks.
    pub async fn check(&self) -> Result<(), StoreError> {
        let answer = self.client.list_objects_v2().bucket(&self.bucket).max_keys(1).send().await;
        answer.map(drop).map_err(|error| failed("list the bucket", error))
    }

    /// The manifest of a deployment; `None` when it was never completed.
    pub async fn find_manifest(&self, deployment: DeploymentRef) -> Result<Option<Manifest>, StoreError> {
        let action = format!("read the manifest of {deployment}");
        let Some(bytes) = self.find_bytes(&ObjectKey::manifest(deployment), &action).await? else {
            return Ok(None);
        };
        Manifest::parse(bytes).map(Some).map_err(|cause| StoreError::Manifest { deployment, cause })
    }

    /// Writes the manifest unless there is one already: of two builders that end at once, one wins whole.
    pub async fn put_manifest(
        &self,
        deployment: DeploymentRef,
        bytes: Vec<u8>,
    ) -> Result<ManifestWrite, StoreError> {
        let key = ObjectKey::manifest(deployment);
        let put = self.client.put_object().bucket(&self.bucket).key(key.as_str()).if_none_match("*");
        match put.body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(ManifestWrite::Written),
            // 409: S3's answer while another conditional write to the key is under way.
            Err(error)
                if matches!(error.code(), Some("PreconditionFailed" | "ConditionalRequestConflict")) =>
            {
                Ok(ManifestWrite::AlreadyThere)
            }
            Err(error) => Err(failed(&format!("write {key}"), error)),
        }
    }

    /// Uploads a file for a manifest entry. The store compares the content with the entry's SHA-256, so a
    /// file that changed since it was hashed is refused.
    pub async fn put_file(
        &self,
        project_id: ProjectId,
        entry: &NewEntry,
        file: &Path,
    ) -> Result<(), StoreError> {
        let local = |cause: String| StoreError::LocalFile { path: file.display().to_string(), cause };
        let body = ByteStream::from_path(file).await.map_err(|error| local(error.to_string()))?;
        let key = ObjectKey::file(project_id, entry.folder, &entry.source_path);
        let put = self.client.put_object().bucket(&self.bucket).key(key.as_str());
        put.content_type(&entry.content_type)
            .checksum_sha256(BASE64.encode(entry.hash.as_bytes()))
            .body(body)
            .customize()
            .config_override(patient(entry.size))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(&format!("store {key}"), error))
    }

    /// Opens bytes `first..=last` of an object.
    pub async fn open_range(
        &self,
        key: &ObjectKey,
        first: u64,
        last: u64,
    ) -> Result<ObjectStream, StoreError> {
        let get = self.client.get_object().bucket(&self.bucket).key(key.as_str());
        let answer = get.range(format!("bytes={first}-{last}")).send().await;
        let answer = answer.map_err(|error| failed(&format!("read {key}"), error))?;
        Ok(ObjectStream { key: key.clone(), body: answer.body })
    }

    /// Uploads a compressed form of a file. Its `Content-Encoding` is the edge's to say: here it is bytes of a type.
    pub async fn put_variant(
        &self,
        project_id: ProjectId,
        entry: &NewEntry,
        variant: &NewVariant,
        bytes: Vec<u8>,
    ) -> Result<(), StoreError> {
        let key = ObjectKey::variant(project_id, entry.folder, variant.coding, &entry.source_path);
        let put = self.client.put_object().bucket(&self.bucket).key(key.as_str());
        put.content_type(&entry.content_type)
            .checksum_sha256(BASE64.encode(variant.hash.as_bytes()))
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(&format!("store {key}"), error))
    }

    /// A file's first bytes, at most `bytes_max` of them; `None` when it is not there.
    pub async fn find_start(&self, key: &ObjectKey, bytes_max: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let action = format!("read {key}");
        let Some(mut body) = self.find_object(key, &action).await?.map(|answer| answer.body) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        // Not a range request: an empty object has none. The rest of a long one is never asked for.
        while bytes.len() < bytes_max
            && let Some(piece) = body.next().await
        {
            let piece = piece.map_err(|error| cut(&action, &error))?;
            bytes.extend_from_slice(&piece[..piece.len().min(bytes_max - bytes.len())]);
        }
        Ok(Some(bytes))
    }

    /// Every key below a prefix, for tests, tools and clean-up.
    pub async fn list_keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut pages =
            self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("list the bucket", error))?;
            keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        }
        Ok(keys)
    }

    /// Creates the bucket if it is not there, for a fresh installation.
    pub async fn ensure_bucket(&self) -> Result<(), StoreError> {
        match self.client.create_bucket().bucket(&self.bucket).send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => {
                Ok(())
            }
            Err(error) => Err(failed("create the bucket", error)),
        }
    }

    async fn find_bytes(&self, key: &ObjectKey, action: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(answer) = self.find_object(key, action).await? else { return Ok(None) };
        if answer.content_length().is_some_and(|len| len > MANIFEST_BYTES_MAX) {
            let cause = format!("larger than {MANIFEST_BYTES_MAX} bytes");
            return Err(StoreError::Refused { action: action.to_owned(), code: "TooLarge".into(), cause });
        }
        let body = answer.body.collect().await.map_err(|error| cut(action, &error))?;
        Ok(Some(body.to_vec()))
    }

    async fn find_object(
        &self,
        key: &ObjectKey,
        action: &str,
    ) -> Result<Option<GetObjectOutput>, StoreError> {
        match self.client.get_object().bucket(&self.bucket).key(key.as_str()).send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(failed(action, error)),
        }
    }
}

/// A body that ended early.
fn cut(action: &str, error: &impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable { action: action.to_owned(), cause: error.to_string() }
}

/// An object's bytes as they come.
#[derive(Debug)]
pub struct ObjectStream {
    key: ObjectKey,
    body: ByteStream,
}

impl ObjectStream {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let piece = self.body.next().await.transpose();
        piece.map_err(|error| cut(&format!("read {}", self.key), &error))
    }
}

/// For an upload of so many bytes: the store answers only once it has all of them.
fn patient(bytes: u64) -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT + Duration::from_secs(bytes / UPLOAD_BYTES_PER_SECOND));
    aws_sdk_s3::Config::builder().timeout_config(timeouts.build())
}

/// Sorts the SDK's errors into those worth another try and those that are not.
#[expect(clippy::needless_pass_by_value, reason = "every caller ends with the error")]
fn failed<E>(action: &str, error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let action = action.to_owned();
    match &error {
        SdkError::ServiceError(refusal) if refusal.raw().status().as_u16() < 500 => StoreError::Refused {
            action,
            code: refusal.err().code().unwrap_or("unknown").to_owned(),
            cause: refusal.err().message().unwrap_or_default().to_owned(),
        },
        _ => StoreError::Unavailable { action, cause: DisplayErrorContext(&error).to_string() },
    }
}
