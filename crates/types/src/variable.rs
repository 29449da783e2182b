//! Environment variables of builds: their names, their values, and when they hold.

use std::fmt;
use std::str::FromStr;

use crate::git::{BranchName, InvalidBranch};

/// Longer names are mistakes: what people write has some 60 characters at most.
pub const VARIABLE_NAME_LEN_MAX: usize = 128;

/// Linux takes 128 KiB for a name and its value together (`MAX_ARG_STRLEN`); half of it leaves air for what is put before.
pub const VARIABLE_VALUE_BYTES_MAX: usize = 64 * 1024;

/// Shorter values are in every other word of a log: they cannot be masked, so they are not taken for secrets.
pub const SECRET_LEN_MIN: usize = 4;

/// Letters, digits and `_`, not beginning with a digit, e.g. `API_KEY`; none of the names that the platform needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariableName(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariableName {
    // Without the text: whoever mixes up two fields writes a secret here.
    #[error(
        "a variable's name has 1 to {VARIABLE_NAME_LEN_MAX} letters, digits and _, and does not begin with a digit"
    )]
    Syntax,
    #[error("{0} cannot be set: names that begin with LOGGIA are the platform's, which builds can trust")]
    Platform(String),
    #[error("{name} cannot be set: {reason}")]
    Reserved { name: String, reason: &'static str },
}

/// Names that a build cannot be given, and why. `NODE_OPTIONS` is none of them: large sites need its memory limit, and
/// it acts on nothing but the project's own Node.
const RESERVED: &[(&[&str], &str)] = &[
    (&["CI"], "it is true in every build"),
    (
        &["PATH", "HOME", "USER", "TMPDIR", "PWD", "OLDPWD"],
        "the platform sets it to where the build's tools and folders are; change it in the build command",
    ),
    (
        &["BASH_ENV", "ENV", "IFS", "PS4", "SHELLOPTS", "BASHOPTS", "OPTIND"],
        "it changes what the shell does that starts the build",
    ),
    (&["UID", "EUID", "PPID", "BASH_VERSINFO"], "shells do not let it be changed"),
];

impl VariableName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VariableName {
    type Err = InvalidVariableName;

    fn from_str(text: &str) -> Result<Self, InvalidVariableName> {
        let is_name = text.len() <= VARIABLE_NAME_LEN_MAX
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name {
            return Err(InvalidVariableName::Syntax);
        }
        if text.strip_prefix("LOGGIA").is_some_and(|rest| rest.is_empty() || rest.starts_with('_')) {
            return Err(InvalidVariableName::Platform(text.to_owned()));
        }
        let reserved = |reason| Err(InvalidVariableName::Reserved { name: text.to_owned(), reason });
        if text.starts_with("LD_") {
            return reserved(
                "it makes the system's linker load other code, into the platform's programs too",
            );
        }
        match RESERVED.iter().find(|(names, _)| names.contains(&text)) {
            Some((_, reason)) => reserved(reason),
            None => Ok(Self(text.into())),
        }
    }
}

text_type!(VariableName, example = "API_URL", pattern = "^[A-Za-z_][A-Za-z0-9_]{0,127}$");

/// Any text without NUL, at most 64 KiB, of several lines if need be. Prints as `***`: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct VariableValue(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariableValue {
    #[error("a variable's value cannot hold a NUL character")]
    Nul,
    #[error("a variable's value has at most {VARIABLE_VALUE_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
}

impl VariableValue {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether logs can be kept free of it.
    pub fn can_be_secret(&self) -> bool {
        self.0.trim().len() >= SECRET_LEN_MIN
    }
}

impl FromStr for VariableValue {
    type Err = InvalidVariableValue;

    fn from_str(text: &str) -> Result<Self, InvalidVariableValue> {
        if text.contains('\0') {
            return Err(InvalidVariableValue::Nul);
        }
        if text.len() > VARIABLE_VALUE_BYTES_MAX {
            return Err(InvalidVariableValue::TooLong(text.len()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for VariableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl serde::Serialize for VariableValue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for VariableValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

openapi_text!(VariableValue, "https://api.example.org");

/// The builds that a variable is for: `all`, `production`, `preview`, or one branch's (`branch:next`).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VariableContext {
    #[default]
    All,
    Production,
    Preview,
    /// Of this branch, whichever of the two environments it goes to.
    Branch(BranchName),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariableContext {
    #[error("a context is all, production, preview, or branch: and the name of a branch (branch:next)")]
    Unknown,
    #[error(transparent)]
    Branch(#[from] InvalidBranch),
}

const BRANCH: &str = "branch:";

impl fmt::Display for VariableContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Production => f.write_str("production"),
            Self::Preview => f.write_str("preview"),
            Self::Branch(name) => write!(f, "{BRANCH}{name}"),
        }
    }
}

impl FromStr for VariableContext {
    type Err = InvalidVariableContext;

    fn from_str(text: &str) -> Result<Self, InvalidVariableContext> {
        match text {
            "all" => Ok(Self::All),
            "production" => Ok(Self::Production),
            "preview" => Ok(Self::Preview),
            _ => {
                let name = text.strip_prefix(BRANCH).ok_or(InvalidVariableContext::Unknown)?;
                Ok(Self::Branch(name.parse()?))
            }
        }
    }
}

impl serde::Serialize for VariableContext {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for VariableContext {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

openapi_text!(VariableContext, "production", "^(all|production|preview|branch:.+)$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_a_shell_takes_and_the_platform_does_not_need() {
        let long = "A".repeat(VARIABLE_NAME_LEN_MAX);
        for good in
            ["A", "_", "API_KEY", "a9", "NODE_OPTIONS", "LOGGIANO", "CI_TOKEN", "LDAP", "NODE_ENV", &long]
        {
            assert!(good.parse::<VariableName>().is_ok(), "{good}");
        }
        let longer = format!("{long}A");
        for bad in ["", "9A", "A B", "A=B", "A-B", "Ä", "A\n", "$(id)", &longer] {
            assert_eq!(bad.parse::<VariableName>(), Err(InvalidVariableName::Syntax), "{bad:?}");
        }
        for (reserved, words) in [
            ("LOGGIA", "the platform's"),
            ("LOGGIA_TOKEN", "the platform's"),
            ("CI", "true in every build"),
            ("PATH", "in the build command"),
            ("HOME", "folders"),
            ("LD_PRELOAD", "linker"),
            ("LD_LIBRARY_PATH", "linker"),
            ("BASH_ENV", "shell"),
            ("UID", "shells"),
        ] {
            let error = reserved.parse::<VariableName>().expect_err(reserved).to_string();
            assert!(error.starts_with(reserved) && error.contains(words), "{error}");
        }
    }

    #[test]
    fn values_are_any_text_that_fits_and_are_not_shown() {
        let value: VariableValue = "two\nlines $HOME".parse().expect("valid");
        assert_eq!(format!("{value:?}"), "***");
        assert_eq!("a\0b".parse::<VariableValue>(), Err(InvalidVariableValue::Nul));
        let long = "x".repeat(VARIABLE_VALUE_BYTES_MAX);
        assert!(long.parse::<VariableValue>().is_ok());
        let longer = format!("{long}x");
        assert_eq!(longer.parse::<VariableValue>(), Err(InvalidVariableValue::TooLong(longer.len())));
        for (text, expected) in [("", false), ("abc", false), (" abc \n", false), ("abcd", true)] {
            assert_eq!(text.parse::<VariableValue>().expect(text).can_be_secret(), expected, "{text:?}");
        }
    }

    #[test]
    fn contexts_are_written_as_they_are_read() {
        for text in ["all", "production", "preview", "branch:main", "branch:feature/login"] {
            assert_eq!(text.parse::<VariableContext>().expect(text).to_string(), text);
        }
        for bad in ["", "staging", "branch:", "branch:a b", "Production", "branch:-x"] {
            assert!(bad.parse::<VariableContext>().is_err(), "{bad}");
        }
    }
}
