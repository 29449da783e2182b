//! Takes in a body: streamed to a temporary file, in batches, so that memory stays bounded and a small object
//! needs a single trip to a blocking thread.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use futures::StreamExt as _;
use http::HeaderMap;
use s3s::dto::StreamingBlob;
use s3s::stream::ByteStream as _;
use s3s::{S3Error, S3Result, StdError, TrailingHeaders, s3_error};
use tokio::time::timeout;

use super::FolderS3;
use crate::embedded::digest::{Algorithm, Checksums};
use crate::embedded::error::StoreError;
use crate::embedded::incoming::{Expected, Incoming, Sealed};
use crate::embedded::object::ObjectHeaders;
use crate::embedded::store::Store;

/// Bytes per trip to a blocking thread. 64 uploads at once hold 32 MiB.
const BATCH_LEN: usize = 512 * 1024;

/// S3's limit for one PUT or part.
const BODY_LEN_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// A client on the same machine that sends nothing for this long has died or hangs.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// After a refusal this much more of the body is read, so that a client that is still sending gets to read the
/// answer instead of a reset. For larger bodies the connection closes.
const DRAIN_MAX: usize = 16 * 1024 * 1024;

/// What a request says about its body before it begins.
#[derive(Debug)]
pub(super) struct Announced {
    size_bytes: u64,
    md5: Option<[u8; 16]>,
    checksums: Checksums,
    /// Checksums that come after the body.
    trailing: Vec<Algorithm>,
    trailers: Option<TrailingHeaders>,
}

impl Announced {
    pub(super) fn new(
        body: &StreamingBlob,
        headers: &HeaderMap,
        content_md5: Option<&str>,
        checksums: Checksums,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<Self> {
        // Known for each way of signing: from Content-Length, or from x-amz-decoded-content-length.
        let size = body.remaining_length().exact();
        let size_bytes = size.ok_or_else(|| s3_error!(MissingContentLength))? as u64;
        if size_bytes > BODY_LEN_MAX {
            return Err(s3_error!(EntityTooLarge, "an object or part has at most {BODY_LEN_MAX} bytes"));
        }
        let md5 = content_md5.map(parse_md5).transpose()?;
        let trailing = trailing_checksums(headers);
        Ok(Self { size_bytes, md5, checksums, trailing, trailers })
    }

    fn algorithms(&self) -> Vec<Algorithm> {
        self.checksums.keys().copied().chain(self.trailing.iter().copied()).collect()
    }

    /// Call when the body has ended: only then are the trailers there.
    fn expected(mut self) -> S3Result<Expected> {
        let trailers = self.trailers.and_then(|trailers| trailers.take()).unwrap_or_default();
        for algorithm in self.trailing {
            let sum = trailers.get(algorithm.header()).and_then(|value| value.to_str().ok());
            let sum = sum.ok_or_else(|| s3_error!(IncompleteBody, "{} is missing", algorithm.header()))?;
            self.checksums.insert(algorithm, sum.to_owned());
        }
        Ok(Expected { size_bytes: self.size_bytes, md5: self.md5, checksums: self.checksums })
    }
}

/// Receives the body, and gives the sealed object to `finish` on the same trip as the last bytes.
pub(super) async fn receive<T: Send + 'static>(
    s3: &FolderS3,
    mut body: StreamingBlob,
    announced: Announced,
    headers: ObjectHeaders,
    modified_ms: u64,
    finish: impl FnOnce(&Store, Sealed) -> Result<T, StoreError> + Send + 'static,
) -> S3Result<T> {
    let stored = store_body(s3, &mut body, announced, headers, modified_ms, finish).await;
    if stored.is_err() {
        drain(&mut body).await;
    }
    stored
}

async fn store_body<T: Send + 'static>(
    s3: &FolderS3,
    body: &mut StreamingBlob,
    announced: Announced,
    headers: ObjectHeaders,
    modified_ms: u64,
    finish: impl FnOnce(&Store, Sealed) -> Result<T, StoreError> + Send + 'static,
) -> S3Result<T> {
    let algorithms = announced.algorithms();
    let mut incoming: Option<Incoming> = None;
    let last = loop {
        let (batch, is_last) = next_batch(body).await?;
        if is_last {
            break batch;
        }
        let algorithms = algorithms.clone();
        let write = move |store: &Store| write_batch(store, incoming, &algorithms, &batch);
        incoming = Some(s3.blocking(write).await?);
    };
    let expected = announced.expected()?;
    s3.blocking(move |store| {
        let incoming = write_batch(store, incoming, &algorithms, &last)?;
        finish(store, incoming.seal(&expected, headers, modified_ms)?)
    })
    .await
}

fn write_batch(
    store: &Store,
    incoming: Option<Incoming>,
    algorithms: &[Algorithm],
    batch: &[Bytes],
) -> Result<Incoming, StoreError> {
    let mut incoming = match incoming {
        Some(incoming) => incoming,
        None => store.incoming(algorithms)?,
    };
    incoming.write(batch)?;
    Ok(incoming)
}

/// The next chunks, and whether they are the last.
async fn next_batch(body: &mut StreamingBlob) -> S3Result<(Vec<Bytes>, bool)> {
    let mut batch = Vec::new();
    let mut len = 0;
    while len < BATCH_LEN {
        match timeout(IDLE_MAX, body.next()).await {
            Ok(Some(chunk)) => {
                let chunk = chunk.map_err(|error| broken_body(&error))?;
                len += chunk.len();
                batch.push(chunk);
            }
            Ok(None) => return Ok((batch, true)),
            Err(_) => return Err(s3_error!(RequestTimeout)),
        }
    }
    Ok((batch, false))
}

async fn drain(body: &mut StreamingBlob) {
    let mut len = 0;
    while len < DRAIN_MAX {
        match timeout(IDLE_MAX, body.next()).await {
            Ok(Some(Ok(chunk))) => len += chunk.len(),
            _ => return,
        }
    }
}

/// The types of these errors are private to the protocol crate; their texts are what there is.
fn broken_body(error: &StdError) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        return s3_error!(BadDigest, "the body does not match x-amz-content-sha256");
    }
    if text.contains("SignatureMismatch") {
        return s3_error!(SignatureDoesNotMatch, "a chunk of the body does not match its signature");
    }
    s3_error!(IncompleteBody, "the body ended early or is malformed")
}

fn parse_md5(header: &str) -> S3Result<[u8; 16]> {
    let decoded = BASE64.decode(header.as_bytes()).ok();
    decoded
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| s3_error!(InvalidDigest, "Content-MD5 is not the base64 of 16 bytes"))
}

fn trailing_checksums(headers: &HeaderMap) -> Vec<Algorithm> {
    let names = headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok());
    let names: Vec<&str> = names.flat_map(|value| value.split(',')).map(str::trim).collect();
    let is_named =
        |algorithm: &Algorithm| names.iter().any(|name| name.eq_ignore_ascii_case(algorithm.header()));
    Algorithm::ALL.into_iter().filter(is_named).collect()
}
