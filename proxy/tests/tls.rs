//! HTTPS with the self-signed certificate, over HTTP/1.1 and HTTP/2.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use loggia_proxy::{Config, HttpsConfig, tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use support::faulty_store::Fault;
use support::{HOST, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn with_https(config: &mut Config, dir: &Path) {
    let (cert, key) = tls::ensure_self_signed(dir, &config.base_domain).unwrap();
    config.https = Some(HttpsConfig { listen: ([127, 0, 0, 1], 0).into(), cert, key });
}

async fn connect(world: &World, protocol: &[u8]) -> TlsStream<TcpStream> {
    let cert = CertificateDer::from_pem_file(&world.config().https.as_ref().unwrap().cert).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert).unwrap();
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(world.edge.https_addr.unwrap()).await.unwrap();
    // Strict verifiers take no wildcard directly below a top-level name; `localhost` itself is in there too.
    let stream = TlsConnector::from(Arc::new(client))
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_served_over_tls() {
    let world = World::with(with_https).await;
    world.publish(1, &[("index.html", b"secure")]).await;
    let mut stream = connect(&world, b"http/1.1").await;
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("secure"), "{text}");
}

/// Status and body, or the error that ended the stream.
async fn ask(
    client: &mut h2::client::SendRequest<Bytes>,
    method: Method,
    path: &str,
) -> Result<String, h2::Error> {
    let request = Request::builder().method(method).uri(format!("https://{HOST}{path}")).body(()).unwrap();
    let (answer, _) = client.send_request(request, true)?;
    let (head, mut body) = answer.await?.into_parts();
    let mut content = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        let _ = body.flow_control().release_capacity(piece.len());
        content.extend(piece);
    }
    Ok(format!("{} {}", head.status.as_u16(), String::from_utf8_lossy(&content)))
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_has_the_same_rules() {
    let world = World::with(with_https).await;
    let large = vec![b'x'; 2_000_000];
    world.publish(1, &[("index.html", b"home"), ("large.bin", &large), ("404.html", b"none")]).await;
    let (mut client, connection) = h2::client::handshake(connect(&world, b"h2").await).await.unwrap();
    tokio::spawn(connection);

    assert_eq!(ask(&mut client, Method::GET, "/").await.unwrap(), "200 home");
    assert_eq!(ask(&mut client, Method::HEAD, "/").await.unwrap(), "200 ");
    assert_eq!(ask(&mut client, Method::GET, "/missing").await.unwrap(), "404 none");
    assert_eq!(ask(&mut client, Method::GET, "/index.html").await.unwrap(), "307 ");
    assert!(ask(&mut client, Method::POST, "/").await.unwrap().starts_with("405 "));
    assert_eq!(ask(&mut client, Method::GET, "/large.bin").await.unwrap().len(), 2_000_004);

    for fault in [Fault::CutAfter(1_000_000), Fault::Corrupt] {
        world.faults.set(fault);
        let answer = ask(&mut client, Method::GET, "/large.bin").await;
        assert!(answer.as_ref().is_err() || answer.as_ref().unwrap().starts_with("503"), "{fault:?}");
    }
    world.faults.set(Fault::Status(403));
    assert!(ask(&mut client, Method::GET, "/").await.unwrap().starts_with("503 "));
}
