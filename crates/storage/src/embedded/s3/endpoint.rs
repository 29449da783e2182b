//! The service as hyper sees it: the protocol crate's, and what must be put right before it.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Incoming;
use hyper::service::Service;
use s3s::service::S3Service;
use s3s::{HttpError, HttpResponse};

#[derive(Debug, Clone)]
pub(in crate::embedded) struct Endpoint(pub(super) S3Service);

impl Service<Request<Incoming>> for Endpoint {
    type Response = HttpResponse;
    type Error = HttpError;
    type Future = <S3Service as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        join_content_encodings(request.headers_mut());
        Service::call(&self.0, request)
    }
}

/// The AWS SDK sends the object's coding and `aws-chunked` as two headers when it streams a body with a checksum
/// after it; `s3s` 0.14 refuses repeated headers. Joined by a comma they mean the same (RFC 9110, section 5.3),
/// also to the signature, which is over the joined form.
fn join_content_encodings(headers: &mut HeaderMap) {
    let values: Vec<&[u8]> = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes).collect();
    if values.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&values.join(&b',')) {
        headers.insert(CONTENT_ENCODING, joined);
    }
}
