//! Cloudflare's proxy, which answers in place of what it leads to.

use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;

/// www.cloudflare.com/ips, unchanged since 2021. An address that is missing here is taken for somebody else's server, and the
/// advice is only less to the point.
const NETWORKS: [&str; 22] = [
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "108.162.192.0/18",
    "131.0.72.0/22",
    "141.101.64.0/18",
    "162.158.0.0/15",
    "172.64.0.0/13",
    "173.245.48.0/20",
    "188.114.96.0/20",
    "190.93.240.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "2400:cb00::/32",
    "2405:8100::/32",
    "2405:b500::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

static PARSED: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| NETWORKS.iter().map(|text| text.parse().expect("a network")).collect());

pub(super) fn is_address_of(address: IpAddr) -> bool {
    PARSED.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_networks_are_known() {
        for (address, expected) in [
            ("104.16.0.1", true),
            ("172.71.255.255", true),
            ("172.72.0.0", false),
            ("192.0.2.1", false),
            ("2606:4700::1111", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_address_of(address.parse().expect("valid")), expected, "{address}");
        }
    }
}
