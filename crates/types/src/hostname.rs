//! Hostnames: what a visitor asked for, normalised, and which of our own names it is.

use std::str::FromStr;
use std::sync::Arc;

use crate::alias::AliasLabel;
use crate::id::DeploymentId;
use crate::slug::ProjectSlug;

/// RFC 1035 §2.3.4, without the root dot.
pub const HOSTNAME_LEN_MAX: usize = 253;
const LABEL_LEN_MAX: usize = 63;

/// A lower-case DNS name in ASCII (A-labels for international names), without port or root dot.
///
/// Cheap to clone: an edge holds a million, each in two places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(Arc<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHostname {
    #[error("a hostname can't be empty")]
    Empty,
    #[error("a hostname has at most {HOSTNAME_LEN_MAX} characters")]
    TooLong,
    #[error("{0:?} is not a hostname; write it like shop.example.com")]
    Syntax(String),
}

impl Hostname {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its first label; `None` for a single label.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once('.').map(|(_, parent)| Self(parent.into()))
    }

    /// Whether it is this name or one below it.
    pub fn is_within(&self, other: &Self) -> bool {
        let rest = self.0.strip_suffix(other.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// Parses the value of a `Host` header or an `:authority`: a hostname with an optional port.
    ///
    /// Only ASCII is accepted here (RFC 9110 §7.2): a browser sends A-labels.
    pub fn from_host_header(value: &str) -> Result<Self, InvalidHostname> {
        let host = match value.rsplit_once(':') {
            Some((host, port)) => {
                let port_ok = port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
                if !port_ok {
                    return Err(InvalidHostname::Syntax(shortened(value)));
                }
                host
            }
            None => value,
        };
        Self::from_ascii(host)
    }

    fn from_ascii(text: &str) -> Result<Self, InvalidHostname> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(InvalidHostname::Empty);
        }
        if name.len() > HOSTNAME_LEN_MAX {
            return Err(InvalidHostname::TooLong);
        }
        if !name.split('.').all(is_label) {
            return Err(InvalidHostname::Syntax(shortened(text)));
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }
}

/// Letters, digits, hyphens inside (RFC 1123 §2.1), and `_`, which real names use too.
fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    bytes.len() <= LABEL_LEN_MAX
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl FromStr for Hostname {
    type Err = InvalidHostname;

    /// Accepts what a person types, international names included (UTS 46).
    fn from_str(text: &str) -> Result<Self, InvalidHostname> {
        if text.is_ascii() {
            return Self::from_ascii(text);
        }
        let ascii =
            idna::domain_to_ascii_strict(text).map_err(|_| InvalidHostname::Syntax(shortened(text)))?;
        Self::from_ascii(&ascii)
    }
}

text_type!(Hostname, example = "www.example.com");

/// The domain below which every project has its hostnames, e.g. `localhost` or `pages.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseDomain(Hostname);

/// Which of the platform's own names a hostname is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostnameKind {
    /// `{slug}.{base}`
    Production(ProjectSlug),
    /// `{label}--{slug}.{base}`
    Alias(AliasLabel, ProjectSlug),
    /// `d-{id}--{slug}.{base}`, permanent
    Deployment(DeploymentId, ProjectSlug),
    /// Below the base domain, but no name that a project can have.
    Unused,
    /// Anything else: a domain that a user may have attached.
    Domain,
}

impl BaseDomain {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub fn hostname(&self) -> &Hostname {
        &self.0
    }

    pub fn production(&self, slug: &ProjectSlug) -> Hostname {
        Hostname(format!("{slug}.{}", self.0).into())
    }

    pub fn alias(&self, label: &AliasLabel, slug: &ProjectSlug) -> Hostname {
        Hostname(format!("{label}--{slug}.{}", self.0).into())
    }

    pub fn deployment(&self, id: DeploymentId, slug: &ProjectSlug) -> Hostname {
        Hostname(format!("d-{id}--{slug}.{}", self.0).into())
    }

    /// Tells the platform's own names from attached domains.
    pub fn classify(&self, hostname: &Hostname) -> HostnameKind {
        let name = hostname.as_str();
        if name == self.as_str() {
            return HostnameKind::Unused;
        }
        let Some(rest) = name.strip_suffix(self.as_str()).and_then(|rest| rest.strip_suffix('.')) else {
            return HostnameKind::Domain;
        };
        // Hostnames have no dots below the base: `a.b.localhost` is nobody's.
        let parsed = match rest.split_once("--") {
            None => rest.parse().ok().map(HostnameKind::Production),
            Some((label, slug)) => {
                slug.parse::<ProjectSlug>().ok().and_then(|slug| classify_label(label, slug))
            }
        };
        parsed.unwrap_or(HostnameKind::Unused)
    }
}

fn classify_label(label: &str, slug: ProjectSlug) -> Option<HostnameKind> {
    if let Some(id) = label.strip_prefix("d-").and_then(|id| id.parse().ok()) {
        return Some(HostnameKind::Deployment(id, slug));
    }
    label.parse().ok().map(|label| HostnameKind::Alias(label, slug))
}

impl FromStr for BaseDomain {
    type Err = InvalidHostname;
    fn from_str(text: &str) -> Result<Self, InvalidHostname> {
        text.parse().map(Self)
    }
}

text_type!(BaseDomain);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn host_headers_become_hostnames_or_errors() {
        let cases: &[(&str, Option<&str>)] = &[
            ("shop.localhost", Some("shop.localhost")),
            ("SHOP.Localhost:8080", Some("shop.localhost")),
            ("shop.localhost.", Some("shop.localhost")),
            ("shop.localhost.:80", Some("shop.localhost")),
            ("127.0.0.1:8080", Some("127.0.0.1")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("shop.localhost:", Some("shop.localhost")),
            ("", None),
            (":80", None),
            (".", None),
            ("a..b", None),
            ("shop.localhost:80x", None),
            ("shop.localhost:123456", None),
            ("[::1]:8080", None),
            ("user@shop.localhost", None),
            ("shop.localhost/..", None),
            ("-a.localhost", None),
            ("a b", None),
            ("bücher.example", None),
        ];
        for (value, expected) in cases {
            let parsed = Hostname::from_host_header(value).ok();
            assert_eq!(parsed.as_ref().map(Hostname::as_str), *expected, "{value:?}");
        }
        assert!(Hostname::from_host_header(&format!("{}.com", "a".repeat(64))).is_err());
        assert!(Hostname::from_host_header(&"a.".repeat(127)).is_ok());
        assert!(Hostname::from_host_header(&"a.".repeat(128)).is_err());
    }

    #[test]
    fn people_may_type_international_names() {
        let hostname: Hostname = "Bücher.example".parse().expect("a valid name");
        assert_eq!(hostname.as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn names_below_the_base_are_told_apart() {
        let base: BaseDomain = "pages.example.com".parse().expect("a valid name");
        let id = DeploymentId::from_parts(1_700_000_000_000, 7);
        let cases = [
            ("shop.pages.example.com".to_owned(), "production shop"),
            ("main--shop.pages.example.com".to_owned(), "alias main shop"),
            ("a--b--c.pages.example.com".to_owned(), "unused"), // a slug has no `--`
            (format!("d-{id}--shop.pages.example.com"), "deployment shop"),
            ("d-short--shop.pages.example.com".to_owned(), "alias d-short shop"),
            ("a.shop.pages.example.com".to_owned(), "unused"),
            ("pages.example.com".to_owned(), "unused"),
            ("www.pages.example.com".to_owned(), "unused"),
            ("evilpages.example.com".to_owned(), "domain"),
            ("shop.example.com".to_owned(), "domain"),
            ("--shop.pages.example.com".to_owned(), "invalid"),
        ];
        for (name, expected) in cases {
            let Ok(hostname) = name.parse::<Hostname>() else {
                assert_eq!(expected, "invalid", "{name}");
                continue;
            };
            let told = match base.classify(&hostname) {
                HostnameKind::Production(slug) => format!("production {slug}"),
                HostnameKind::Alias(label, slug) => format!("alias {label} {slug}"),
                HostnameKind::Deployment(found, slug) => {
                    assert_eq!(found, id);
                    format!("deployment {slug}")
                }
                HostnameKind::Unused => "unused".to_owned(),
                HostnameKind::Domain => "domain".to_owned(),
            };
            assert_eq!(told, expected, "{name}");
        }
    }

    #[test]
    fn every_name_we_spell_is_told_apart_again() {
        let base: BaseDomain = "localhost".parse().expect("valid");
        let slug: ProjectSlug = "x".repeat(40).parse().expect("valid");
        let id = DeploymentId::from_parts(u64::MAX, u32::MAX);
        let permanent = base.deployment(id, &slug);
        assert!(permanent.as_str().split('.').all(|label| label.len() <= 63));
        assert_eq!(base.classify(&permanent), HostnameKind::Deployment(id, slug.clone()));
        assert_eq!(base.classify(&base.production(&slug)), HostnameKind::Production(slug));
    }

    proptest! {
        #[test]
        fn any_header_value_gives_a_clean_name_or_an_error(value in "\\PC{0,60}|[a-zA-Z0-9.:_-]{0,60}") {
            if let Ok(hostname) = Hostname::from_host_header(&value) {
                let name = hostname.as_str();
                prop_assert!(name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')));
                prop_assert_eq!(name.parse::<Hostname>(), Ok(hostname.clone()));
            }
        }
    }
}
