//! The SHA-256 of a file's content: its identity in manifests, uploads and `ETag`s.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a content hash is SHA-256 in 64 lower-case hex digits")]
pub struct InvalidContentHash;

impl ContentHash {
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn to_hex(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// The strong `ETag` of the identity coding (RFC 9110 §8.8.3), with its quotes.
    ///
    /// 128 of the 256 bits: the tag only has to tell versions of one URL apart.
    pub fn etag(&self) -> String {
        format!("\"{}\"", data_encoding::HEXLOWER.encode(&self.0[..16]))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl FromStr for ContentHash {
    type Err = InvalidContentHash;
    fn from_str(text: &str) -> Result<Self, InvalidContentHash> {
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(InvalidContentHash);
        }
        data_encoding::HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).map_err(|_| InvalidContentHash)?;
        Ok(Self(bytes))
    }
}

openapi_text!(
    ContentHash,
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "^[0-9a-f]{64}$"
);

impl serde::Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a [`ContentHash`] from pieces, for bodies that are streamed.
#[derive(Debug, Default, Clone)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub fn finish(self) -> ContentHash {
        ContentHash(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_round_trips_as_hex() {
        let hash = ContentHash::of(b"hello");
        assert_eq!(hash.to_hex(), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(hash.to_hex().parse(), Ok(hash));
        assert_eq!(hash.etag(), "\"2cf24dba5fb0a30e26e83b2ac5b9e29e\"");
        assert!(hash.to_hex().to_uppercase().parse::<ContentHash>().is_err());
        assert!("2cf2".parse::<ContentHash>().is_err());
    }
}
