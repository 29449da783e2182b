//! What only trusted hops are believed about a visitor.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use loggia_runtime::TrustedHops;
use loggia_types::CountryCode;

/// The country that a trusted hop names. Two lines of the header are one that the hop passed on without looking.
pub(crate) fn country(
    hops: &TrustedHops,
    peer: IpAddr,
    name: &HeaderName,
    headers: &HeaderMap,
) -> Option<CountryCode> {
    let mut lines = headers.get_all(name).into_iter();
    let (line, second) = (lines.next()?, lines.next());
    let is_believed = second.is_none() && hops.contains(peer);
    is_believed.then(|| line.to_str().ok()?.trim().parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_letters_that_a_trusted_hop_names_once() {
        let hops: TrustedHops = "10.0.0.0/8".parse().expect("valid");
        let name = HeaderName::from_static("cf-ipcountry");
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            ("10.0.0.1", &["DE"], Some("DE")),
            ("::ffff:10.0.0.1", &[" de "], Some("DE")),
            ("203.0.113.9", &["DE"], None),
            ("10.0.0.1", &[], None),
            ("10.0.0.1", &[""], None),
            ("10.0.0.1", &["T1"], None),
            ("10.0.0.1", &["DEU"], None),
            ("10.0.0.1", &["DE, FR"], None),
            ("10.0.0.1", &["DE", "FR"], None),
        ];
        for (peer, lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(&name, line.parse().expect("a value"));
            }
            let found = country(&hops, peer.parse().expect("an address"), &name, &headers);
            assert_eq!(found.as_ref().map(CountryCode::as_str), *expected, "{peer} {lines:?}");
        }
    }
}
