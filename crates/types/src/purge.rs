//! What a cache has to forget, and how: one shape for the public api, the event stream and the command line.
//!
//! ```json
//! {"all": true}
//! {"keys": ["news", "d-01jd3k8mxv7e2q4r"], "soft": true}
//! {"urls": ["https://shop.example.com/prices?currency=eur"]}
//! ```

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::alias::AliasName;
use crate::hostname::{Hostname, InvalidHostname};
use crate::id::{DeploymentId, ProjectId};

/// As many keys as Fastly takes in one call («Purge multiple surrogate key tags»).
pub const PURGE_ITEMS_MAX: usize = 256;

/// As Fastly's («Surrogate-Key»).
pub const SURROGATE_KEY_LEN_MAX: usize = 1024;

/// An edge refuses request targets over 8 KiB; what is purged by hand is far shorter.
pub const PURGE_URL_LEN_MAX: usize = 2048;

/// Everything that one call names: an edge that resumes reads 500 events at once, so 32 MiB at the worst.
pub const PURGE_BYTES_MAX: usize = 64 * 1024;

/// A name that answers carry in `Surrogate-Key`, by which caches find them: visible ASCII without commas.
///
/// Spaces separate keys in every header; Cloudflare and Varnish's xkey take commas for separators as well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SurrogateKey(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a surrogate key has 1 to {SURROGATE_KEY_LEN_MAX} visible ASCII characters without spaces and commas, got {0:?}"
)]
pub struct InvalidSurrogateKey(String);

/// What a key of the platform's own is for. All other keys are the projects'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwner {
    Project(ProjectId),
    Deployment(DeploymentId),
}

impl SurrogateKey {
    /// On every answer of a project: `p-{project}`.
    pub fn project(id: ProjectId) -> Self {
        Self(format!("p-{id}").into())
    }

    /// On every answer out of a deployment: `d-{deployment}`.
    pub fn deployment(id: DeploymentId) -> Self {
        Self(format!("d-{id}").into())
    }

    /// On every answer of the hostnames that follow an alias: `a-{project}-{alias}`. A promote purges it, and with it
    /// neither other previews nor the permanent addresses of deployments.
    pub fn alias(id: ProjectId, alias: &AliasName) -> Self {
        Self(format!("a-{id}-{alias}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who alone may purge by it; `None` for a key that a project made up.
    pub fn owner(&self) -> Option<KeyOwner> {
        let (kind, rest) = self.0.split_once('-')?;
        match kind {
            "p" => rest.parse().ok().map(KeyOwner::Project),
            "d" => rest.parse().ok().map(KeyOwner::Deployment),
            "a" => rest.split_once('-')?.0.parse().ok().map(KeyOwner::Project),
            _ => None,
        }
    }
}

impl FromStr for SurrogateKey {
    type Err = InvalidSurrogateKey;
    fn from_str(text: &str) -> Result<Self, InvalidSurrogateKey> {
        let valid = (1..=SURROGATE_KEY_LEN_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        if valid { Ok(Self(text.into())) } else { Err(InvalidSurrogateKey(text.chars().take(80).collect())) }
    }
}

text_type!(SurrogateKey, example = "p-01jd3k8mxv7e2q4r");

/// One address as caches know it: a hostname, and a path with its query. Written with or without a scheme, which
/// changes nothing: `https://shop.localhost/a?b` and `shop.localhost/a?b` are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurgeUrl {
    /// `{hostname}{target}`
    text: Box<str>,
    hostname: Hostname,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPurgeUrl {
    #[error("a URL has at most {PURGE_URL_LEN_MAX} characters")]
    TooLong,
    #[error("{0:?} is no URL of a page; write it like https://shop.example.com/prices, percent-encoded")]
    Syntax(String),
    #[error(transparent)]
    Hostname(#[from] InvalidHostname),
}

impl PurgeUrl {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn hostname(&self) -> &Hostname {
        &self.hostname
    }

    /// Path and query, as in the request line.
    pub fn target(&self) -> &str {
        &self.text[self.hostname.as_str().len()..]
    }
}

impl FromStr for PurgeUrl {
    type Err = InvalidPurgeUrl;
    fn from_str(text: &str) -> Result<Self, InvalidPurgeUrl> {
        if text.len() > PURGE_URL_LEN_MAX {
            return Err(InvalidPurgeUrl::TooLong);
        }
        let rest = match text.split_once("://") {
            Some((scheme, rest))
                if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) =>
            {
                rest
            }
            // A query may hold a URL of its own.
            Some((before, _)) if before.contains(['/', '?']) => text,
            Some(_) => return Err(InvalidPurgeUrl::Syntax(shortened(text))),
            None => text,
        };
        // A fragment never reaches a server.
        let rest = rest.split('#').next().unwrap_or(rest);
        let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if !target.bytes().all(is_in_targets) || has_dot_segment(target) {
            return Err(InvalidPurgeUrl::Syntax(shortened(text)));
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let hostname = if host.is_ascii() { Hostname::from_host_header(host)? } else { name.parse()? };
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { text: format!("{hostname}{slash}{target}").into(), hostname })
    }
}

text_type!(PurgeUrl, example = "https://shop.example.com/docs/");

/// RFC 3986 §3.3 and §3.4, and the brackets that browsers leave as they are.
fn is_in_targets(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte)
}

/// Every client removes them before it asks, so no cache knows them. In a URL that is a part of another one, as in
/// Fastly's `/purge/{url}`, they would lead out of it.
fn has_dot_segment(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or(target);
    path.split('/')
        .any(|segment| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What is purged of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeScope {
    /// Everything.
    All,
    /// What carries one of these keys.
    Keys(Vec<SurrogateKey>),
    /// These addresses, in every coding.
    Urls(Vec<PurgeUrl>),
}

/// A valid purge: exactly one scope, within the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PurgeRequest", into = "PurgeRequest")]
pub struct Purge {
    pub scope: PurgeScope,
    /// What is cached counts as stale: it may be served while it is fetched anew, or when that fails. A hard purge
    /// makes it gone at once.
    pub soft: bool,
}

/// A purge as it is written; [`Purge`] is what it means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub soft: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPurge {
    #[error("say what to purge: \"all\": true, or some \"keys\", or some \"urls\"")]
    Nothing,
    #[error("purge one of \"all\", \"keys\" and \"urls\" at a time")]
    Several,
    #[error("one call purges at most {PURGE_ITEMS_MAX} keys or URLs, got {0}")]
    TooMany(usize),
    #[error("the keys or URLs of one call have at most {PURGE_BYTES_MAX} bytes together, got {0}")]
    TooLarge(usize),
    #[error(transparent)]
    Key(#[from] InvalidSurrogateKey),
    #[error(transparent)]
    Url(#[from] InvalidPurgeUrl),
}

impl TryFrom<PurgeRequest> for Purge {
    type Error = InvalidPurge;
    fn try_from(request: PurgeRequest) -> Result<Self, InvalidPurge> {
        let scope = match (request.all, request.keys, request.urls) {
            (true, None, None) => PurgeScope::All,
            (false, Some(keys), None) => PurgeScope::Keys(parse_all(&keys)?),
            (false, None, Some(urls)) => PurgeScope::Urls(parse_all(&urls)?),
            (false, None, None) => return Err(InvalidPurge::Nothing),
            _ => return Err(InvalidPurge::Several),
        };
        Ok(Self { scope, soft: request.soft })
    }
}

fn parse_all<T>(texts: &[String]) -> Result<Vec<T>, InvalidPurge>
where
    T: FromStr,
    InvalidPurge: From<T::Err>,
{
    let bytes = texts.iter().map(String::len).sum();
    match texts.len() {
        0 => Err(InvalidPurge::Nothing),
        count if count > PURGE_ITEMS_MAX => Err(InvalidPurge::TooMany(count)),
        _ if bytes > PURGE_BYTES_MAX => Err(InvalidPurge::TooLarge(bytes)),
        _ => texts.iter().map(|text| Ok(text.parse()?)).collect(),
    }
}

impl From<Purge> for PurgeRequest {
    fn from(purge: Purge) -> Self {
        let request = Self { soft: purge.soft, ..Self::default() };
        match purge.scope {
            PurgeScope::All => Self { all: true, ..request },
            PurgeScope::Keys(keys) => Self { keys: Some(texts(&keys)), ..request },
            PurgeScope::Urls(urls) => Self { urls: Some(texts(&urls)), ..request },
        }
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Result<Purge, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_purge_has_exactly_one_scope_within_limits() {
        let many = |text: &str, count: usize| vec![format!("\"{text}\""); count].join(",");
        let cases = [
            (r#"{"all":true}"#.to_owned(), Ok(r#"{"all":true}"#)),
            (r#"{"all":true,"soft":false}"#.to_owned(), Ok(r#"{"all":true}"#)),
            (r#"{"keys":["news"],"soft":true}"#.to_owned(), Ok(r#"{"keys":["news"],"soft":true}"#)),
            (r#"{"urls":["HTTPS://Shop.localhost:8080"]}"#.to_owned(), Ok(r#"{"urls":["shop.localhost/"]}"#)),
            ("{}".to_owned(), Err("say what to purge")),
            (r#"{"all":false}"#.to_owned(), Err("say what to purge")),
            (r#"{"keys":[]}"#.to_owned(), Err("say what to purge")),
            (r#"{"all":true,"keys":["a"]}"#.to_owned(), Err("at a time")),
            (r#"{"urls":["a.b/"],"keys":["a"]}"#.to_owned(), Err("at a time")),
            (r#"{"keys":["two words"]}"#.to_owned(), Err("a surrogate key has")),
            (r#"{"everything":true}"#.to_owned(), Err("unknown field")),
            (format!("{{\"keys\":[{}]}}", many("k", 257)), Err("at most 256 keys")),
            (format!("{{\"keys\":[{}]}}", many(&"k".repeat(1024), 65)), Err("at most 65536 bytes")),
        ];
        for (json, expected) in cases {
            let shown = &json[..json.len().min(80)];
            match (read(&json), expected) {
                (Ok(purge), Ok(expected)) => {
                    assert_eq!(serde_json::to_string(&purge).expect("plain data"), expected, "{shown}");
                    assert_eq!(read(expected), Ok(purge), "{shown}");
                }
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{shown}: {error}"),
                (got, expected) => panic!("{shown}: {got:?}, expected {expected:?}"),
            }
        }
        assert!(read(&format!("{{\"keys\":[{}]}}", many("k", 256))).is_ok());
    }

    #[test]
    fn keys_are_visible_ascii_without_separators() {
        for good in ["a", "p-01jd3k8mxv7e2q4r", "user/42:x;y", &"k".repeat(1024)] {
            assert!(good.parse::<SurrogateKey>().is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "a,b", "ä", "a\n", "a\u{7f}", &"k".repeat(1025)] {
            assert!(bad.parse::<SurrogateKey>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_platforms_own_keys_name_their_owner() {
        let project = ProjectId::from_parts(1_700_000_000_000, 1);
        let deployment = DeploymentId::from_parts(1_700_000_000_000, 2);
        let label: AliasName = "pr-42".parse().expect("valid");
        let cases = [
            (SurrogateKey::project(project), Some(KeyOwner::Project(project))),
            (SurrogateKey::deployment(deployment), Some(KeyOwner::Deployment(deployment))),
            (SurrogateKey::alias(project, &AliasName::Production), Some(KeyOwner::Project(project))),
            (SurrogateKey::alias(project, &label), Some(KeyOwner::Project(project))),
            ("p-news".parse().expect("valid"), None),
            ("a-b".parse().expect("valid"), None),
            ("news".parse().expect("valid"), None),
        ];
        for (key, expected) in cases {
            assert_eq!(key.owner(), expected, "{key}");
            assert_eq!(key.as_str().parse(), Ok(key.clone()));
        }
    }

    #[test]
    fn urls_become_a_hostname_and_a_target() {
        let cases: &[(&str, Option<(&str, &str)>)] = &[
            ("https://shop.localhost/a/b?c=d", Some(("shop.localhost", "/a/b?c=d"))),
            ("shop.localhost", Some(("shop.localhost", "/"))),
            ("http://SHOP.localhost:8080/A", Some(("shop.localhost", "/A"))),
            ("shop.localhost?q", Some(("shop.localhost", "/?q"))),
            ("https://shop.localhost/a#part", Some(("shop.localhost", "/a"))),
            ("shop.localhost/login?to=https://x/", Some(("shop.localhost", "/login?to=https://x/"))),
            ("https://bücher.example/x", Some(("xn--bcher-kva.example", "/x"))),
            ("https://shop.localhost/%C3%A4", Some(("shop.localhost", "/%C3%A4"))),
            ("https://shop.localhost/ä", None),
            ("https://shop.localhost/a b", None),
            ("https://shop.localhost/../service/x/purge_all", None),
            ("https://shop.localhost/a/%2E./b", None),
            ("https://shop.localhost/a\\..\\b", None),
            ("https://shop.localhost/...?to=/../", Some(("shop.localhost", "/...?to=/../"))),
            ("ftp://shop.localhost/", None),
            ("https://user@shop.localhost/", None),
            ("/only/a/path", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let parsed = text.parse::<PurgeUrl>().ok();
            let parts = parsed.as_ref().map(|url| (url.hostname().as_str(), url.target()));
            assert_eq!(parts, *expected, "{text:?}");
        }
        assert!(format!("shop.localhost/{}", "x".repeat(PURGE_URL_LEN_MAX)).parse::<PurgeUrl>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_gives_a_clean_url_or_an_error(text in "\\PC{0,60}|(https?://)?[a-z.:@]{1,20}[a-z/?#%]{0,20}") {
            if let Ok(url) = text.parse::<PurgeUrl>() {
                prop_assert!(url.target().starts_with('/') && url.target().bytes().all(|b| b.is_ascii_graphic()));
                prop_assert_eq!(url.as_str().parse::<PurgeUrl>(), Ok(url.clone()));
            }
        }
    }
}
