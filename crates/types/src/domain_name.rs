//! What can be attached to a project: a hostname, or every hostname directly below one.

use std::str::FromStr;

use crate::Hostname;
use crate::hostname::InvalidHostname;

const WILDCARD: &str = "*.";

/// `www.example.com`, or `*.example.com` for all names with one label before `example.com`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName {
    /// As it is written, lower case.
    text: Box<str>,
    /// The hostname itself, or the one that the names of a wildcard are below.
    hostname: Hostname,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDomainName {
    #[error(transparent)]
    Hostname(#[from] InvalidHostname),
    #[error("{0:?} has a * that does not stand alone at the front; write a wildcard like *.example.com")]
    Wildcard(String),
}

impl DomainName {
    /// Every name with one label before this one.
    pub fn wildcard(parent: &Hostname) -> Self {
        Self { text: format!("{WILDCARD}{parent}").into(), hostname: parent.clone() }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_wildcard(&self) -> bool {
        self.text.starts_with(WILDCARD)
    }

    /// The hostname that it is, unless it is a wildcard.
    pub fn exact(&self) -> Option<&Hostname> {
        (!self.is_wildcard()).then_some(&self.hostname)
    }

    /// The hostname itself; of a wildcard the name that it is below, whose owner owns it too.
    pub fn base(&self) -> &Hostname {
        &self.hostname
    }

    pub fn matches(&self, hostname: &Hostname) -> bool {
        if self.is_wildcard() {
            hostname.parent().is_some_and(|parent| parent == self.hostname)
        } else {
            *hostname == self.hostname
        }
    }
}

impl From<Hostname> for DomainName {
    fn from(hostname: Hostname) -> Self {
        Self { text: hostname.as_str().into(), hostname }
    }
}

impl FromStr for DomainName {
    type Err = InvalidDomainName;

    fn from_str(text: &str) -> Result<Self, InvalidDomainName> {
        let rest = text.strip_prefix(WILDCARD);
        if rest.unwrap_or(text).contains('*') {
            return Err(InvalidDomainName::Wildcard(text.chars().take(80).collect()));
        }
        match rest {
            Some(parent) => Ok(Self::wildcard(&parent.parse()?)),
            None => Ok(text.parse::<Hostname>()?.into()),
        }
    }
}

impl PartialEq<Hostname> for DomainName {
    fn eq(&self, other: &Hostname) -> bool {
        self.exact() == Some(other)
    }
}

text_type!(DomainName, example = "www.example.com");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_wildcards() {
        let cases = [
            ("www.example.com", Some(("www.example.com", "www.example.com"))),
            ("*.Example.com", Some(("*.example.com", "example.com"))),
            ("*.münchen.example", Some(("*.xn--mnchen-3ya.example", "xn--mnchen-3ya.example"))),
            ("*", None),
            ("*.", None),
            ("**.example.com", None),
            ("*.*.example.com", None),
            ("www.*.com", None),
            ("w*.example.com", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let name = text.parse::<DomainName>().ok();
            let found = name.as_ref().map(|name| (name.as_str(), name.base().as_str()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let cases = [
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "b.a.example.com", false),
            ("*.example.com", "a.example.org", false),
            ("a.example.com", "a.example.com", true),
            ("a.example.com", "b.example.com", false),
        ];
        for (name, hostname, expected) in cases {
            let domain: DomainName = name.parse().expect("valid");
            assert_eq!(domain.matches(&hostname.parse().expect("valid")), expected, "{name} {hostname}");
        }
    }
}
