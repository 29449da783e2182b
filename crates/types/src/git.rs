//! Git's own nouns: commits, branches, repository URLs.

use std::str::FromStr;

/// A full commit id: 40 hex digits (SHA-1) or 64 (SHA-256), lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitSha(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a commit is 40 or 64 lower-case hex digits, got {0:?}")]
pub struct InvalidCommit(String);

impl CommitSha {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first seven digits, as people write it.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl FromStr for CommitSha {
    type Err = InvalidCommit;
    fn from_str(text: &str) -> Result<Self, InvalidCommit> {
        let valid =
            matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid { Ok(Self(text.into())) } else { Err(InvalidCommit(text.chars().take(80).collect())) }
    }
}

text_type!(
    CommitSha,
    example = "4f6c5ed9a1b2c3d4e5f60718293a4b5c6d7e8f90",
    pattern = "^([0-9a-f]{40}|[0-9a-f]{64})$"
);

/// Git itself has no limit; forges stop at 255 bytes.
pub const BRANCH_LEN_MAX: usize = 255;

/// A branch name without `refs/heads/`, valid by `git check-ref-format`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchName(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a branch name that Git accepts; it looks like main or feature/login")]
pub struct InvalidBranch(String);

impl BranchName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl FromStr for BranchName {
    type Err = InvalidBranch;

    /// The rules of git-check-ref-format(1), and no leading `-`: such a name looks like an option.
    fn from_str(text: &str) -> Result<Self, InvalidBranch> {
        let component_ok =
            |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
        let odd = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
        let valid = text.len() <= BRANCH_LEN_MAX
            && text != "@"
            && !text.starts_with('-')
            && !text.ends_with('.')
            && !text.contains("..")
            && !text.contains("@{")
            && !text.chars().any(odd)
            && text.split('/').all(component_ok);
        if valid { Ok(Self(text.into())) } else { Err(InvalidBranch(text.chars().take(80).collect())) }
    }
}

text_type!(BranchName, example = "main");

/// An `https://` or `http://` URL of a repository, without credentials, query or fragment.
///
/// Whether `http` is allowed at all is the builder's setting; `file:`, `ext:` and other transports never are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepositoryUrl(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepositoryUrl {
    #[error("a repository is named by its https URL, for example https://github.com/acme/site.git")]
    Scheme,
    #[error("a repository URL can't hold a user name or password: they would end in logs")]
    Credentials,
    #[error("{0:?} is not a repository URL; it looks like https://github.com/acme/site.git")]
    Syntax(String),
}

const REPOSITORY_URL_LEN_MAX: usize = 1024;

impl RepositoryUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `host[:port]`, lower case.
    pub fn authority(&self) -> &str {
        self.after_scheme().split('/').next().unwrap_or_default()
    }

    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// What two spellings of one repository have in common: `host/path` without `.git`, in lower case
    /// (forges compare owners and names without case).
    pub fn identity(&self) -> String {
        let rest = self.after_scheme().trim_end_matches('/');
        rest.strip_suffix(".git").unwrap_or(rest).to_lowercase()
    }

    fn after_scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, rest)| rest)
    }
}

impl FromStr for RepositoryUrl {
    type Err = InvalidRepositoryUrl;
    fn from_str(text: &str) -> Result<Self, InvalidRepositoryUrl> {
        let syntax = || InvalidRepositoryUrl::Syntax(text.chars().take(120).collect());
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(InvalidRepositoryUrl::Scheme);
        };
        if !matches!(scheme, "https" | "http") {
            return Err(InvalidRepositoryUrl::Scheme);
        }
        let (authority, path) = rest.split_once('/').ok_or_else(syntax)?;
        if authority.contains('@') {
            return Err(InvalidRepositoryUrl::Credentials);
        }
        crate::Hostname::from_host_header(authority).map_err(|_| syntax())?;
        let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#' | '\\');
        let valid = text.len() <= REPOSITORY_URL_LEN_MAX
            && !path.trim_matches('/').is_empty()
            && !path.chars().any(odd)
            && !path.split('/').any(|segment| matches!(segment, "." | ".."));
        if !valid {
            return Err(syntax());
        }
        Ok(Self(format!("{scheme}://{}/{path}", authority.to_ascii_lowercase()).into()))
    }
}

text_type!(RepositoryUrl, example = "https://github.com/acme/shop.git");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_names_follow_git() {
        for good in ["main", "feature/login", "v1.2", "日本", "a-b_c", "dependabot/npm_and_yarn/x-1.2.3"] {
            assert!(good.parse::<BranchName>().is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "/a",
            "a/",
            "a//b",
            "a.lock",
            ".a",
            "a/.b",
            "@",
            "a@{b",
            "a\\b",
            "a\nb",
            "a.",
            "a?",
            "a*",
            "a[",
        ] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn repository_urls_are_https_without_credentials() {
        let cases: &[(&str, Option<&str>)] = &[
            ("https://github.com/Acme/Site.git", Some("github.com/acme/site")),
            ("https://GitHub.com/acme/site/", Some("github.com/acme/site")),
            ("http://127.0.0.1:8123/site.git", Some("127.0.0.1:8123/site")),
            ("file:///etc", None),
            ("ext::sh -c id", None),
            ("git@github.com:acme/site.git", None),
            ("https://user:secret@github.com/acme/site", None),
            ("https://github.com", None),
            ("https://github.com/", None),
            ("https://github.com/a b", None),
            ("https://github.com/a?x=1", None),
            ("https://github.com/../x", None),
            ("https:///x", None),
        ];
        for (text, identity) in cases {
            let parsed = text.parse::<RepositoryUrl>().ok().map(|url| url.identity());
            assert_eq!(parsed.as_deref(), *identity, "{text:?}");
        }
    }
}
