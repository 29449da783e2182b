//! The object store as the proxy sees it: where it is, and how one of its objects is asked for.

mod addresses;
mod read;
mod sign;

use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use loggia_serve::decide::ByteRange;
use loggia_storage::StoreConfig;
use loggia_types::ObjectKey;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorType};

use self::addresses::Addresses;
pub(crate) use self::read::{ReadError, Reading};
use self::sign::Signer;
use crate::metrics::OriginFault;

/// What SigV4 leaves alone in a path, and the slash between segments. S3 encodes once, not twice.
const KEY_ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Silence of the store, before and within an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Below the 75 s and more after which servers close: a request never meets a connection that is just closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Idle connections to the store that are kept for the next miss.
pub(crate) const CONNECTIONS_IDLE_MAX: usize = 256;

pub(crate) struct Origin {
    addresses: Addresses,
    is_tls: bool,
    host: String,
    /// The `Host` header: with the port, unless it is the scheme's own.
    authority: String,
    /// What the path of every object begins with, e.g. `/bucket/`.
    path_prefix: String,
    signer: Signer,
    /// For what goes into the cache; what does not goes through the proxy's own.
    connector: Connector,
}

impl Origin {
    pub(crate) fn new(store: &StoreConfig) -> anyhow::Result<Self> {
        let (url, path_prefix) = match &store.endpoint_url {
            // By path, as MinIO and most others want it.
            Some(url) => {
                let url =
                    url::Url::parse(url).with_context(|| format!("the object store's address {url:?}"))?;
                let prefix = format!("{}/{}/", url.path().trim_end_matches('/'), store.bucket);
                (url, prefix)
            }
            None => {
                let url = format!("https://{}.s3.{}.amazonaws.com", store.bucket, store.region);
                (
                    url::Url::parse(&url).with_context(|| format!("the bucket {:?}", store.bucket))?,
                    "/".to_owned(),
                )
            }
        };
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            other => bail!("the object store's address begins with http or https, not {other}"),
        };
        let host = url.host_str().context("the object store's address has no host")?.to_owned();
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let port = url.port_or_known_default().context("the object store's address has no port")?;
        let addresses = Addresses::new(host.trim_matches(['[', ']']), port);
        let connector = Connector::new(Some(ConnectorOptions::new(CONNECTIONS_IDLE_MAX)));
        Ok(Self { addresses, is_tls, host, authority, path_prefix, signer: Signer::new(store), connector })
    }

    /// Where to connect.
    pub(crate) async fn peer(&self) -> std::io::Result<HttpPeer> {
        let address = self.addresses.get().await?;
        let mut peer = HttpPeer::new(address, self.is_tls, self.host.clone());
        peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.total_connection_timeout = Some(CONNECT_TIMEOUT + CONNECT_TIMEOUT);
        peer.options.read_timeout = Some(READ_TIMEOUT);
        peer.options.write_timeout = Some(WRITE_TIMEOUT);
        peer.options.idle_timeout = Some(IDLE_TIMEOUT);
        // Headers of the client need no cleaning: none of them is sent ([`Origin::request`]).
        peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
        Ok(peer)
    }

    /// A signed GET of an object. Nothing of the client's request is in it.
    pub(crate) fn request(
        &self,
        key: &ObjectKey,
        range: Option<ByteRange>,
        now: SystemTime,
    ) -> anyhow::Result<RequestHeader> {
        let path = format!("{}{}", self.path_prefix, utf8_percent_encode(key.as_str(), KEY_ESCAPED));
        let signed = self.signer.sign_get(&path, &self.authority, now)?;

        let mut request = RequestHeader::build("GET", path.as_bytes(), Some(8))?;
        request.insert_header(http::header::HOST, &self.authority)?;
        // A client may have sent a body with its GET; it was read, and none is passed on.
        request.insert_header(http::header::CONTENT_LENGTH, "0")?;
        request.insert_header(http::header::ACCEPT_ENCODING, "identity")?;
        if let Some(range) = range {
            request.insert_header(http::header::RANGE, format!("bytes={}-{}", range.first, range.last))?;
        }
        request.insert_header("x-amz-content-sha256", sign::EMPTY_HASH)?;
        request.insert_header("x-amz-date", signed.amz_date)?;
        request.insert_header(http::header::AUTHORIZATION, signed.authorization)?;
        Ok(request)
    }
}

/// What kind of trouble with the store the proxy library reports.
pub(crate) fn fault_of(error: &Error) -> OriginFault {
    match error.etype() {
        ErrorType::ConnectTimedout
        | ErrorType::TLSHandshakeTimedout
        | ErrorType::ReadTimedout
        | ErrorType::WriteTimedout => OriginFault::Timeout,
        ErrorType::ConnectError
        | ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectProxyFailure
        | ErrorType::TLSHandshakeFailure
        | ErrorType::TLSWantX509Lookup
        | ErrorType::InvalidCert
        | ErrorType::SocketError
        | ErrorType::BindError => OriginFault::Connect,
        ErrorType::InternalError => OriginFault::Internal,
        _ => OriginFault::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loggia_types::{DeploymentId, FolderRef, ProjectId};

    fn store(endpoint_url: Option<&str>) -> StoreConfig {
        StoreConfig {
            endpoint_url: endpoint_url.map(str::to_owned),
            region: "eu-central-1".into(),
            bucket: "sites".into(),
            access_key: "AKID".into(),
            secret_key: "secret".into(),
        }
    }

    #[test]
    fn an_object_is_asked_for_by_its_key_encoded_once() {
        let key = ObjectKey::stored_file(
            ProjectId::from_parts(1, 1),
            FolderRef::of_attempt(DeploymentId::from_parts(2, 2), 2),
            "a b/ü+%41.txt",
        );
        let range = Some(ByteRange { first: 2, last: 5 });
        let cases = [
            (Some("http://127.0.0.1:9000"), "/sites/", "127.0.0.1:9000"),
            (Some("https://s3.example/base/"), "/base/sites/", "s3.example"),
            (None, "/", "sites.s3.eu-central-1.amazonaws.com"),
        ];
        for (endpoint, prefix, host) in cases {
            let origin = Origin::new(&store(endpoint)).expect("a good address");
            let request = origin.request(&key, range, SystemTime::UNIX_EPOCH).expect("signs");
            let path = std::str::from_utf8(request.raw_path()).expect("ASCII");
            assert!(path.starts_with(prefix) && path.ends_with("~2/a%20b/%C3%BC%2B%2541.txt"), "{path}");
            assert_eq!(request.headers["host"], host);
            assert_eq!(request.headers["range"], "bytes=2-5");
            let authorization = request.headers["authorization"].to_str().expect("ASCII");
            assert!(
                authorization.contains("Credential=AKID/19700101/eu-central-1/s3/aws4_request"),
                "{authorization}"
            );
            assert!(
                authorization.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date"),
                "{authorization}"
            );
        }
        assert!(Origin::new(&store(Some("ftp://x"))).is_err());
        assert!(Origin::new(&store(Some("127.0.0.1:9000"))).is_err());
    }
}
