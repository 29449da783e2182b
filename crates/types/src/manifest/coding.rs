//! Content codings (RFC 9110 §8.4.1) and the compressed forms of a file.

use crate::content_hash::ContentHash;

/// In the order in which we prefer them: the smallest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Coding {
    /// RFC 7932
    #[serde(rename = "br")]
    Brotli = 1,
    /// RFC 8878
    Zstd = 2,
    /// RFC 1952
    Gzip = 3,
}

impl Coding {
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// The name in `Content-Encoding`, in ETags and in bucket keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| *coding as u8 == byte)
    }
}

/// A compressed form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    pub coding: Coding,
    pub size: u64,
    /// Of the compressed bytes, so that the edge can tell that it got the right ones.
    pub hash: ContentHash,
}

/// A [`Variant`] as it goes into a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NewVariant {
    pub coding: Coding,
    /// Files of more than 4 GiB are not compressed.
    pub size: u32,
    pub hash: ContentHash,
}
