//! HTTPS: which certificate a client is shown, and what a connection may then be used for.
//!
//! ```text
//! self_signed  a certificate of our own, so that HTTPS works before anybody has set it up
//! folder       which files belong together; what a file looked like when it was read
//! certificate  one certificate with its key, ready for handshakes
//! index        name -> certificate; pure
//! shelf        all of them: read, kept when a new version is of no use, read again when they change
//! hello        the name that a client asks for, before any certificate is chosen
//! ```
//!
//! A handshake looks at memory only. The files are looked at by a task of its own ([`follow`]).

mod certificate;
mod folder;
mod hello;
mod index;
mod self_signed;
mod shelf;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use loggia_types::{Hostname, Timestamp};
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as L4Stream;
use tracing::{debug, error};

use self::certificate::Names;
use self::hello::{Alert, Hello};
use self::index::Index;
pub(crate) use self::shelf::Shelf;
use crate::config::HttpsConfig;
use crate::metrics::{HandshakeFailure, Metrics};

pub use self::self_signed::ensure_self_signed;

/// How long a person waits who tries things out.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looking takes at most a fiftieth of one core. Of 10,000 pairs it took 0.1 s, so they are looked at every 5 s.
const PAUSE_PER_LOOK: u32 = 50;

/// What handshakes use. It is replaced as a whole, so that each sees one state of all certificates.
pub(crate) struct Certificates {
    index: ArcSwap<Index>,
}

impl Certificates {
    /// Reads everything.
    ///
    /// # Errors
    /// There is nothing to show to anybody: the message names the files and what is wrong with them.
    pub(crate) fn load(config: &HttpsConfig, metrics: &Metrics) -> anyhow::Result<(Arc<Self>, Shelf)> {
        let shelf = Shelf::open(config, Timestamp::now())?;
        metrics.certificates.set(shelf.counts());
        Ok((Arc::new(Self { index: ArcSwap::from_pointee(shelf.index()) }), shelf))
    }

    /// A handshake, with the certificate for the name that the client asks for.
    pub(crate) async fn handshake(&self, mut stream: L4Stream) -> Result<Stream, HandshakeFailure> {
        let Some(Hello { name, bytes }) = hello::read(&mut stream).await else {
            return Err(HandshakeFailure::Refused);
        };
        let certificate = self.index.load().find(name.as_deref()).map(Arc::clone);
        let Some(certificate) = certificate else {
            debug!(?name, "There is no certificate for a name that was asked for");
            let alert = if name.is_some() { Alert::UnrecognizedName } else { Alert::MissingExtension };
            hello::refuse(&mut stream, alert).await;
            return Err(HandshakeFailure::NoCertificate);
        };
        stream.rewind(&bytes);
        match certificate.acceptor().tls_handshake(stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                debug!(%error, "A TLS handshake failed: {error}");
                Err(HandshakeFailure::Refused)
            }
        }
    }
}

/// Looks at the files again and again; what changed is used from the next handshake on.
pub(crate) async fn follow(certificates: Arc<Certificates>, mut shelf: Shelf, metrics: Arc<Metrics>) {
    let mut took = Duration::ZERO;
    loop {
        tokio::time::sleep(LOOK_EVERY.max(took * PAUSE_PER_LOOK)).await;
        let began = Instant::now();
        let look = tokio::task::spawn_blocking(move || {
            let has_changed = shelf.look(Timestamp::now());
            (shelf, has_changed)
        });
        let has_changed = match look.await {
            Ok((returned, has_changed)) => {
                shelf = returned;
                has_changed
            }
            Err(cause) => return error!(error = %cause, "Certificates are not read again: {cause}"),
        };
        took = began.elapsed();
        metrics.certificates.set(shelf.counts());
        if has_changed {
            certificates.index.store(Arc::new(shelf.index()));
        }
    }
}

/// What a TLS connection was opened for, and what it was shown.
#[derive(Debug)]
pub(crate) struct ServedName {
    /// SNI. Clients that connect to an address send none.
    asked: Option<String>,
    names: Arc<Names>,
}

impl ServedName {
    /// Whether a client can rightly believe that this connection speaks for a hostname.
    pub(crate) fn may_serve(&self, hostname: &Hostname) -> bool {
        let Some(asked) = &self.asked else { return true };
        asked.eq_ignore_ascii_case(hostname.as_str()) || self.names.cover(hostname)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_speaks_for_its_name_and_its_certificate() {
        let names = Names::new(["localhost", "*.localhost"]);
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
