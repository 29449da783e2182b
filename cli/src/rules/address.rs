//! What a person writes for a request: a path or a URL, headers.

use std::str::FromStr;

use http::{HeaderName, HeaderValue};
use loggia_types::Hostname;
use loggia_types::rules::Scheme;

use crate::local_site::HOST;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub scheme: Scheme,
    pub host: Hostname,
    /// Path and query, as a browser would send them.
    pub target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a path like /blog?page=2 nor a URL like https://{HOST}/blog?page=2")]
pub(crate) struct InvalidAddress(String);

impl FromStr for Address {
    type Err = InvalidAddress;
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let parse = || {
            let (scheme, rest) = match text.split_once("://") {
                Some(("https", rest)) => (Scheme::Https, rest),
                Some(("http", rest)) => (Scheme::Http, rest),
                _ if text.starts_with('/') || text == "*" => {
                    return Some(Self {
                        scheme: Scheme::Https,
                        host: HOST.parse().ok()?,
                        target: as_sent(text),
                    });
                }
                _ => return None,
            };
            let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            let host = authority.rsplit_once(':').map_or(authority, |(host, _port)| host);
            let slash = if target.starts_with('/') { "" } else { "/" };
            Some(Self { scheme, host: host.parse().ok()?, target: as_sent(&format!("{slash}{target}")) })
        };
        parse().ok_or_else(|| InvalidAddress(text.to_owned()))
    }
}

/// Browsers keep the fragment to themselves and escape what no address may hold. Nothing else is changed, so that
/// requests can be tried that no browser sends.
fn as_sent(target: &str) -> String {
    let target = target.split('#').next().unwrap_or(target);
    let mut sent = String::with_capacity(target.len());
    for byte in target.bytes() {
        match byte {
            b'!'..=b'~' => sent.push(char::from(byte)),
            _ => sent.push_str(&format!("%{byte:02X}")),
        }
    }
    sent
}

/// `Name: value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub name: HeaderName,
    pub value: HeaderValue,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidHeader {
    #[error("write a header as 'Name: value'")]
    Syntax,
    #[error("the host belongs into the URL: https://HOST/path")]
    Host,
}

impl FromStr for Header {
    type Err = InvalidHeader;
    fn from_str(text: &str) -> Result<Self, InvalidHeader> {
        let (name, value) = text.split_once(':').ok_or(InvalidHeader::Syntax)?;
        let name: HeaderName = name.trim().parse().map_err(|_| InvalidHeader::Syntax)?;
        if name == http::header::HOST {
            return Err(InvalidHeader::Host);
        }
        let value = HeaderValue::from_str(value.trim()).map_err(|_| InvalidHeader::Syntax)?;
        Ok(Self { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_path_or_a_url() {
        let cases = [
            ("/", Some("https www.example.org /")),
            ("/x?y", Some("https www.example.org /x?y")),
            ("/a b/\u{e9}#top", Some("https www.example.org /a%20b/%C3%A9")),
            ("/../%2e%2E//x", Some("https www.example.org /../%2e%2E//x")),
            ("https://Blog.example.org/x", Some("https blog.example.org /x")),
            ("http://blog.example.org:8080", Some("http blog.example.org /")),
            ("http://blog.example.org?x", Some("http blog.example.org /?x")),
            ("https://b\u{fc}cher.example/", Some("https xn--bcher-kva.example /")),
            ("blog.example.org/x", None),
            ("x", None),
            ("", None),
            ("ftp://blog.example.org/", None),
            ("https:///x", None),
            ("https://user@blog.example.org/", None),
        ];
        for (text, expected) in cases {
            let address = text.parse::<Address>().ok();
            let shown = address.map(|address| {
                let scheme = if address.scheme == Scheme::Https { "https" } else { "http" };
                format!("{scheme} {} {}", address.host, address.target)
            });
            assert_eq!(shown.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let header: Header = "Accept-Language:de, en;q=0.5".parse().expect("valid");
        assert_eq!(
            (header.name.as_str(), header.value.as_bytes()),
            ("accept-language", &b"de, en;q=0.5"[..])
        );
        assert_eq!("Accept".parse::<Header>(), Err(InvalidHeader::Syntax));
        assert_eq!("a b: c".parse::<Header>(), Err(InvalidHeader::Syntax));
        assert_eq!("x: a\nb".parse::<Header>(), Err(InvalidHeader::Syntax));
        assert_eq!("Host: a".parse::<Header>(), Err(InvalidHeader::Host));
    }
}
