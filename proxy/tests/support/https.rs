//! A client that speaks TLS, and HTTP/2 over it.

use std::path::Path;
use std::sync::Arc;

use ::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder, ResponseFuture, SendRequest};
use loggia_proxy::{CertificateFiles, Config, HttpsConfig, tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{HOST, World};

pub fn with_https(config: &mut Config, dir: &Path) {
    let (cert, key) = tls::ensure_self_signed(dir, &config.base_domain).unwrap();
    let default = Some(CertificateFiles { cert, key });
    config.https = Some(HttpsConfig { listen: ([127, 0, 0, 1], 0).into(), default, dir: None });
}

pub async fn connect(world: &World, protocol: &[u8]) -> TlsStream<TcpStream> {
    let cert =
        CertificateDer::from_pem_file(&world.config().https.as_ref().unwrap().default.as_ref().unwrap().cert)
            .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert).unwrap();
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(world.edge.https_addr.unwrap()).await.unwrap();
    // As browsers do: a window that is opened late makes the edge wait.
    stream.set_nodelay(true).unwrap();
    // Strict verifiers take no wildcard directly below a top-level name; `localhost` itself is in there too.
    let stream = TlsConnector::from(Arc::new(client))
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    stream
}

/// An HTTP/2 connection; its requests can be asked one beside the other.
pub struct Http2 {
    pub requests: SendRequest<Bytes>,
    /// Ends with the connection.
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

#[derive(Debug)]
pub struct Streamed {
    /// The `Link` lines of each interim answer.
    pub early: Vec<Vec<String>>,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Streamed {
    pub fn links(&self) -> Vec<String> {
        links(&self.headers)
    }

    /// `200 body`, for comparisons.
    pub fn summary(&self) -> String {
        format!("{} {}", self.status.as_u16(), String::from_utf8_lossy(&self.body))
    }
}

impl Http2 {
    pub async fn open(world: &World) -> Self {
        Self::open_with(world, &Builder::new()).await
    }

    pub async fn open_with(world: &World, settings: &Builder) -> Self {
        let (requests, connection) = settings.handshake(connect(world, b"h2").await).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    pub async fn get(&self, path: &str) -> Result<Streamed, h2::Error> {
        self.ask(Method::GET, path, &[]).await
    }

    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Streamed, h2::Error> {
        let mut answer = self.begin(request(method, path, fields)).await?;
        let early = early(&mut answer).await?;
        let (head, body) = answer.await?.into_parts();
        Ok(Streamed { early, status: head.status, headers: head.headers, body: rest(body).await? })
    }

    /// Sends a request without a body.
    pub async fn begin(&self, request: Request<()>) -> Result<ResponseFuture, h2::Error> {
        Ok(self.requests.clone().ready().await?.send_request(request, true)?.0)
    }

    /// Sends a request with a body, in pieces.
    pub async fn send(&self, request: Request<()>, pieces: &[Bytes]) -> Result<Streamed, h2::Error> {
        let (answer, mut body) = self.requests.clone().ready().await?.send_request(request, false)?;
        for piece in pieces {
            // The edge may have answered already.
            let _ = body.send_data(piece.clone(), false);
        }
        let _ = body.send_data(Bytes::new(), true);
        let (head, body) = answer.await?.into_parts();
        Ok(Streamed {
            early: Vec::new(),
            status: head.status,
            headers: head.headers,
            body: rest(body).await?,
        })
    }
}

pub fn request(method: Method, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().method(method).uri(format!("https://{HOST}{path}"));
    fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
}

async fn early(answer: &mut ResponseFuture) -> Result<Vec<Vec<String>>, h2::Error> {
    let mut early = Vec::new();
    while let Some(interim) = std::future::poll_fn(|context| answer.poll_informational(context)).await {
        let interim = interim?;
        assert_eq!(interim.status(), StatusCode::EARLY_HINTS);
        assert!(interim.headers().keys().all(|name| name == "link"), "{interim:?}");
        early.push(links(interim.headers()));
    }
    Ok(early)
}

fn links(headers: &HeaderMap) -> Vec<String> {
    headers.get_all("link").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// What is left of a body.
pub async fn rest(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut content = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        let _ = body.flow_control().release_capacity(piece.len());
        content.extend(piece);
    }
    Ok(content)
}
