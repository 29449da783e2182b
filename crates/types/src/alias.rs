//! Labels of aliases: the part before `--` in a preview's hostname.

use std::str::FromStr;

use crate::content_hash::ContentHash;
use crate::git::BranchName;
use crate::slug::{PROJECT_SLUG_LEN_MAX, ProjectSlug};

/// A DNS label (63) less the longest slug and `--`. A label fits every project, so renaming one never
/// breaks its previews.
pub const ALIAS_LABEL_LEN_MAX: usize = 63 - 2 - PROJECT_SLUG_LEN_MAX;

/// 6 hex digits tell 16 million changed names of one project apart; with a hyphen they leave 14 characters.
const HASH_LEN: usize = 6;

/// Lower-case letters, digits and single hyphens, at most 21, e.g. `feature-login` or `pr-42`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasLabel(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an alias has 1 to {ALIAS_LABEL_LEN_MAX} characters of a-z, 0-9 and single hyphens, not at its edges, got {0:?}"
)]
pub struct InvalidAliasLabel(String);

impl AliasLabel {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label of a branch. A name that had to be changed or cut, or that could be taken for a pull
    /// request or a deployment, ends in a short hash of the original: two branches never share a hostname.
    pub fn for_branch(branch: &BranchName) -> Self {
        let name = branch.as_str();
        match name.parse::<Self>() {
            Ok(label) if !label.is_reserved() => label,
            _ => Self::hashed(name),
        }
    }

    pub fn for_pull_request(number: u64) -> Self {
        // 18 digits and `pr-` just fit; a larger number exists nowhere but must not panic.
        format!("pr-{number}").parse().unwrap_or_else(|_| Self::hashed(&format!("pr-{number}")))
    }

    fn hashed(original: &str) -> Self {
        let mut words = String::new();
        for c in original.chars() {
            match c.to_ascii_lowercase() {
                c @ ('a'..='z' | '0'..='9') => words.push(c),
                _ if words.ends_with('-') || words.is_empty() => {}
                _ => words.push('-'),
            }
        }
        words.truncate(ALIAS_LABEL_LEN_MAX - 1 - HASH_LEN);
        let words = words.trim_end_matches('-');
        let hash = &ContentHash::of(original.as_bytes()).to_hex()[..HASH_LEN];
        let label = if words.is_empty() { hash.to_owned() } else { format!("{words}-{hash}") };
        Self(label.into())
    }

    /// Pull requests and permanent deployment names own these forms.
    fn is_reserved(&self) -> bool {
        let numbered = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
        self.0.strip_prefix("pr-").is_some_and(numbered) || self.0.starts_with("d-")
    }
}

impl FromStr for AliasLabel {
    type Err = InvalidAliasLabel;
    fn from_str(text: &str) -> Result<Self, InvalidAliasLabel> {
        let valid = (1..=ALIAS_LABEL_LEN_MAX).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.contains("--");
        if valid { Ok(Self(text.into())) } else { Err(InvalidAliasLabel(text.chars().take(80).collect())) }
    }
}

text_type!(AliasLabel, example = "feature-login");

/// A name that points at a deployment of a project.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AliasName {
    /// `{slug}.{base}` and the project's domains.
    Production,
    /// `{label}--{slug}.{base}`
    Label(AliasLabel),
}

impl AliasName {
    /// As stored and shown: `production`, or the label.
    ///
    /// A branch called `production` gets a hashed label, so the word stays unambiguous.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Production => PRODUCTION,
            Self::Label(label) => label.as_str(),
        }
    }

    /// The alias that a push to `branch` moves.
    pub fn for_push(branch: &BranchName, production_branch: &BranchName) -> Self {
        if branch == production_branch {
            return Self::Production;
        }
        if branch.as_str() == PRODUCTION {
            return Self::Label(AliasLabel::hashed(PRODUCTION));
        }
        Self::Label(AliasLabel::for_branch(branch))
    }

    pub fn hostname(&self, slug: &ProjectSlug, base: &crate::BaseDomain) -> crate::Hostname {
        match self {
            Self::Production => base.production(slug),
            Self::Label(label) => base.alias(label, slug),
        }
    }
}

const PRODUCTION: &str = "production";

impl FromStr for AliasName {
    type Err = InvalidAliasLabel;
    fn from_str(text: &str) -> Result<Self, InvalidAliasLabel> {
        if text == PRODUCTION {
            return Ok(Self::Production);
        }
        text.parse().map(Self::Label)
    }
}

text_type!(AliasName, example = "production");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(branch: &str) -> String {
        AliasLabel::for_branch(&branch.parse().expect("a valid branch")).to_string()
    }

    #[test]
    fn branches_become_labels() {
        assert_eq!(label("main"), "main");
        assert_eq!(label("feature-login"), "feature-login");
        assert_eq!(label("feature/login"), "feature-login-df7c7a");
        assert_eq!(label("Main"), "main-eb814b");
        assert!(label("pr-42").starts_with("pr-42-"));
        assert!(label("d-x").starts_with("d-x-"));
        assert_eq!(label("日本").len(), 6);
        assert!(label(&"long".repeat(30)).len() <= ALIAS_LABEL_LEN_MAX);
    }

    #[test]
    fn the_production_branch_moves_production_and_nothing_else_can() {
        let main: BranchName = "main".parse().expect("valid");
        let production: BranchName = "production".parse().expect("valid");
        assert_eq!(AliasName::for_push(&main, &main), AliasName::Production);
        assert_eq!(AliasName::for_push(&production, &production), AliasName::Production);
        assert!(AliasName::for_push(&production, &main).as_str().starts_with("production-"));
        assert_eq!(AliasName::for_push(&main, &production).as_str(), "main");
    }

    proptest! {
        #[test]
        fn any_branch_has_a_valid_label(name in "[a-zA-Z0-9/_.#é-]{1,60}") {
            if let Ok(branch) = name.parse::<BranchName>() {
                let label = AliasLabel::for_branch(&branch);
                prop_assert_eq!(label.as_str().parse::<AliasLabel>(), Ok(label.clone()));
            }
        }

        #[test]
        fn two_branches_never_share_a_label(a in "[a-cA-C/-]{1,6}", b in "[a-cA-C/-]{1,6}") {
            if let (Ok(one), Ok(two)) = (a.parse::<BranchName>(), b.parse::<BranchName>()) {
                prop_assert_eq!(one == two, AliasLabel::for_branch(&one) == AliasLabel::for_branch(&two));
            }
        }
    }
}
