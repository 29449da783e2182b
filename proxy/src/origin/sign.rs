//! AWS Signature Version 4 for a GET of an object.
//!
//! Put together by hand, because each object that is fetched needs one: the library derives the day's key anew for each
//! request, and builds its canonical form in pieces. The test has the library's as its measure.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use loggia_runtime::Secret;
use loggia_storage::StoreConfig;
use loggia_types::ContentHash;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// The hash of no body.
pub(super) const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const SIGNED_HEADERS: &str = "host;x-amz-content-sha256;x-amz-date";

pub(super) struct Signer {
    access_key: String,
    secret_key: Secret,
    region: String,
    day: ArcSwapOption<Day>,
}

/// What is the same for all requests of a day.
struct Day {
    date: Date,
    scope: String,
    key: Box<[u8]>,
}

/// What a signed request says beside its address, its `Host` and [`EMPTY_HASH`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub amz_date: String,
    pub authorization: String,
}

impl Signer {
    pub(super) fn new(store: &StoreConfig) -> Self {
        Self {
            access_key: store.access_key.clone(),
            secret_key: Secret::new(&store.secret_key),
            region: store.region.clone(),
            day: ArcSwapOption::empty(),
        }
    }

    /// Signs a GET of a path that is encoded already.
    pub(super) fn sign_get(&self, path: &str, host: &str, now: SystemTime) -> anyhow::Result<Signed> {
        let at = OffsetDateTime::from(now);
        let amz_date = at.format(format_description!("[year][month][day]T[hour][minute][second]Z"))?;
        let day = self.day(at.date(), now, &amz_date[..8]);
        let (scope, access_key) = (&day.scope, &self.access_key);
        let request = ContentHash::of(
            format!(
                "GET\n{path}\n\nhost:{host}\nx-amz-content-sha256:{EMPTY_HASH}\nx-amz-date:{amz_date}\n\n\
                 {SIGNED_HEADERS}\n{EMPTY_HASH}"
            )
            .as_bytes(),
        );
        let to_sign = format!("AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{request}");
        let signature = calculate_signature(&day.key, to_sign.as_bytes());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={SIGNED_HEADERS}, \
             Signature={signature}"
        );
        Ok(Signed { amz_date, authorization })
    }

    fn day(&self, date: Date, now: SystemTime, digits: &str) -> Arc<Day> {
        if let Some(day) = self.day.load_full().filter(|day| day.date == date) {
            return day;
        }
        let key = generate_signing_key(self.secret_key.reveal(), now, &self.region, "s3");
        let scope = format!("{digits}/{}/s3/aws4_request", self.region);
        let day = Arc::new(Day { date, scope, key: key.as_ref().into() });
        self.day.store(Some(Arc::clone(&day)));
        day
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    };
    use aws_sigv4::sign::v4;

    fn by_the_library(store: &StoreConfig, path: &str, host: &str, now: SystemTime) -> Signed {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = Credentials::new(&store.access_key, &store.secret_key, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&store.region)
            .name("s3")
            .time(now)
            .settings(settings)
            .build()
            .expect("all is there")
            .into();
        let url = format!("http://{host}{path}");
        let headers = [("host", host)].into_iter();
        let request =
            SignableRequest::new("GET", &url, headers, SignableBody::Bytes(&[])).expect("a request");
        let (instructions, _) = sign(request, &params).expect("signs").into_parts();
        let value = |wanted: &str| {
            let found = instructions.headers().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.to_owned()).expect("a header")
        };
        assert_eq!(value("x-amz-content-sha256"), EMPTY_HASH);
        Signed { amz_date: value("x-amz-date"), authorization: value("authorization") }
    }

    #[test]
    fn signatures_are_those_of_the_library() {
        let store = StoreConfig {
            endpoint_url: None,
            region: "eu-central-1".into(),
            bucket: "sites".into(),
            access_key: "AKID".into(),
            secret_key: "secret".into(),
        };
        let signer = Signer::new(&store);
        // Over the end of a day and back, as clocks do.
        for secs in [0, 1, 86_399, 86_400, 86_399, 1_700_000_000, 1_709_208_000] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
            for path in ["/sites/a", "/sites/a%20b/%C3%BC%2B%2541.txt", "/sites/a//b/~1/../c", "/"] {
                for host in ["127.0.0.1:9000", "sites.s3.eu-central-1.amazonaws.com"] {
                    let ours = signer.sign_get(path, host, now).expect("signs");
                    assert_eq!(ours, by_the_library(&store, path, host, now), "{path} at {secs}");
                }
            }
        }
    }
}
