//! S3's operations on the store.
//!
//! Headers, conditions and error codes live here, file names do not. Every call into the store is one trip to a
//! blocking thread.

mod access;
mod body;
mod convert;
mod endpoint;
mod errors;
mod list;
mod multipart;
mod read;
mod receive;
mod write;

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, GetObjectInput, GetObjectOutput, HeadBucketInput,
    HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
    ListObjectsV2Input, ListObjectsV2Output, PutObjectInput, PutObjectOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result};

pub(super) use self::access::Strangers;
pub(super) use self::endpoint::Endpoint;
use self::errors::{internal, s3_error_of};
use super::error::StoreError;
use super::store::Store;

/// The largest XML body that we ask clients to send: DeleteObjects with 1,000 keys of 1,024 bytes, each byte
/// escaped to at most 6 (`&quot;`), plus tags: under 7 MB.
const XML_BODY_MAX: usize = 8 * 1024 * 1024;

pub(super) fn service(
    store: Arc<Store>,
    access_key: &str,
    secret_key: &str,
    strangers: Strangers,
) -> Endpoint {
    let mut config = S3Config::default();
    config.xml_max_body_size = XML_BODY_MAX;
    // Uploads by HTML form are held in memory, and before it is known who sends them. Nobody needs them here.
    config.post_object_max_file_size = 0;
    config.form_max_parts = 0;
    config.form_max_field_size = 0;
    config.form_max_fields_size = 0;

    let mut builder = S3ServiceBuilder::new(FolderS3 { store });
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(SimpleAuth::from_single(access_key, secret_key));
    builder.set_access(access::SignatureV4Only(strangers));
    Endpoint(builder.build())
}

#[derive(Debug, Clone)]
struct FolderS3 {
    store: Arc<Store>,
}

impl FolderS3 {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(result) => result.map_err(|error| s3_error_of(&error)),
            Err(panicked) => Err(internal(&panicked)),
        }
    }
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait]
impl S3 for FolderS3 {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        let bucket = req.input.bucket;
        let location = Some(format!("/{bucket}"));
        self.blocking(move |store| store.create_bucket(&bucket)).await?;
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        let bucket = req.input.bucket;
        self.blocking(move |store| store.check_bucket(&bucket)).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        let buckets = self.blocking(Store::list_buckets).await?;
        Ok(S3Response::new(convert::buckets(buckets)))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        read::get_object(self, req.input).await
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        read::head_object(self, req.input).await
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        list::list_objects(self, req.input).await
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        write::put_object(self, req).await
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        write::copy_object(self, req.input).await
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        write::delete_object(self, req.input).await
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        write::delete_objects(self, req.input).await
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        multipart::create(self, req.input).await
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        multipart::upload_part(self, req).await
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        multipart::complete(self, req.input).await
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        multipart::abort(self, req.input).await
    }
}
