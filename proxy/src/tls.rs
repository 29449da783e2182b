//! Certificates: reading them, and making one so that HTTPS works before anybody has set it up.

use std::any::Any;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use loggia_types::{BaseDomain, Hostname, Timestamp};
use pingora::listeners::TlsAccept;
use pingora::listeners::tls::{Acceptor, TlsSettings};
use pingora::protocols::tls::TlsRef;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::config::HttpsConfig;

/// What browsers accept at most (CA/Browser Forum Ballot SC-081 until 2026) is 398 days.
const SELF_SIGNED_VALIDITY: Duration = Duration::days(397);

/// Renewed this long before its end, so that a process that runs for a while never shows an expired one.
const RENEW_BEFORE: Duration = Duration::days(60);

/// Reads certificate and key; HTTP/2 is offered first.
pub fn acceptor(config: &HttpsConfig) -> anyhow::Result<Arc<Acceptor>> {
    let (cert, key) = (config.cert.display(), config.key.display());
    let chain = CertificateDer::pem_file_iter(&config.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("reading the certificate {cert}"))?;
    let private_key = PrivateKeyDer::from_pem_file(&config.key)
        .with_context(|| format!("reading the private key {key}"))?;
    let names = CertificateNames::of(&chain).with_context(|| format!("reading the names of {cert}"))?;
    let provider = CryptoProvider::get_default().context("no TLS provider is installed")?;
    let certified = CertifiedKey::from_der(chain, private_key, provider)
        .with_context(|| format!("the certificate {cert} and the key {key} do not fit together"))?;
    let remember = RememberName { names: Arc::new(names) };
    let mut settings = TlsSettings::with_callbacks(Box::new(remember)).context("preparing TLS")?;
    settings.set_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    settings.enable_h2();
    Ok(Arc::new(settings.build()))
}

/// The names that a certificate is valid for, some with `*` as the first label.
#[derive(Debug)]
struct CertificateNames(Vec<String>);

impl CertificateNames {
    fn of(chain: &[CertificateDer<'_>]) -> anyhow::Result<Self> {
        let leaf = chain.first().context("there is no certificate in it")?;
        let (_, leaf) = X509Certificate::from_der(leaf)?;
        let names = leaf.subject_alternative_name()?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let dns = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        Ok(Self(dns.collect()))
    }

    /// RFC 6125 §6.4.3: `*` stands for exactly one label.
    fn cover(&self, hostname: &Hostname) -> bool {
        let parent = hostname.as_str().split_once('.').map(|(_, parent)| parent);
        self.0.iter().any(|name| match name.strip_prefix("*.") {
            Some(suffix) => parent == Some(suffix),
            None => name == hostname.as_str(),
        })
    }
}

/// What a TLS connection was opened for, and what it was shown.
#[derive(Debug)]
pub(crate) struct ServedName {
    /// SNI. Clients that connect to an address send none.
    asked: Option<String>,
    names: Arc<CertificateNames>,
}

impl ServedName {
    /// Whether a client can rightly believe that this connection speaks for a hostname.
    pub(crate) fn may_serve(&self, hostname: &Hostname) -> bool {
        let Some(asked) = &self.asked else { return true };
        asked.eq_ignore_ascii_case(hostname.as_str()) || self.names.cover(hostname)
    }
}

/// Keeps the name that a handshake asked for with its connection.
struct RememberName {
    names: Arc<CertificateNames>,
}

#[async_trait]
impl TlsAccept for RememberName {
    async fn handshake_complete_callback(&self, tls: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        let asked = tls.server_name().map(str::to_owned);
        Some(Arc::new(ServedName { asked, names: Arc::clone(&self.names) }))
    }
}

/// A certificate for the base domain and every name directly below it, kept in `dir` and made anew when it is
/// missing, for another domain, or near its end. Returns the paths of certificate and key.
pub fn ensure_self_signed(dir: &Path, base_domain: &BaseDomain) -> anyhow::Result<(PathBuf, PathBuf)> {
    ensure_self_signed_at(dir, base_domain, Timestamp::now())
}

fn ensure_self_signed_at(
    dir: &Path,
    base_domain: &BaseDomain,
    now: Timestamp,
) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (cert, key) = (dir.join("self-signed.crt"), dir.join("self-signed.key"));
    if !is_current(&cert, base_domain, now) || !key.exists() {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        write_self_signed(&cert, &key, base_domain, now)
            .with_context(|| format!("making a self-signed certificate in {}", dir.display()))?;
    }
    Ok((cert, key))
}

/// The line above the PEM block, which PEM readers skip (RFC 7468 §2): it spares us an X.509 parser.
fn label(base_domain: &BaseDomain) -> String {
    format!("Self-signed for *.{base_domain} until ")
}

fn is_current(cert: &Path, base_domain: &BaseDomain, now: Timestamp) -> bool {
    let text = fs::read_to_string(cert).unwrap_or_default();
    let until = text.lines().next().and_then(|line| line.strip_prefix(&label(base_domain)));
    let until = until.and_then(|secs| secs.parse().ok()).and_then(Timestamp::from_unix_secs);
    until.is_some_and(|until| now.0 < until.0 - RENEW_BEFORE)
}

fn write_self_signed(
    cert: &Path,
    key: &Path,
    base_domain: &BaseDomain,
    now: Timestamp,
) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(vec![base_domain.to_string(), format!("*.{base_domain}")])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Loggia at {base_domain}"));
    // A clock that is a little behind must not find it «not yet valid».
    params.not_before = now.0 - Duration::days(1);
    params.not_after = now.0 + SELF_SIGNED_VALIDITY;
    let key_pair = KeyPair::generate()?;
    let certificate = params.self_signed(&key_pair)?;
    let until = Timestamp(params.not_after).unix_secs();
    write_atomically(key, 0o600, &key_pair.serialize_pem())?;
    write_atomically(cert, 0o644, &format!("{}{until}\n{}", label(base_domain), certificate.pem()))
}

fn write_atomically(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let temporary = path.with_extension("tmp");
    // A left-over file would keep its own mode.
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(fs::rename(&temporary, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_self_signed_certificate_is_kept_until_it_is_near_its_end() {
        loggia_runtime::install_crypto_provider();
        let dir = tempfile::tempdir().expect("a folder");
        let base: BaseDomain = "localhost".parse().expect("valid");
        let now = Timestamp::now();
        let read = |paths: &(PathBuf, PathBuf)| fs::read_to_string(&paths.0).expect("a certificate");

        let first = ensure_self_signed_at(dir.path(), &base, now).expect("made");
        let (cert, key) = first.clone();
        assert_eq!(fs::metadata(&key).expect("a key").permissions().mode() & 0o777, 0o600);
        let listen = ([127, 0, 0, 1], 0).into();
        acceptor(&HttpsConfig { listen, cert, key }).expect("certificate and key load");

        let text = read(&first);
        let later = Timestamp(now.0 + Duration::days(300));
        assert_eq!(read(&ensure_self_signed_at(dir.path(), &base, later).expect("kept")), text);
        let near_end = Timestamp(now.0 + Duration::days(340));
        let renewed = read(&ensure_self_signed_at(dir.path(), &base, near_end).expect("renewed"));
        assert_ne!(renewed, text);
        let other: BaseDomain = "pages.example.com".parse().expect("valid");
        let moved =
            read(&ensure_self_signed_at(dir.path(), &other, near_end).expect("made for another domain"));
        assert_ne!(moved, renewed);
    }

    #[test]
    fn a_connection_speaks_for_its_name_and_its_certificate() {
        let names = CertificateNames(vec!["localhost".to_owned(), "*.localhost".to_owned()]);
        let mut served = ServedName { asked: Some("Shop.Example".to_owned()), names: Arc::new(names) };
        for (hostname, expected) in [
            ("shop.example", true),
            ("blog.example", false),
            ("localhost", true),
            ("shop.localhost", true),
            ("a.shop.localhost", false),
            ("notlocalhost", false),
        ] {
            let hostname: Hostname = hostname.parse().expect("valid");
            assert_eq!(served.may_serve(&hostname), expected, "{hostname}");
        }
        served.asked = None;
        assert!(
            served.may_serve(&"blog.example".parse().expect("valid")),
            "without SNI nothing was promised"
        );
    }
}
