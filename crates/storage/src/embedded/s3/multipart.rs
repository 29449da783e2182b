//! Multipart uploads.

use std::sync::atomic::{AtomicU64, Ordering};

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    StreamingBlob, UploadPartInput, UploadPartOutput,
};
use s3s::{Body, S3Request, S3Response, S3Result, s3_error};

use super::convert::{self, checksums_of, headers_of, set_checksums};
use super::receive::{Announced, receive};
use super::{Answer, FolderS3, now_ms};
use crate::embedded::digest::Algorithm;
use crate::embedded::object::ObjectHeaders;
use crate::embedded::uploads::{ExpectedWhole, ListedPart, PART_NUMBER_MAX, UploadRef, is_upload_id};

pub(super) async fn create(
    s3: &FolderS3,
    mut input: CreateMultipartUploadInput,
) -> Answer<CreateMultipartUploadOutput> {
    let headers = headers_of!(input);
    let id = new_upload_id();
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let upload_id = id.clone();
    s3.blocking(move |store| store.create_upload(&id, &bucket, &key, headers)).await?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload_id),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: input.checksum_type,
        ..CreateMultipartUploadOutput::default()
    }))
}

pub(super) async fn upload_part(s3: &FolderS3, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
    let mut input = req.input;
    let number = part_number(input.part_number)?;
    check_id(&input.upload_id)?;
    let body = input.body.take().unwrap_or_else(|| StreamingBlob::from(Body::empty()));
    let checksums = checksums_of!(input);
    let announced =
        Announced::new(&body, &req.headers, input.content_md5.as_deref(), checksums, req.trailing_headers)?;
    let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
    let meta = receive(s3, body, announced, ObjectHeaders::default(), now_ms(), move |store, sealed| {
        store.put_part(&UploadRef { id: &id, bucket: &bucket, key: &key }, number, sealed)
    })
    .await?;

    let mut output = UploadPartOutput { e_tag: Some(convert::etag(&meta)), ..UploadPartOutput::default() };
    set_checksums!(output, meta.checksums);
    Ok(S3Response::new(output))
}

pub(super) async fn complete(
    s3: &FolderS3,
    mut input: CompleteMultipartUploadInput,
) -> Answer<CompleteMultipartUploadOutput> {
    check_id(&input.upload_id)?;
    let condition = convert::write_condition(input.if_match.take(), input.if_none_match.take())?;
    let size = input.mpu_object_size.map(u64::try_from).transpose();
    let expected = ExpectedWhole {
        size_bytes: size.map_err(|_| s3_error!(InvalidArgument, "a negative object size"))?,
        checksums: checksums_of!(input),
    };
    let parts = input.multipart_upload.take().and_then(|upload| upload.parts).unwrap_or_default();
    let parts = parts.into_iter().map(listed_part).collect::<S3Result<Vec<_>>>()?;
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id);
    let modified_ms = now_ms();
    let meta = s3
        .blocking(move |store| {
            let upload = UploadRef { id: &id, bucket: &bucket, key: &key };
            store.complete_upload(&upload, &parts, &expected, &condition, modified_ms)
        })
        .await?;

    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(convert::etag(&meta)),
        ..CompleteMultipartUploadOutput::default()
    };
    set_checksums!(output, meta.checksums);
    Ok(S3Response::new(output))
}

pub(super) async fn abort(
    s3: &FolderS3,
    input: AbortMultipartUploadInput,
) -> Answer<AbortMultipartUploadOutput> {
    check_id(&input.upload_id)?;
    let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
    s3.blocking(move |store| store.abort_upload(&UploadRef { id: &id, bucket: &bucket, key: &key })).await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

/// Unique is enough: an id is worth nothing without a signature. The clock keeps it unique across restarts,
/// the process id where the clock went back.
fn new_upload_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{:x}-{count:x}", now_ms(), std::process::id())
}

fn check_id(id: &str) -> S3Result<()> {
    if is_upload_id(id) { Ok(()) } else { Err(s3_error!(NoSuchUpload)) }
}

fn part_number(number: i32) -> S3Result<u16> {
    let number = u16::try_from(number).ok().filter(|number| (1..=PART_NUMBER_MAX).contains(number));
    number.ok_or_else(|| s3_error!(InvalidArgument, "part numbers go from 1 to {PART_NUMBER_MAX}"))
}

fn listed_part(mut part: CompletedPart) -> S3Result<ListedPart> {
    let checksums = checksums_of!(part);
    let number = part_number(part.part_number.unwrap_or(0))?;
    let etag = part.e_tag.ok_or_else(|| s3_error!(InvalidPart, "part {number} has no ETag"))?;
    Ok(ListedPart { number, etag: etag.into_value(), checksums })
}
