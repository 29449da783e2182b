//! Moments in UTC, in RFC 3339 on the wire.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A moment in UTC. Serialised as RFC 3339, for example `2026-03-01T12:00:00.25Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(#[serde(with = "time::serde::rfc3339")] pub OffsetDateTime);

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples(["2026-03-01T12:00:00.25Z"])
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Timestamp {}

impl Timestamp {
    pub fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    pub fn from_unix_secs(secs: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(secs).ok().map(Self)
    }

    pub fn unix_secs(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Time since `earlier`, zero if the clock went backwards.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        (self.0 - earlier.0).try_into().unwrap_or_default()
    }

    pub fn after(self, time: std::time::Duration) -> Self {
        Self(self.0 + time)
    }

    pub fn before(self, time: std::time::Duration) -> Self {
        Self(self.0 - time)
    }
}

pub(crate) fn unix_ms_now() -> u64 {
    let millis = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    u64::try_from(millis).unwrap_or_default()
}
