//! Identifiers: 16 characters, sortable by creation, safe in a DNS label and in a bucket key.
//!
//! 48 bits of Unix milliseconds and 32 random bits in Crockford's base 32 (lower case). Sorting the text
//! sorts by time, which keeps database indexes local and makes keyset pages by id natural. 16 characters
//! leave room for `d-{id}--{slug}` within the 63 bytes of a DNS label.

use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 80 bits at 5 bits a character.
pub const ID_LEN: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an id has 16 characters of 0-9 and a-z without i, l, o and u, for example 01jd3k8mxv7e2q4r, got {0:?}"
)]
pub struct InvalidId(String);

/// The text of an id, inline: copying and hashing one costs no allocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Id([u8; ID_LEN]);

impl Id {
    fn from_parts(unix_ms: u64, random: u32) -> Self {
        let mut bits = (u128::from(unix_ms & 0xffff_ffff_ffff) << 32) | u128::from(random);
        let mut text = [0; ID_LEN];
        for slot in text.iter_mut().rev() {
            *slot = ALPHABET[usize::from((bits & 31) as u8)];
            bits >>= 5;
        }
        Self(text)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only characters of ALPHABET are ever stored")
    }
}

impl FromStr for Id {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bytes: [u8; ID_LEN] =
            text.as_bytes().try_into().map_err(|_| InvalidId(text.chars().take(40).collect()))?;
        if bytes.iter().all(|byte| ALPHABET.contains(byte)) {
            Ok(Self(bytes))
        } else {
            Err(InvalidId(text.to_owned()))
        }
    }
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Id);

        impl $name {
            /// Time and randomness are arguments, so that tests can choose both.
            pub fn from_parts(unix_ms: u64, random: u32) -> Self {
                Self(Id::from_parts(unix_ms, random))
            }

            /// A new id from the system's clock and randomness.
            pub fn generate() -> Self {
                Self::from_parts(crate::timestamp::unix_ms_now(), rand::random())
            }

            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.parse().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.as_str())
            }
        }

        text_type!($name, example = "01jd3k8mxv7e2q4r", pattern = "^[0-9a-hjkmnp-tv-z]{16}$");
    };
}

id_type!(
    /// A project: the unit that a user owns.
    ProjectId
);
id_type!(
    /// One immutable published version of a project.
    DeploymentId
);
id_type!(
    /// The execution that may produce a deployment.
    BuildId
);
id_type!(
    /// A hostname that a user attached to a project.
    DomainId
);
id_type!(
    /// One received webhook.
    DeliveryId
);
id_type!(
    /// A person.
    UserId
);
id_type!(
    /// The team that owns projects.
    OrganizationId
);
id_type!(
    /// Somebody who was asked to join an organization.
    InvitationId
);
id_type!(
    /// A browser's session.
    SessionId
);
id_type!(
    /// A token of a person's program.
    ApiTokenId
);

/// A place in the event stream; rises by commit order, so it also serves as the version of a route.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct EventPosition(pub u64);

impl fmt::Display for EventPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_round_trip() {
        let early = ProjectId::from_parts(1_700_000_000_000, u32::MAX);
        let late = ProjectId::from_parts(1_700_000_000_001, 0);
        assert!(early < late);
        assert!(early.as_str() < late.as_str());
        assert_eq!(early.as_str().parse::<ProjectId>(), Ok(early));
        assert_eq!(early.as_str().len(), ID_LEN);
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in
            ["", "short", "0123456789abcdeI", "0123456789abcdefg", "0123456789ABCDEF", "../../../../etc/p"]
        {
            assert!(text.parse::<DeploymentId>().is_err(), "{text:?}");
        }
    }
}
