//! Who asks: the address behind a connection, and behind the proxies that we trust.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::HeaderMap;
use ipnet::IpNet;

/// The client of a request, as far as we can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    pub ip: IpAddr,
    /// Whether the client's own connection is encrypted: ours, or the one to a trusted hop.
    pub is_https: bool,
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 site gets at least (RFC 6177), in which a
/// client takes any address that it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(ip) => Self(IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64))),
            ip => Self(ip),
        }
    }
}

/// Proxies in front of a process, whose `X-Forwarded-*` are believed. From anybody else they mean nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedHops(Vec<IpNet>);

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither an address nor a network like 10.0.0.0/8")]
pub struct InvalidHop(String);

impl FromStr for TrustedHops {
    type Err = InvalidHop;

    /// Addresses and networks, separated by commas.
    fn from_str(text: &str) -> Result<Self, InvalidHop> {
        let hop = |item: &str| match item.parse::<IpAddr>() {
            Ok(ip) => Ok(IpNet::from(ip)),
            Err(_) => item.parse().map_err(|_| InvalidHop(item.to_owned())),
        };
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Ok(Self(items.map(hop).collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for TrustedHops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hops: Vec<String> = self.0.iter().map(IpNet::to_string).collect();
        f.write_str(&hops.join(","))
    }
}

impl TrustedHops {
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|hop| hop.contains(&ip.to_canonical()))
    }

    /// The client of a request that came from `peer`, over TLS or not.
    pub fn client(&self, peer: IpAddr, is_tls: bool, headers: &HeaderMap) -> ClientAddress {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return ClientAddress { ip: peer, is_https: is_tls };
        }
        let lines = |name| headers.get_all(name).into_iter().map(http::HeaderValue::as_bytes);
        self.client_of_hop(peer, is_tls, lines("x-forwarded-for"), lines("x-forwarded-proto"))
    }

    /// The client of a request that a hop passed on, with the lines of `X-Forwarded-For` and `X-Forwarded-Proto`.
    pub fn client_of_hop<'h>(
        &self,
        peer: IpAddr,
        is_tls: bool,
        forwarded_for: impl DoubleEndedIterator<Item = &'h [u8]>,
        forwarded_proto: impl DoubleEndedIterator<Item = &'h [u8]>,
    ) -> ClientAddress {
        let is_https =
            items(forwarded_proto).next().map_or(is_tls, |proto| proto.eq_ignore_ascii_case("https"));
        ClientAddress { ip: self.forwarded(peer, forwarded_for), is_https }
    }

    /// Each hop appends whom it heard, so what stands left of an address that we don't trust is that one's claim.
    fn forwarded<'h>(&self, peer: IpAddr, lines: impl DoubleEndedIterator<Item = &'h [u8]>) -> IpAddr {
        let mut known = peer;
        for item in items(lines) {
            let Ok(ip) = item.parse::<IpAddr>() else { break };
            known = ip.to_canonical();
            if !self.contains(known) {
                break;
            }
        }
        known
    }
}

/// The items of a list header, the last one first.
fn items<'h>(lines: impl DoubleEndedIterator<Item = &'h [u8]>) -> impl Iterator<Item = &'h str> {
    let text = |line: &'h [u8]| std::str::from_utf8(line).unwrap_or_default();
    lines.rev().flat_map(move |line| text(line).rsplit(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_hops_are_believed() {
        let hops: TrustedHops = "10.0.0.0/8, 192.0.2.7,fd00::/8".parse().expect("valid");
        assert_eq!(hops.to_string(), "10.0.0.0/8,192.0.2.7/32,fd00::/8");
        let cases: &[(&str, &[&str], &str)] = &[
            // peer, X-Forwarded-For, client
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("10.1.2.3", &[], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", &["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", &["1.2.3.4, 198.51.100.1, 192.0.2.7"], "198.51.100.1"),
            ("10.1.2.3", &["1.2.3.4", "198.51.100.1", "10.9.9.9"], "198.51.100.1"),
            ("10.1.2.3", &["198.51.100.1, garbage"], "10.1.2.3"),
            ("10.1.2.3", &["10.4.4.4"], "10.4.4.4"),
            ("::ffff:10.1.2.3", &["2001:db8::1"], "2001:db8::1"),
        ];
        for (peer, forwarded, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *forwarded {
                headers.append("x-forwarded-for", line.parse().expect("a value"));
            }
            let client = hops.client(peer.parse().expect("an address"), false, &headers);
            assert_eq!(client.ip.to_string(), *expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn the_scheme_is_ours_or_the_hops() {
        let hops: TrustedHops = "10.0.0.0/8".parse().expect("valid");
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-forwarded-proto"),
            http::HeaderValue::from_static("http, HTTPS"),
        )]);
        let is_https =
            |peer: &str, is_tls| hops.client(peer.parse().expect("an address"), is_tls, &headers).is_https;
        assert!(is_https("10.0.0.1", false));
        assert!(!is_https("203.0.113.9", false));
        assert!(is_https("203.0.113.9", true));
    }

    #[test]
    fn one_network_is_one_client() {
        let network = |text: &str| Network::of(text.parse().expect("an address"));
        assert_eq!(network("2001:db8:0:1::5"), network("2001:db8:0:1:ffff::"));
        assert_ne!(network("2001:db8:0:1::5"), network("2001:db8:0:2::5"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert!("10.0.0.0/99".parse::<TrustedHops>().is_err());
    }
}
