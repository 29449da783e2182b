//! Secrets at rest. What is stored in Postgres is sealed with a key that is not there: a copy of the database opens
//! nothing.
//!
//! `vault.seal(place, secret)` gives the key's id and bytes for two columns; `vault.open(place, …)` gives it back. The
//! *place* says what the secret is and whose (`variable 01jd… production API_KEY`): bytes that were moved to another row
//! do not open there (XChaCha20-Poly1305 with the place as associated data). A table that keeps what was sealed calls its
//! columns `sealed` and `key_id`, and joins in `db::sealed`: rotations seal everything anew with the key that is used now.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::BASE64URL_NOPAD;

use crate::error::ApiError;

const NONCE_LEN: usize = 24;

/// The keys of an installation. New secrets are sealed with the first; the others still open what they sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRing {
    active: String,
    keys: BTreeMap<String, [u8; 32]>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyRing {
    #[error("a ring of keys is id:key, with commas between several; make a key with `openssl rand -hex 32`")]
    Shape,
    #[error("a key's id has 1 to 32 letters, digits, - or _, got {0:?}")]
    Id(String),
    #[error("the key {0} is not 64 hex digits; make one with `openssl rand -hex 32`")]
    Key(String),
    #[error("the key {0} is there twice")]
    Twice(String),
}

impl FromStr for KeyRing {
    type Err = InvalidKeyRing;

    fn from_str(text: &str) -> Result<Self, InvalidKeyRing> {
        let mut keys = BTreeMap::new();
        let mut active = None;
        // A file may have one on each line.
        let items = text.trim().split([',', '\n']).map(str::trim);
        for item in items.filter(|item| !item.starts_with('#')) {
            let (id, key) = item.split_once(':').ok_or(InvalidKeyRing::Shape)?;
            let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if id.is_empty() || id.len() > 32 || !id.chars().all(is_fine) {
                return Err(InvalidKeyRing::Id(id.chars().take(40).collect()));
            }
            let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(key.as_bytes()).ok();
            let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            // Not shown, for it is one.
            let bytes = bytes.ok_or_else(|| InvalidKeyRing::Key(id.to_owned()))?;
            if keys.insert(id.to_owned(), bytes).is_some() {
                return Err(InvalidKeyRing::Twice(id.to_owned()));
            }
            active.get_or_insert_with(|| id.to_owned());
        }
        Ok(Self { active: active.ok_or(InvalidKeyRing::Shape)?, keys })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({}: ***)", self.keys.keys().cloned().collect::<Vec<_>>().join(", "))
    }
}

/// A secret as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) key_id: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(
        "it was sealed with the key {0}, which is not in LOGGIA_SECRETS_KEYS; put it back, behind the one that is used now"
    )]
    UnknownKey(String),
    #[error("it was changed, or belongs to another place, or the key {0} is another one of the same name")]
    Broken(String),
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> Self {
        Self::internal(format!("a secret cannot be opened: {error}"))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Vault(KeyRing);

impl Vault {
    pub(crate) fn new(ring: KeyRing) -> Self {
        Self(ring)
    }

    /// The id of the key that seals now.
    pub(crate) fn active(&self) -> &str {
        &self.0.active
    }

    pub(crate) fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys.keys().map(String::as_str)
    }

    pub(crate) fn seal(&self, place: &str, secret: &[u8]) -> Sealed {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let cipher = cipher(self.0.keys.get(&self.0.active).expect("the active key is one of the ring"));
        let payload = Payload { msg: secret, aad: place.as_bytes() };
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).expect("a secret is shorter than 256 GiB");
        Sealed { key_id: self.0.active.clone(), bytes: [nonce.as_slice(), &sealed].concat() }
    }

    pub(crate) fn open(&self, place: &str, key_id: &str, bytes: &[u8]) -> Result<Vec<u8>, OpenError> {
        let key = self.0.keys.get(key_id).ok_or_else(|| OpenError::UnknownKey(key_id.to_owned()))?;
        let broken = || OpenError::Broken(key_id.to_owned());
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        cipher(key).decrypt(&XNonce::from(*nonce), payload).map_err(|_| broken())
    }
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key))
}

/// 256 random bits behind a prefix that secret scanners can look for.
pub(crate) fn random_token(prefix: &str) -> String {
    format!("{prefix}{}", BASE64URL_NOPAD.encode(&rand::random::<[u8; 32]>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(text: &str) -> Vault {
        Vault::new(text.parse().expect("a ring"))
    }

    fn key(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    #[test]
    fn a_secret_opens_at_its_place_with_its_key_and_nowhere_else() {
        let old = ring(&format!("old:{}", key('1')));
        let sealed = old.seal("variable p API_KEY", b"hunter2");
        assert!(!sealed.bytes.windows(7).any(|window| window == b"hunter2"));
        assert_ne!(sealed.bytes, old.seal("variable p API_KEY", b"hunter2").bytes, "no two are alike");
        let open = |vault: &Vault, place: &str, bytes: &[u8]| vault.open(place, &sealed.key_id, bytes);
        assert_eq!(open(&old, "variable p API_KEY", &sealed.bytes).as_deref(), Ok(b"hunter2".as_slice()));
        let broken = Err(OpenError::Broken("old".to_owned()));
        assert_eq!(open(&old, "variable q API_KEY", &sealed.bytes), broken);
        for index in 0..sealed.bytes.len() {
            let mut flipped = sealed.bytes.clone();
            flipped[index] ^= 1;
            assert_eq!(open(&old, "variable p API_KEY", &flipped), broken, "{index}");
        }
        for length in 0..sealed.bytes.len() {
            assert_eq!(open(&old, "variable p API_KEY", &sealed.bytes[..length]), broken, "{length}");
        }
        let both = ring(&format!("new:{},old:{}", key('2'), key('1')));
        assert_eq!(open(&both, "variable p API_KEY", &sealed.bytes).as_deref(), Ok(b"hunter2".as_slice()));
        assert_eq!(both.seal("x", b"y").key_id, "new");
        let new = ring(&format!("new:{}", key('2')));
        let missing = open(&new, "variable p API_KEY", &sealed.bytes).expect_err("the key is gone");
        assert!(missing.to_string().contains("the key old"), "{missing}");
        assert_eq!(open(&ring(&format!("old:{}", key('3'))), "variable p API_KEY", &sealed.bytes), broken);
    }

    #[test]
    fn a_ring_is_read_strictly_and_never_shown() {
        let of_a_file = format!("# the first one seals\n2026-11:{}\n2026-03:{}\n", key('a'), key('B'));
        for fine in [format!("2026-11:{}, 2026-03:{}", key('a'), key('B')), of_a_file] {
            let ring: KeyRing = fine.parse().expect("a ring");
            assert_eq!(format!("{ring:?}"), "KeyRing(2026-03, 2026-11: ***)");
            assert_eq!(ring.active, "2026-11");
        }
        for (bad, words) in [
            ("", "id:key"),
            (&*key('a'), "id:key"),
            (&format!("a b:{}", key('a')), "letters"),
            (&format!(":{}", key('a')), "letters"),
            ("k:hunter2", "64 hex digits"),
            (&format!("k:{0},k:{0}", key('a')), "twice"),
        ] {
            let error = bad.parse::<KeyRing>().expect_err(bad).to_string();
            assert!(error.contains(words) && !error.contains("hunter2"), "{bad}: {error}");
        }
    }
}
