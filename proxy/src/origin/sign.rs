//! AWS Signature Version 4 for requests without a body.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use loggia_storage::StoreConfig;

pub(super) struct Signer {
    identity: Credentials,
    region: String,
}

impl Signer {
    pub(super) fn new(store: &StoreConfig) -> Self {
        let identity = Credentials::new(&store.access_key, &store.secret_key, None, None, "loggia");
        Self { identity, region: store.region.clone() }
    }

    /// The headers that make a GET of `url` a signed one.
    pub(super) fn sign_get(
        &self,
        url: &str,
        host: &str,
        now: SystemTime,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = self.identity.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let headers = [("host", host)].into_iter();
        let request = SignableRequest::new("GET", url, headers, SignableBody::Bytes(&[]))?;
        let (instructions, _) = sign(request, &params)?.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
