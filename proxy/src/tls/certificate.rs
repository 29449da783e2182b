//! One certificate with its key, ready for handshakes.

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use loggia_types::{Hostname, Timestamp};
use pingora::listeners::TlsAccept;
use pingora::listeners::tls::{Acceptor, TlsSettings};
use pingora::protocols::tls::TlsRef;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::ServedName;
use crate::config::CertificateFiles;

/// A chain of three certificates with 100 names is 20 KB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// For clients of TLS 1.2 that take no tickets. A session is some 200 bytes: 4 MB.
const SESSIONS_MAX: usize = 20_000;

/// What a client needs to come back without a whole handshake.
///
/// All certificates share it: a session is only taken up again for the name that it was opened for (rustls compares
/// them, RFC 6066 §3).
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    /// Tickets keep the server's part with the client. Their keys change every six hours, and live in memory alone.
    tickets: Arc<dyn ProducesTickets>,
    cache: Arc<dyn StoresServerSessions>,
}

impl Sessions {
    pub(super) fn new() -> anyhow::Result<Self> {
        let tickets = Ticketer::new().context("making the keys of session tickets")?;
        Ok(Self { tickets, cache: ServerSessionMemoryCache::new(SESSIONS_MAX) })
    }
}

pub(super) struct Certificate {
    names: Arc<Names>,
    begins: Timestamp,
    ends: Timestamp,
    chain: Vec<CertificateDer<'static>>,
    acceptor: Acceptor,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} until {})", self.names, self.ends.0)
    }
}

impl Certificate {
    /// Reads both files. Whether its time has come is not asked here.
    pub(super) fn read(files: &CertificateFiles, sessions: &Sessions) -> anyhow::Result<Self> {
        let (cert, key) = (files.cert.display(), files.key.display());
        let chain = CertificateDer::pem_slice_iter(&read(&files.cert)?)
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("{cert} is not PEM"))?;
        let private_key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
            .with_context(|| format!("{key} holds no private key in PEM"))?;
        let Some(leaf) = chain.first() else { bail!("{cert} holds no certificate in PEM") };
        let facts = Facts::of(leaf).with_context(|| format!("the certificate in {cert} cannot be read"))?;
        let provider = CryptoProvider::get_default().context("no TLS provider is installed")?;
        let certified = CertifiedKey::from_der(chain.clone(), private_key, provider)
            .with_context(|| format!("the certificate {cert} and the key {key} do not fit together"))?;
        let names = Arc::new(facts.names);
        let acceptor = acceptor(certified, Arc::clone(&names), sessions)?;
        Ok(Self { names, begins: facts.begins, ends: facts.ends, chain, acceptor })
    }

    /// Tells why clients would refuse it at this time.
    pub(super) fn check_time(&self, now: Timestamp) -> anyhow::Result<()> {
        ensure!(now.0 <= self.ends.0, "it ended at {}", self.ends.0);
        ensure!(self.begins.0 <= now.0, "it begins at {}", self.begins.0);
        Ok(())
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn ends(&self) -> Timestamp {
        self.ends
    }

    pub(super) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let is_whole = bytes.len() as u64 <= FILE_BYTES_MAX;
    ensure!(is_whole, "{} is larger than {FILE_BYTES_MAX} bytes", path.display());
    Ok(bytes)
}

fn acceptor(certified: CertifiedKey, names: Arc<Names>, sessions: &Sessions) -> anyhow::Result<Acceptor> {
    let mut settings =
        TlsSettings::with_callbacks(Box::new(RememberName { names })).context("preparing TLS")?;
    settings.set_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    settings.enable_h2();
    let mut acceptor = settings.build();
    // The settings know nothing of sessions.
    let mut config = ServerConfig::clone(acceptor.acceptor.config());
    config.ticketer = Arc::clone(&sessions.tickets);
    config.session_storage = Arc::clone(&sessions.cache);
    acceptor.acceptor = Arc::new(config).into();
    Ok(acceptor)
}

/// Keeps the name that a handshake asked for with its connection, and those of the certificate that it was shown.
struct RememberName {
    names: Arc<Names>,
}

#[async_trait]
impl TlsAccept for RememberName {
    async fn handshake_complete_callback(&self, tls: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        let asked = tls.server_name().map(str::to_owned);
        Some(Arc::new(ServedName { asked, names: Arc::clone(&self.names) }))
    }
}

/// What is read from a certificate itself.
struct Facts {
    names: Names,
    begins: Timestamp,
    ends: Timestamp,
}

impl Facts {
    fn of(leaf: &CertificateDer<'_>) -> anyhow::Result<Self> {
        let (_, leaf) = X509Certificate::from_der(leaf)?;
        let names = leaf.subject_alternative_name()?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        });
        let validity = leaf.validity();
        Ok(Self {
            names: Names::new(names),
            begins: Timestamp(validity.not_before.to_datetime()),
            ends: Timestamp(validity.not_after.to_datetime()),
        })
    }
}

/// The names that a certificate is valid for, in lower case, some with `*` as the first label.
#[derive(Debug)]
pub(super) struct Names(Vec<String>);

impl Names {
    pub(super) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self(names.into_iter().map(str::to_ascii_lowercase).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// RFC 6125 §6.4.3: `*` stands for exactly one label.
    pub(super) fn cover(&self, hostname: &Hostname) -> bool {
        let parent = hostname.as_str().split_once('.').map(|(_, parent)| parent);
        self.iter().any(|name| match name.strip_prefix("*.") {
            Some(suffix) => parent == Some(suffix),
            None => name == hostname.as_str(),
        })
    }
}

impl fmt::Display for Names {
    /// All of a few; of many the first ones, so that a log line stays one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 5;
        let shown: Vec<&str> = self.iter().take(SHOWN_MAX).collect();
        f.write_str(&shown.join(", "))?;
        match self.0.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
