//! Which addresses a step cannot reach, as policy rules of its own network namespace.
//!
//! Rules (`ip rule`) and not routes, because they also hold for the neighbours on a container network, and because
//! they know ports: a resolver is reachable for DNS and for nothing else. A step has no capability over its
//! namespace, so it cannot take them back.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::str::FromStr;

use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Private and shared networks (RFC 1918, RFC 6598), link-local with the clouds' metadata services (RFC 3927),
/// benchmarking (RFC 2544), multicast and reserved.
const PRIVATE_V4: [&str; 8] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// Unique local (RFC 4193), link-local, and the ways to spell an IPv4 address (NAT64 of RFC 6052, 6to4).
const PRIVATE_V6: [&str; 4] = ["fc00::/7", "fe80::/10", "64:ff9b::/96", "2002::/16"];

/// An IPv4 network such as `10.1.0.0/16`; a bare address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Network {
    address: Ipv4Addr,
    prefix_len: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no IPv4 network, an example is 10.1.0.0/16")]
pub struct InvalidNetwork(String);

impl FromStr for Ipv4Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix_len) = text.split_once('/').unwrap_or((text, "32"));
        match (address.parse(), prefix_len.parse()) {
            (Ok(address), Ok(prefix_len @ 0..=32)) => Ok(Self { address, prefix_len }),
            _ => Err(InvalidNetwork(text.to_owned())),
        }
    }
}

impl fmt::Display for Ipv4Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.prefix_len)
    }
}

/// The rules of one step's network namespace.
#[derive(Debug)]
pub(super) struct Firewall<'a> {
    pub(super) allowed: &'a [Ipv4Network],
    pub(super) blocked: &'a [Ipv4Network],
    /// Reachable for DNS only, wherever they are.
    pub(super) resolvers: Vec<Ipv4Addr>,
    /// This machine's own: a service that listens on all interfaces would answer there.
    pub(super) host_addresses: Vec<IpAddr>,
}

impl Firewall<'_> {
    /// Lines for `ip -4 -batch`: the lower the preference, the earlier a rule is asked.
    fn batch_v4(&self) -> String {
        let mut batch = String::new();
        let mut line = |text: fmt::Arguments<'_>| {
            // Writing to a string does not fail.
            let _ = batch.write_fmt(format_args!("rule add {text}\n"));
        };
        for network in self.allowed {
            line(format_args!("pref 1000 to {network} lookup main"));
        }
        for resolver in &self.resolvers {
            line(format_args!("pref 1100 to {resolver} ipproto udp dport 53 lookup main"));
            line(format_args!("pref 1100 to {resolver} ipproto tcp dport 53 lookup main"));
            line(format_args!("pref 1200 to {resolver} prohibit"));
        }
        for address in self.host_addresses.iter().filter(|address| address.is_ipv4()) {
            line(format_args!("pref 1200 to {address} prohibit"));
        }
        for network in PRIVATE_V4 {
            line(format_args!("pref 1200 to {network} prohibit"));
        }
        for network in self.blocked {
            line(format_args!("pref 1200 to {network} prohibit"));
        }
        batch
    }

    fn batch_v6(&self) -> String {
        let hosts = self.host_addresses.iter().filter(|address| address.is_ipv6()).map(IpAddr::to_string);
        let networks = PRIVATE_V6.iter().map(|network| (*network).to_owned());
        networks.chain(hosts).map(|to| format!("rule add pref 1200 to {to} prohibit\n")).collect()
    }

    /// `enter` is the command that runs `ip` inside the namespace, e.g. `nsenter --net=…`.
    pub(super) async fn raise(&self, ip: &Path, enter: &[String]) -> Result<(), String> {
        run_batch(ip, enter, "-4", &self.batch_v4()).await?;
        // A kernel without IPv6 has nothing to block, and refuses such rules.
        if Path::new("/proc/net/if_inet6").exists() {
            run_batch(ip, enter, "-6", &self.batch_v6()).await?;
        }
        Ok(())
    }
}

async fn run_batch(ip: &Path, enter: &[String], family: &str, batch: &str) -> Result<(), String> {
    let argv =
        [enter, &[ip.display().to_string(), family.to_owned(), "-batch".to_owned(), "-".to_owned()]].concat();
    let output =
        run(&argv, batch.as_bytes()).await.map_err(|cause| format!("{}: {cause}", argv.join(" ")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{} ended with {}: {}", argv.join(" "), output.status, text(&output.stderr)))
}

async fn run(argv: &[String], input: &[u8]) -> std::io::Result<Output> {
    let (program, arguments) = argv.split_first().expect("callers name a program");
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).await?;
    }
    child.wait_with_output().await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[derive(Deserialize)]
struct Interface {
    #[serde(default)]
    addr_info: Vec<InterfaceAddress>,
}

#[derive(Deserialize)]
struct InterfaceAddress {
    local: Option<IpAddr>,
}

/// This machine's addresses now; they change while a builder lives.
pub(super) async fn host_addresses(ip: &Path) -> Result<Vec<IpAddr>, String> {
    let output = Command::new(ip)
        .args(["-json", "address", "show"])
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|cause| format!("{}: {cause}", ip.display()))?;
    parse_addresses(&output.stdout).map_err(|cause| format!("{} -json address show: {cause}", ip.display()))
}

/// Loopback is left out: inside the namespace it is the step's own.
fn parse_addresses(json: &[u8]) -> Result<Vec<IpAddr>, serde_json::Error> {
    let interfaces: Vec<Interface> = serde_json::from_slice(json)?;
    let addresses = interfaces.into_iter().flat_map(|interface| interface.addr_info);
    Ok(addresses.filter_map(|address| address.local).filter(|address| !address.is_loopback()).collect())
}

/// The IPv4 resolvers of a `resolv.conf`. Those on loopback are the namespace's own and need no rule.
pub(super) fn parse_resolvers(resolv_conf: &str) -> Vec<Ipv4Addr> {
    let values = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = values.filter_map(|value| value.trim().parse::<Ipv4Addr>().ok());
    addresses.filter(|address| !address.is_loopback()).collect()
}

/// Where system tools are. Not our `PATH`: it may name folders that others can write to, and some run as root.
const TOOL_DIRS: [&str; 6] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

pub(super) fn find_tool(name: &str) -> Option<PathBuf> {
    TOOL_DIRS.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn networks_are_parsed() {
        let cases = [
            ("10.1.0.0/16", Some("10.1.0.0/16")),
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.1.0.0/33", None),
            ("10.1.0/16", None),
            ("fc00::/7", None),
            ("10.0.0.0/8 lookup main", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let network = text.parse::<Ipv4Network>().ok().map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn exceptions_come_before_resolvers_and_both_before_what_is_blocked() {
        let firewall = Firewall {
            allowed: &["10.9.9.9".parse().unwrap()],
            blocked: &["203.0.113.0/24".parse().unwrap()],
            resolvers: vec![Ipv4Addr::new(10, 0, 2, 3)],
            host_addresses: vec!["192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap()],
        };
        assert_eq!(
            firewall.batch_v4(),
            "rule add pref 1000 to 10.9.9.9/32 lookup main\n\
             rule add pref 1100 to 10.0.2.3 ipproto udp dport 53 lookup main\n\
             rule add pref 1100 to 10.0.2.3 ipproto tcp dport 53 lookup main\n\
             rule add pref 1200 to 10.0.2.3 prohibit\n\
             rule add pref 1200 to 192.0.2.2 prohibit\n\
             rule add pref 1200 to 10.0.0.0/8 prohibit\n\
             rule add pref 1200 to 100.64.0.0/10 prohibit\n\
             rule add pref 1200 to 169.254.0.0/16 prohibit\n\
             rule add pref 1200 to 172.16.0.0/12 prohibit\n\
             rule add pref 1200 to 192.168.0.0/16 prohibit\n\
             rule add pref 1200 to 198.18.0.0/15 prohibit\n\
             rule add pref 1200 to 224.0.0.0/4 prohibit\n\
             rule add pref 1200 to 240.0.0.0/4 prohibit\n\
             rule add pref 1200 to 203.0.113.0/24 prohibit\n"
        );
        assert!(firewall.batch_v6().contains("to 2001:db8::2 prohibit\n"));
    }

    #[test]
    fn addresses_and_resolvers_are_read_from_what_the_system_prints() {
        let json = br#"[{"ifname":"lo","addr_info":[{"local":"127.0.0.1"},{"local":"::1"}]},
            {"ifname":"ifb0"},{"ifname":"eth0","addr_info":[{"local":"192.0.2.2"},{"local":"fd00::2"}]}]"#;
        let expected: Vec<IpAddr> = vec!["192.0.2.2".parse().unwrap(), "fd00::2".parse().unwrap()];
        assert_eq!(parse_addresses(json).unwrap(), expected);

        let resolv_conf = "# nameserver 1.1.1.1\nnameserver 10.0.0.53\nnameserver\t127.0.0.11\nnameserver fd00::1\nsearch a.b\n";
        assert_eq!(parse_resolvers(resolv_conf), [Ipv4Addr::new(10, 0, 0, 53)]);
    }
}
