//! The fast way: a plain request whose answer is at hand is answered without the proxy's phases.
//!
//! It decides nothing and checks no less. What it sends was decided by the phases for a request of the very same address
//! and headers ([`crate::answers`]); whatever is not plain, or not at hand, goes to them, which then leave their answer
//! here for the next one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use pingora::protocols::tls::SslDigest;

use crate::answers::{Audience, Fields, Hit, Question};
use crate::service::EdgeService;
use crate::tls::ServedName;
use loggia_runtime::ClientAddress;

/// A GET without anything that would need more than its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain<'r> {
    pub protocol: &'static str,
    /// As it was sent.
    pub host: &'r [u8],
    /// A path and perhaps a query.
    pub target: &'r [u8],
    pub fields: Fields<'r>,
    pub user_agent: Option<&'r [u8]>,
    pub referer: Option<&'r [u8]>,
    pub forwarded_for: Option<&'r [u8]>,
    pub forwarded_proto: Option<&'r [u8]>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub ip: IpAddr,
    pub is_tls: bool,
    /// Its `X-Forwarded-*` are believed.
    pub is_hop: bool,
    pub audience: Audience,
    /// The connection's own names, over TLS.
    pub served: Option<Arc<SslDigest>>,
}

impl Peer {
    fn may_ask_for(&self, hostname: &loggia_types::Hostname) -> bool {
        let served = self.served.as_ref().and_then(|tls| tls.extension.get::<ServedName>());
        served.is_none_or(|name| name.may_serve(hostname))
    }
}

impl EdgeService {
    /// The answer to a plain request, and whose it is; `None` when the phases have to answer. The buffer saves an
    /// allocation; what is in it does not matter.
    pub(crate) fn at_hand(
        &self,
        plain: &Plain<'_>,
        peer: &Peer,
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Option<(Hit, ClientAddress)> {
        let client = self.admission.client_behind(peer, plain.forwarded_for, plain.forwarded_proto);
        let (is_https, audience) = (client.is_https, peer.audience);
        let question = Question::write(buffer, plain.host, plain.target, is_https, audience, &plain.fields)?;
        let hit = self.answers.find(question, audience, &self.routes, &self.bodies, now)?;
        let is_admitted =
            peer.may_ask_for(&hit.answer.resolved.route.hostname) && self.admission.has_room(client);
        is_admitted.then_some((hit, client))
    }
}
