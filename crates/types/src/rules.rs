//! Redirect and header rules as a manifest carries them: understood, checked, nothing left to parse.
//!
//! `loggia-serve` makes them from a project's files (`compile`) and executes them (`matching`). Order in a list is
//! order of precedence.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::build::Environment;
use crate::content_hash::ContentHash;

/// Whose rules a project's files follow, so that a site moves here unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Files first, then rules in file order.
    #[default]
    Netlify,
    /// Rules first, static ones before dynamic ones, then files.
    Cloudflare,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<RedirectRule>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderRule>,
}

/// Where a rule was written; prints as `_redirects:12`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSource {
    pub file: Box<str>,
    /// Counted from 1.
    pub line: u32,
}

impl fmt::Display for RuleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A piece of a pattern, which matches, or of a template, which is filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Text(Box<str>),
    /// `:name`. In a pattern one or more characters of one segment (of one label in a hostname).
    Name(Box<str>),
    /// `*` in a pattern: any characters, also none. `:splat` in a template.
    Splat,
}

/// Matches decoded paths without their leading slash, as manifests spell them. At most one [`Part::Splat`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathPattern {
    pub parts: Vec<Part>,
    /// Netlify: a slash at the end makes no difference, and `foo/*` matches `foo`. Such a pattern is stored
    /// without a slash at its end.
    #[serde(default)]
    pub lenient: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    Http,
    Https,
}

/// The part of an absolute pattern before its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginPattern {
    pub scheme: Scheme,
    /// Lower case, without a port: sites are matched by name. Only header rules have more than text here.
    pub host: Vec<Part>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlPattern {
    /// `None`: any host of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<OriginPattern>,
    pub path: PathPattern,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedirectRule {
    pub source: RuleSource,
    pub from: UrlPattern,
    /// Not empty: the request has exactly these keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<QueryTest>,
    /// All of them have to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// `!`: before files.
    #[serde(default)]
    pub forced: bool,
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryTest {
    /// Decoded, as is the text of the value.
    pub key: Box<str>,
    /// [`Part::Splat`] stands for any value, without keeping it.
    pub value: Part,
}

/// Holds when one of the values fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// ISO 3166-1 alpha-2, upper case.
    Country(Vec<Box<str>>),
    /// Language tags, lower case: `en` fits `en-gb`.
    Language(Vec<Box<str>>),
    /// Hostnames, lower case.
    Host(Vec<Box<str>>),
    /// Names of cookies that are there, whatever they hold.
    Cookie(Vec<Box<str>>),
    Header {
        /// Lower case.
        name: Box<str>,
        /// Empty: it is enough that the header is there.
        values: Vec<Box<str>>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Redirect {
        status: RedirectStatus,
        to: Destination,
    },
    /// The path is replaced, once, and the site's content there is sent with `status`.
    Rewrite {
        status: RewriteStatus,
        /// Decoded, without a leading slash.
        path: Vec<Part>,
    },
    /// 404, 410 or 451 without a target: the platform's short page.
    Refuse {
        status: RewriteStatus,
    },
    /// Fetched from another origin on behalf of the visitor. Off unless the project's settings allow it.
    Proxy {
        to: Destination,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub enum RedirectStatus {
    MovedPermanently,
    Found,
    SeeOther,
    TemporaryRedirect,
    PermanentRedirect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub enum RewriteStatus {
    Ok,
    NotFound,
    Gone,
    UnavailableForLegalReasons,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no status of such a rule")]
pub struct InvalidStatus(u16);

macro_rules! statuses {
    ($type:ident { $($variant:ident = $code:literal),* }) => {
        impl $type {
            pub fn code(self) -> u16 {
                match self { $(Self::$variant => $code),* }
            }
        }
        impl From<$type> for u16 {
            fn from(status: $type) -> u16 {
                status.code()
            }
        }
        impl TryFrom<u16> for $type {
            type Error = InvalidStatus;
            fn try_from(code: u16) -> Result<Self, InvalidStatus> {
                match code { $($code => Ok(Self::$variant),)* _ => Err(InvalidStatus(code)) }
            }
        }
    };
}

statuses!(RedirectStatus {
    MovedPermanently = 301,
    Found = 302,
    SeeOther = 303,
    TemporaryRedirect = 307,
    PermanentRedirect = 308
});
statuses!(RewriteStatus { Ok = 200, NotFound = 404, Gone = 410, UnavailableForLegalReasons = 451 });

/// A URL to be filled in. Texts are percent-encoded already, what is filled in gets encoded for its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// `https://example.org:8443`; `None`: a path of this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Vec<Part>>,
    /// Begins with a slash.
    pub path: Vec<Part>,
    /// Without `?`. `None`: the request's query is passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Vec<Part>>,
    /// Without `#`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fragment: Option<Vec<Part>>,
}

/// One block of `_headers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderRule {
    pub source: RuleSource,
    pub scope: HeaderScope,
    /// `[context=preview]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// `[status=404]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Names, lower case. Done before `set`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<Box<str>>,
    /// Each name once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<HeaderLine>,
    /// `Basic-Auth: user:password`: SHA-256 of each `user:password` that is let in. Empty: not protected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<ContentHash>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderScope {
    /// The URL that was asked for.
    Url(UrlPattern),
    /// `file:/index.html`: the file that is sent.
    File(PathPattern),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderLine {
    /// Lower case.
    pub name: Box<str>,
    /// What `:name` and `:splat` stand for, percent-encoded, goes into the places of the parts.
    pub value: Vec<Part>,
}
