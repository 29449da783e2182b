//! Many certificates on one edge: chosen by name, read again while it runs, and sessions that are taken up again.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use loggia_proxy::{CertificateFiles, Config, HttpsConfig};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue};
use rustls::client::{Tls12Resumption, Tls13ClientSessionValue};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, HandshakeKind, NamedGroup, SignatureScheme,
    SupportedProtocolVersion, version,
};
use support::{HOST, World, eventually, route};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A folder of certificates of this test's own.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// Writes a new pair for these names and gives its certificate.
    fn put(&self, name: &str, names: &[&str]) -> CertificateDer<'static> {
        write_pair(
            &self.0.path().join(format!("{name}.crt")),
            &self.0.path().join(format!("{name}.key")),
            names,
        )
    }

    fn remove(&self, name: &str) {
        for extension in ["crt", "key"] {
            std::fs::remove_file(self.0.path().join(format!("{name}.{extension}"))).unwrap();
        }
    }
}

fn write_pair(cert: &Path, key: &Path, names: &[&str]) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let pair = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&pair).unwrap();
    std::fs::create_dir_all(cert.parent().unwrap()).unwrap();
    std::fs::write(cert, certificate.pem()).unwrap();
    std::fs::write(key, pair.serialize_pem()).unwrap();
    certificate.der().clone()
}

fn https(dir: Option<PathBuf>, default: Option<CertificateFiles>) -> impl FnOnce(&mut Config, &Path) {
    move |config, _| {
        config.https = Some(HttpsConfig { listen: ([127, 0, 0, 1], 0).into(), default, dir });
    }
}

/// A client that takes any certificate: which one it was shown is what the tests look at.
#[derive(Clone)]
struct Client(Arc<ClientConfig>);

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        CryptoProvider::get_default().unwrap().signature_verification_algorithms.supported_schemes()
    }
}

/// Offers every server the session that another one gave.
#[derive(Debug)]
struct OneSessionForAll(ClientSessionMemoryCache);

fn nobody() -> ServerName<'static> {
    ServerName::try_from("nobody.invalid").unwrap()
}

impl ClientSessionStore for OneSessionForAll {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(nobody(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&nobody())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(nobody(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&nobody())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&nobody());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(nobody(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&nobody())
    }
}

impl Client {
    fn new() -> Self {
        Self::with(&[&version::TLS12, &version::TLS13], Resumption::disabled())
    }

    fn with(versions: &[&'static SupportedProtocolVersion], resumption: Resumption) -> Self {
        loggia_runtime::install_crypto_provider();
        let mut config = ClientConfig::builder_with_protocol_versions(versions)
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = resumption;
        Self(Arc::new(config))
    }

    /// A connection, or the alert that refused it.
    async fn connect(&self, world: &World, name: &str) -> Result<TlsStream<TcpStream>, AlertDescription> {
        let stream = TcpStream::connect(world.edge.https_addr.unwrap()).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await.map_err(|error| {
            match error.get_ref().and_then(|error| error.downcast_ref()) {
                Some(rustls::Error::AlertReceived(alert)) => *alert,
                _ => panic!("no alert: {error:?}"),
            }
        })
    }

    /// The certificate that is shown for a name, `None` when it is refused for want of one.
    async fn shown(&self, world: &World, name: &str) -> Option<CertificateDer<'static>> {
        match self.connect(world, name).await {
            Ok(stream) => Some(stream.get_ref().1.peer_certificates().unwrap()[0].clone()),
            Err(alert) => {
                assert_eq!(alert, AlertDescription::UnrecognisedName);
                None
            }
        }
    }
}

/// The status of the answer to a request for a host.
async fn status(stream: &mut TlsStream<TcpStream>, host: &str) -> u16 {
    stream.write_all(format!("HEAD / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "it ended early");
    }
    String::from_utf8_lossy(&answer[9..12]).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_is_shown_its_own_certificate_and_others_an_alert() {
    let folder = Folder::new();
    let shop = folder.put("shop", &[HOST]);
    let pages = folder.put("pages", &["*.pages.localhost", "*.localhost"]);
    let dir = folder.path().join("certbot");
    let blog = write_pair(&dir.join("fullchain.pem"), &dir.join("privkey.pem"), &["blog.localhost"]);
    let world = World::with(https(Some(folder.path()), None)).await;
    world.publish(1, &[("index.html", b"home")]).await;

    let client = Client::new();
    for (name, expected) in [
        (HOST, Some(&shop)),
        ("blog.localhost", Some(&blog)),
        ("other.localhost", Some(&pages)),
        ("a.pages.localhost", Some(&pages)),
        ("a.b.pages.localhost", None),
        ("example.com", None),
    ] {
        assert_eq!(client.shown(&world, name).await.as_ref(), expected, "{name}");
    }
    // Without a name, which no address is.
    let refused = client.connect(&world, "127.0.0.1").await.map(drop);
    assert_eq!(refused, Err(AlertDescription::MissingExtension));

    // What a connection may be used for depends on the certificate that it was opened with.
    for (name, host, expected) in [
        (HOST, HOST, 200),
        (HOST, "blog.localhost", 421),
        ("blog.localhost", HOST, 421),
        ("other.localhost", HOST, 200),
        ("other.localhost", "a.b.localhost", 421),
    ] {
        let mut stream = client.connect(&world, name).await.unwrap();
        assert_eq!(status(&mut stream, host).await, expected, "{host} over a connection to {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again_while_the_edge_runs() {
    let (folder, default) = (Folder::new(), Folder::new());
    let first = folder.put("shop", &[HOST]);
    let blog = folder.put("blog", &["blog.localhost"]);
    let everybody = default.put("default", &["default.localhost"]);
    let files = CertificateFiles {
        cert: default.path().join("default.crt"),
        key: default.path().join("default.key"),
    };
    let world = World::with(https(Some(folder.path()), Some(files))).await;
    world.publish(1, &[("index.html", b"home")]).await;
    let client = Client::new();
    let shows = async |name: &str, expected: &CertificateDer<'static>| {
        eventually(name, async || client.shown(&world, name).await.as_ref() == Some(expected)).await;
    };
    assert_eq!(client.shown(&world, HOST).await.unwrap(), first);
    let mut open = client.connect(&world, HOST).await.unwrap();
    assert_eq!(status(&mut open, HOST).await, 200);

    // A broken pair beside whole new ones: once those are there, it has been looked at.
    std::fs::write(folder.path().join("shop.crt"), "-----BEGIN CERT").unwrap();
    let added = folder.put("added", &["added.localhost"]);
    let everybody_later = default.put("default", &["default.localhost"]);
    assert_ne!(everybody, everybody_later);
    shows("added.localhost", &added).await;
    shows("any.localhost", &everybody_later).await;
    assert_eq!(client.shown(&world, HOST).await.unwrap(), first);

    let second = folder.put("shop", &[HOST]);
    shows(HOST, &second).await;
    folder.remove("added");
    shows("added.localhost", &everybody_later).await;
    assert_eq!(client.shown(&world, "blog.localhost").await.unwrap(), blog, "it was never touched");
    assert_eq!(status(&mut open, HOST).await, 200, "the connection from before all this");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_comes_back_without_a_whole_handshake_and_only_to_the_name_that_it_knows() {
    let folder = Folder::new();
    folder.put("shop", &[HOST]);
    let blog = folder.put("blog", &["blog.localhost"]);
    let world = World::with(https(Some(folder.path()), None)).await;
    let shop = world.publish(1, &[("index.html", b"home")]).await;
    let version = world.api.next_position();
    world.api.set_route(route("blog.localhost", Some(shop.deployment_id), version));

    let sessions = |tls12| {
        let store = Arc::new(OneSessionForAll(ClientSessionMemoryCache::new(8)));
        Resumption::store(store).tls12_resumption(tls12)
    };
    for (what, protocol, tls12) in [
        ("tickets of TLS 1.3", &version::TLS13, Tls12Resumption::Disabled),
        ("tickets of TLS 1.2", &version::TLS12, Tls12Resumption::SessionIdOrTickets),
        ("the cache of TLS 1.2", &version::TLS12, Tls12Resumption::SessionIdOnly),
    ] {
        let client = Client::with(&[protocol], sessions(tls12));
        let mut kinds = Vec::new();
        for name in [HOST, HOST, "blog.localhost"] {
            let mut stream = client.connect(&world, name).await.unwrap();
            let other = if name == HOST { "blog.localhost" } else { HOST };
            assert_eq!(status(&mut stream, name).await, 200, "{what}: {name}");
            assert_eq!(status(&mut stream, other).await, 421, "{what}: {other} over a connection to {name}");
            let tls = stream.get_ref().1;
            kinds.push(tls.handshake_kind().unwrap());
            if name != HOST {
                assert_eq!(tls.peer_certificates().unwrap()[0], blog, "{what}");
            }
        }
        let kinds = kinds.iter().map(|kind| match kind {
            HandshakeKind::Resumed => "resumed",
            _ => "full",
        });
        assert_eq!(kinds.collect::<Vec<_>>(), ["full", "resumed", "full"], "{what}");
    }
}
