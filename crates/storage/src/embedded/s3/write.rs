//! PutObject, CopyObject, DeleteObject, DeleteObjects.

use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETagCondition, Error, MetadataDirective,
    PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{Body, S3Request, S3Response, s3_error};

use super::convert::{self, checksums_of, headers_of, set_checksums};
use super::errors::s3_error_of;
use super::receive::{Announced, receive};
use super::{Answer, FolderS3, now_ms};
use crate::embedded::digest::Algorithm;
use crate::embedded::object::ObjectMeta;
use crate::embedded::store::{Condition, Deleted};

/// S3's limit.
const DELETE_KEYS_MAX: usize = 1000;

pub(super) async fn put_object(s3: &FolderS3, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
    let mut input = req.input;
    if input.write_offset_bytes.is_some() {
        return Err(s3_error!(NotImplemented, "appending to objects"));
    }
    let body = input.body.take().unwrap_or_else(|| StreamingBlob::from(Body::empty()));
    let checksums = checksums_of!(input);
    let announced =
        Announced::new(&body, &req.headers, input.content_md5.as_deref(), checksums, req.trailing_headers)?;
    let condition = convert::write_condition(input.if_match.take(), input.if_none_match.take())?;
    let headers = headers_of!(input);
    let (bucket, key) = (input.bucket, input.key);
    let meta = receive(s3, body, announced, headers, now_ms(), move |store, sealed| {
        store.commit(&bucket, &key, sealed, &condition)
    })
    .await?;

    let mut output = PutObjectOutput { e_tag: Some(convert::etag(&meta)), ..PutObjectOutput::default() };
    set_checksums!(output, meta.checksums);
    Ok(S3Response::new(output))
}

/// Copies keep the source's ETag, also where it came from a multipart upload.
pub(super) async fn copy_object(s3: &FolderS3, mut input: CopyObjectInput) -> Answer<CopyObjectOutput> {
    let CopySource::Bucket { bucket: from_bucket, key: from_key, version_id: None } = input.copy_source
    else {
        return Err(s3_error!(NotImplemented, "a copy source is a bucket and a key, without a version"));
    };
    if input.copy_source_if_modified_since.is_some() || input.copy_source_if_unmodified_since.is_some() {
        return Err(s3_error!(NotImplemented, "copying on condition of a date"));
    }
    let replaces_headers = input
        .metadata_directive
        .as_ref()
        .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    let headers = replaces_headers.then(|| headers_of!(input));
    let (if_match, if_none_match) = (input.copy_source_if_match, input.copy_source_if_none_match);
    let is_wanted = move |meta: &ObjectMeta| {
        if_match.is_none_or(|condition| names(&condition, meta))
            && if_none_match.is_none_or(|condition| !names(&condition, meta))
    };
    let (bucket, key) = (input.bucket, input.key);
    let modified_ms = now_ms();
    let meta = s3
        .blocking(move |store| {
            let sealed = store.copy((&from_bucket, &from_key), headers, modified_ms, is_wanted)?;
            store.commit(&bucket, &key, sealed, &Condition::None)
        })
        .await?;

    let mut result = CopyObjectResult {
        e_tag: Some(convert::etag(&meta)),
        last_modified: Some(convert::modified(&meta)),
        ..CopyObjectResult::default()
    };
    set_checksums!(result, meta.checksums);
    Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() }))
}

pub(super) async fn delete_object(s3: &FolderS3, input: DeleteObjectInput) -> Answer<DeleteObjectOutput> {
    let condition = convert::write_condition(input.if_match, None)?;
    let (bucket, key) = (input.bucket, input.key);
    s3.blocking(move |store| store.delete(&bucket, &key, &condition)).await?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

pub(super) async fn delete_objects(s3: &FolderS3, input: DeleteObjectsInput) -> Answer<DeleteObjectsOutput> {
    let objects = input.delete.objects;
    if objects.len() > DELETE_KEYS_MAX {
        return Err(s3_error!(MalformedXML, "at most {DELETE_KEYS_MAX} keys can be deleted at once"));
    }
    if objects.iter().any(|object| object.e_tag.is_some() || object.version_id.is_some()) {
        return Err(s3_error!(NotImplemented, "deleting many on conditions or versions"));
    }
    let bucket = input.bucket;
    let keys = objects.into_iter().map(|object| object.key).collect();
    let results = s3.blocking(move |store| store.delete_many(&bucket, keys)).await?;

    let mut deleted = Vec::new();
    let mut errors = Vec::new();
    for Deleted { key, result } in results {
        match result {
            Ok(()) => deleted.push(DeletedObject { key: Some(key), ..DeletedObject::default() }),
            Err(error) => {
                let error = s3_error_of(&error);
                let code = Some(error.code().as_str().to_owned());
                let message = error.message().map(str::to_owned);
                errors.push(Error { code, message, key: Some(key), ..Error::default() });
            }
        }
    }
    if input.delete.quiet == Some(true) {
        deleted.clear();
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        ..DeleteObjectsOutput::default()
    }))
}

fn names(condition: &ETagCondition, meta: &ObjectMeta) -> bool {
    condition.as_etag().is_none_or(|etag| etag.value() == meta.etag)
}
