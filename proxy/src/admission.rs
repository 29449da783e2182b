//! What every request has to pass, whichever way it came: the right connection, and not too many of its kind.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use loggia_types::CountryCode;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora_limits::rate::Rate;

use crate::client_address::{ClientAddress, Network, TrustedHops};
use crate::config::Protection;
use crate::connection::counters::{Counters, count};
use crate::request;
use crate::tls::ServedName;
use loggia_serve::pages::Page;

pub(crate) struct Admission {
    hops: TrustedHops,
    country_header: Option<HeaderName>,
    requests_per_second: u32,
    rate: Rate,
    counters: Arc<Counters>,
}

impl Admission {
    pub(crate) fn new(protection: &Protection, counters: Arc<Counters>) -> Self {
        Self {
            hops: protection.trusted_hops.clone(),
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
        self.hops.country(peer(session)?, name, &session.req_header().headers)
    }

    /// Whether nobody that we know of stands between us and the client.
    pub(crate) fn is_direct(&self, session: &ServerSession) -> bool {
        let peer = session.client_addr().and_then(|addr| addr.as_inet());
        peer.is_some_and(|peer| !self.hops.contains(peer.ip()))
    }

    fn client_of(&self, peer: IpAddr, is_tls: bool, headers: &HeaderMap) -> ClientAddress {
        self.hops.client(peer, is_tls, headers)
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
