//! Who may do what: whoever holds the one key pair may do everything, everybody else nothing, or only read.

use async_trait::async_trait;
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Result, s3_error};

/// What whoever does not sign may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) enum Strangers {
    AreRefused,
    /// As a bucket with a policy for public reads: objects by their keys, no lists.
    MayRead,
}

/// The protocol crate also takes Signature Version 2 (HMAC-SHA1, gone from AWS) and signed HTML forms.
#[derive(Debug)]
pub(super) struct SignatureV4Only(pub(super) Strangers);

#[async_trait]
impl S3Access for SignatureV4Only {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let is_read = matches!(cx.s3_op().name(), "GetObject" | "HeadObject");
        if self.0 == Strangers::MayRead && is_read && cx.credentials().is_none() {
            return Ok(());
        }
        let by_header = cx
            .headers()
            .get(http::header::AUTHORIZATION)
            .is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256"));
        let by_query = cx.uri().query().is_some_and(|query| query.contains("X-Amz-Signature="));
        if cx.credentials().is_some() && (by_header || by_query) {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "the request must be signed with Signature Version 4"))
    }
}
