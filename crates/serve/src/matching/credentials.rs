//! `Basic-Auth`: who may see the paths of a block (RFC 7617).

use data_encoding::BASE64_NOPAD;
use http::HeaderValue;
use loggia_types::content_hash::ContentHash;
use subtle::{Choice, ConstantTimeEq};

use super::headers::{HeaderMatches, Headers};

/// The credentials that a request has to show: some of each protecting block.
///
/// A visitor has one `Authorization` to send. Where blocks overlap, the inner one narrows the outer one and
/// never opens what the outer one closes; who may see both is named in both.
#[derive(Debug, Clone, Copy)]
pub struct Protection<'h> {
    headers: &'h Headers,
    blocks: HeaderMatches,
}

impl<'h> Protection<'h> {
    pub(super) fn new(headers: &'h Headers, blocks: HeaderMatches) -> Self {
        Self { headers, blocks }
    }

    /// `false`: anybody may come in.
    pub fn is_required(&self) -> bool {
        self.headers.refuses_all() || !self.blocks.is_empty()
    }

    /// Whether this `Authorization` opens every protecting block. Always, if there is none.
    ///
    /// Takes the same time for all credentials of one length: hashes are compared, all of them, to the end.
    pub fn admits(&self, authorization: Option<&HeaderValue>) -> bool {
        if !self.is_required() {
            return true;
        }
        let Some(shown) = authorization.and_then(user_and_password) else { return false };
        let shown = ContentHash::of(&shown);
        let mut opens = Choice::from(u8::from(!self.headers.refuses_all()));
        for number in self.blocks.numbers() {
            let credentials = self.headers.block(number).map_or(&[][..], |block| block.credentials());
            opens &= is_among(&shown, credentials);
        }
        opens.into()
    }
}

fn is_among(shown: &ContentHash, credentials: &[ContentHash]) -> Choice {
    let equal = credentials.iter().map(|one| one.as_bytes().ct_eq(shown.as_bytes()));
    equal.fold(Choice::from(0), |any, equal| any | equal)
}

/// The bytes in `Basic dXNlcjpwYXNzd29yZA==`, with or without padding.
fn user_and_password(authorization: &HeaderValue) -> Option<Vec<u8>> {
    let value = authorization.as_bytes().trim_ascii();
    let (scheme, token) = value.split_at_checked(b"basic".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic") || !token.starts_with(b" ") {
        return None;
    }
    let token = token.trim_ascii();
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count().min(2);
    BASE64_NOPAD.decode(&token[..token.len() - padding]).ok()
}
