//! Who may come, and what keeps their secrets.

use std::path::PathBuf;
use std::str::FromStr;

use loggia_runtime::Env;
use loggia_types::EmailAddress;

use crate::vault::KeyRing;

/// Who may make an account without being invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignUpMode {
    Invite,
    Open,
    /// Whoever has an address of these mail domains.
    Domains(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "accounts are made by invite, by everybody (open), or by mail domain (domain:example.org,example.com)"
)]
pub struct InvalidSignUpMode;

impl FromStr for SignUpMode {
    type Err = InvalidSignUpMode;
    fn from_str(text: &str) -> Result<Self, InvalidSignUpMode> {
        match text {
            "invite" => Ok(Self::Invite),
            "open" => Ok(Self::Open),
            _ => {
                let domains = text.strip_prefix("domain:").ok_or(InvalidSignUpMode)?;
                let domain = |name: &str| {
                    let name = name.trim().to_ascii_lowercase();
                    // Whatever may stand behind an @.
                    format!("x@{name}").parse::<EmailAddress>().map(|_| name).map_err(|_| InvalidSignUpMode)
                };
                domains.split(',').map(domain).collect::<Result<_, _>>().map(Self::Domains)
            }
        }
    }
}

impl SignUpMode {
    pub(crate) fn admits(&self, email: &EmailAddress) -> bool {
        match self {
            Self::Invite => false,
            Self::Open => true,
            Self::Domains(domains) => domains.iter().any(|domain| domain == email.domain()),
        }
    }
}

/// The keys have to be kept, and kept apart from the database: in the environment, or in a file.
pub(super) fn secrets(env: &mut Env) -> KeyRing {
    const EXAMPLE: &str = "2026-11:0000000000000000000000000000000000000000000000000000000000000000";
    let example = || EXAMPLE.parse().expect("the example is a ring");
    let file: Option<PathBuf> = env.optional("LOGGIA_SECRETS_KEYS_FILE", "/run/secrets/loggia-keys");
    let (name, text) = match &file {
        Some(file) => match std::fs::read_to_string(file) {
            Ok(text) => ("LOGGIA_SECRETS_KEYS_FILE", text),
            Err(error) => {
                env.mistake(format!("LOGGIA_SECRETS_KEYS_FILE: reading {}: {error}", file.display()));
                return example();
            }
        },
        None => {
            let what = "an id and 64 hex digits: 2026-11:$(openssl rand -hex 32)";
            ("LOGGIA_SECRETS_KEYS", env.secret("LOGGIA_SECRETS_KEYS", what).reveal().to_owned())
        }
    };
    if text.is_empty() && file.is_none() {
        return example();
    }
    text.parse().unwrap_or_else(|error| {
        // Without its text, which is the keys.
        env.mistake(format!("{name}: {error}"));
        example()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_for_whom_the_mode_says() {
        let admits = |mode: &str, email: &str| {
            mode.parse::<SignUpMode>().expect(mode).admits(&email.parse().expect(email))
        };
        assert!(!admits("invite", "a@example.org"));
        assert!(admits("open", "a@example.org"));
        assert!(admits("domain:example.com, Example.org", "a@example.org"));
        assert!(!admits("domain:example.org", "a@sub.example.org"));
        assert!(!admits("domain:example.org", "a@example.org.evil.example"));
        for bad in ["", "all", "domain:", "domain:a b", "domain:a@b.c"] {
            assert!(bad.parse::<SignUpMode>().is_err(), "{bad}");
        }
    }
}
