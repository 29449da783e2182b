//! What every request has to pass, whichever way it came: the right connection, and not too many of its kind.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use loggia_runtime::Secret;
use loggia_types::CountryCode;
use pingora::http::RequestHeader;
use pingora::protocols::SocketDigest;
use pingora::protocols::http::ServerSession;
use pingora::protocols::tls::SslDigest;
use pingora_limits::rate::Rate;
use subtle::ConstantTimeEq;

use crate::answers::Audience;
use crate::at_hand::Peer;
use loggia_runtime::{ClientAddress, Network, TrustedHops};

use crate::config::{CdnConfig, Protection};
use crate::connection::counters::{Counters, count};
use crate::country::country;
use crate::request;
use crate::tls::ServedName;
use loggia_serve::pages::Page;

/// What a person sends who wants to see what a CDN is told; the name is Fastly's.
pub(crate) const FASTLY_DEBUG: HeaderName = HeaderName::from_static("fastly-debug");

pub(crate) struct Admission {
    hops: TrustedHops,
    cdns: TrustedHops,
    debug_secret: Option<Secret>,
    country_header: Option<HeaderName>,
    requests_per_second: u32,
    rate: Rate,
    counters: Arc<Counters>,
}

impl Admission {
    pub(crate) fn new(protection: &Protection, cdn: &CdnConfig, counters: Arc<Counters>) -> Self {
        Self {
            hops: protection.trusted_hops.clone(),
            cdns: cdn.addresses.clone(),
            debug_secret: cdn.debug_secret.clone(),
            country_header: protection.country_header.clone(),
            requests_per_second: protection.requests_per_second,
            rate: Rate::new(Duration::from_secs(1)),
            counters,
        }
    }

    /// Whose request this is. `None` for a socket without an address, which no client has.
    pub(crate) fn client(&self, session: &ServerSession) -> Option<ClientAddress> {
        let peer = peer(session)?;
        let is_tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        Some(self.client_of(peer, is_tls, &session.req_header().headers))
    }

    /// Where the visitor is, when a trusted hop says so.
    pub(crate) fn country(&self, session: &ServerSession) -> Option<CountryCode> {
        let name = self.country_header.as_ref()?;
        country(&self.hops, peer(session)?, name, &session.req_header().headers)
    }

    /// Who hears how a CDN may keep an answer: CDNs that we were told of, and whoever knows the secret.
    pub(crate) fn audience(&self, session: &ServerSession) -> Audience {
        let is_cdn = peer(session).is_some_and(|peer| self.cdns.contains(peer));
        let shown = session.req_header().headers.get(FASTLY_DEBUG);
        let knows = |secret: &Secret| {
            shown.is_some_and(|shown| shown.as_bytes().ct_eq(secret.reveal().as_bytes()).into())
        };
        if is_cdn || self.debug_secret.as_ref().is_some_and(knows) { Audience::Cdn } else { Audience::Public }
    }

    /// Whether nobody that we know of stands between us and the client.
    pub(crate) fn is_direct(&self, session: &ServerSession) -> bool {
        let peer = session.client_addr().and_then(|addr| addr.as_inet());
        peer.is_some_and(|peer| !self.hops.contains(peer.ip()))
    }

    fn client_of(&self, peer: IpAddr, is_tls: bool, headers: &HeaderMap) -> ClientAddress {
        self.hops.client(peer, is_tls, headers)
    }

    /// What is known about a connection, whatever comes on it. `None` for a socket without an address.
    pub(crate) fn peer(&self, socket: Option<&SocketDigest>, tls: Option<Arc<SslDigest>>) -> Option<Peer> {
        let ip = socket?.peer_addr()?.as_inet()?.ip().to_canonical();
        let audience = if self.cdns.contains(ip) { Audience::Cdn } else { Audience::Public };
        Some(Peer { ip, is_tls: tls.is_some(), is_hop: self.hops.contains(ip), audience, served: tls })
    }

    /// The client behind a peer, which is the peer itself unless it is a hop.
    pub(crate) fn client_behind(
        &self,
        peer: &Peer,
        forwarded_for: Option<&[u8]>,
        forwarded_proto: Option<&[u8]>,
    ) -> ClientAddress {
        if !peer.is_hop {
            return ClientAddress { ip: peer.ip, is_https: peer.is_tls };
        }
        self.hops.client_of_hop(peer.ip, peer.is_tls, forwarded_for.into_iter(), forwarded_proto.into_iter())
    }

    /// Whether this client may have one more answer now; counts it.
    pub(crate) fn has_room(&self, client: ClientAddress) -> bool {
        self.check_rate(client).is_ok()
    }

    /// Lets a request pass, or tells what to answer instead. The connection can be used again either way.
    pub(crate) fn admit(&self, session: &ServerSession) -> Result<(), Page> {
        let tls = session.digest().and_then(|digest| digest.ssl_digest.as_ref());
        let name = tls.and_then(|tls| tls.extension.get::<ServedName>());
        self.check_name(name, session.req_header())?;
        self.client(session).map_or(Ok(()), |client| self.check_rate(client))
    }

    /// RFC 9110 §15.5.20: a client that reuses a connection for a name which its certificate does not have believes
    /// more than it was shown.
    fn check_name(&self, name: Option<&ServedName>, head: &RequestHeader) -> Result<(), Page> {
        let Some(name) = name else { return Ok(()) };
        // A host that is none is refused with more words later.
        let Ok(hostname) = request::admit(head) else { return Ok(()) };
        if name.may_serve(&hostname) {
            return Ok(());
        }
        count(&self.counters.requests_misdirected);
        Err(Page::misdirected(&hostname))
    }

    fn check_rate(&self, client: ClientAddress) -> Result<(), Page> {
        if self.requests_per_second == 0 {
            return Ok(());
        }
        let seen = self.rate.observe(&Network::of(client.ip), 1);
        if u32::try_from(seen).unwrap_or(u32::MAX) <= self.requests_per_second {
            return Ok(());
        }
        count(&self.counters.requests_limited);
        Err(Page::too_many_requests())
    }
}

fn peer(session: &ServerSession) -> Option<IpAddr> {
    Some(session.client_addr()?.as_inet()?.ip())
}
