//! The name of a project in its hostname.

use std::str::FromStr;

/// A DNS label holds 63 bytes: 40 for the project, 2 for `--`, 21 left for an alias label.
pub const PROJECT_SLUG_LEN_MAX: usize = 40;

/// Names that would let a tenant pose as the platform, or that browsers and mail clients ask for by themselves.
const RESERVED: &[&str] = &[
    "admin",
    "api",
    "app",
    "assets",
    "autoconfig",
    "autodiscover",
    "cdn",
    "dashboard",
    "dns",
    "edge",
    "ftp",
    "git",
    "imap",
    "internal",
    "isatap",
    "localhost",
    "loggia",
    "login",
    "mail",
    "mx",
    "ns",
    "ns1",
    "ns2",
    "pop",
    "root",
    "smtp",
    "status",
    "webmail",
    "wpad",
    "www",
];

/// Lower-case letters, digits and single hyphens, e.g. `blog`.
///
/// No `--`: preview hostnames are `<label>--<project>.<base domain>`, and the first `--` must split them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectSlug(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSlug {
    #[error("a slug can't be empty; choose a name like `blog`")]
    Empty,
    #[error("a slug has at most {PROJECT_SLUG_LEN_MAX} characters, this one has {len}")]
    TooLong { len: usize },
    #[error("a slug can't contain `--`: it separates the branch from the project in preview hostnames")]
    DoubleHyphen,
    #[error("a slug can't begin or end with a hyphen")]
    EdgeHyphen,
    #[error("a slug has only lower-case letters a-z, digits and hyphens, not {0:?}")]
    Character(char),
    #[error("`{0}` is reserved for the platform; choose another name")]
    Reserved(String),
}

impl ProjectSlug {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectSlug {
    type Err = InvalidSlug;
    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        if text.is_empty() {
            return Err(InvalidSlug::Empty);
        }
        if text.len() > PROJECT_SLUG_LEN_MAX {
            return Err(InvalidSlug::TooLong { len: text.len() });
        }
        if let Some(odd) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            return Err(InvalidSlug::Character(odd));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(InvalidSlug::EdgeHyphen);
        }
        if text.contains("--") {
            return Err(InvalidSlug::DoubleHyphen);
        }
        if RESERVED.contains(&text) {
            return Err(InvalidSlug::Reserved(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

text_type!(ProjectSlug, example = "shop", pattern = "^[a-z0-9]+(-[a-z0-9]+)*$");

/// The name of an organization in the api's addresses: spelled like a project's slug.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationSlug(ProjectSlug);

impl OrganizationSlug {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for OrganizationSlug {
    type Err = InvalidSlug;
    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        text.parse().map(Self)
    }
}

text_type!(OrganizationSlug, example = "acme", pattern = "^[a-z0-9]+(-[a-z0-9]+)*$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_accepted_or_refused_with_the_reason() {
        let cases: &[(&str, Result<(), InvalidSlug>)] = &[
            ("blog", Ok(())),
            ("a", Ok(())),
            ("my-shop-2", Ok(())),
            ("0x", Ok(())),
            ("", Err(InvalidSlug::Empty)),
            ("Blog", Err(InvalidSlug::Character('B'))),
            ("my_shop", Err(InvalidSlug::Character('_'))),
            ("bücher", Err(InvalidSlug::Character('ü'))),
            ("a.b", Err(InvalidSlug::Character('.'))),
            ("-a", Err(InvalidSlug::EdgeHyphen)),
            ("a-", Err(InvalidSlug::EdgeHyphen)),
            ("a--b", Err(InvalidSlug::DoubleHyphen)),
            ("www", Err(InvalidSlug::Reserved("www".into()))),
            ("api", Err(InvalidSlug::Reserved("api".into()))),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<ProjectSlug>().map(|_| ()), *expected, "{text:?}");
        }
        assert!("x".repeat(40).parse::<ProjectSlug>().is_ok());
        assert_eq!("x".repeat(41).parse::<ProjectSlug>(), Err(InvalidSlug::TooLong { len: 41 }));
    }

    #[test]
    fn a_bad_slug_dies_in_the_json() {
        assert!(serde_json::from_str::<ProjectSlug>(r#""Bad Slug""#).is_err());
        assert_eq!(
            serde_json::from_str::<ProjectSlug>(r#""blog""#).map(|s| s.to_string()).ok(),
            Some("blog".into())
        );
    }
}
