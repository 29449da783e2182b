//! Where the body of an HTTP/1 request ends (RFC 9112 §6), or that nobody can be sure.

use super::head::is_token;
use crate::request::{Refusal, lists};

const BOTH: Refusal = Refusal::Malformed("it has both Content-Length and Transfer-Encoding");
const LENGTH: Refusal = Refusal::Malformed("its Content-Length is not one plain number");
const CODING: Refusal = Refusal::Malformed("its Transfer-Encoding is not exactly «chunked»");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nothing follows: there is no body, or one of no bytes.
    Nothing,
    Length(u64),
    Chunked,
}

/// Reads the fields that frame a body, given the values of each.
pub(crate) fn of<'h>(
    mut lengths: impl Iterator<Item = &'h [u8]>,
    mut codings: impl Iterator<Item = &'h [u8]>,
    is_http_10: bool,
) -> Result<Framing, Refusal> {
    let (length, coding) = (lengths.next(), codings.next());
    match (length, coding) {
        (Some(_), Some(_)) => Err(BOTH),
        (None, None) => Ok(Framing::Nothing),
        // Equal ones too: who joins them and who takes the first differs between servers.
        (Some(_), None) if lengths.next().is_some() => Err(LENGTH),
        (Some(length), None) => match content_length(length)? {
            0 => Ok(Framing::Nothing),
            bytes => Ok(Framing::Length(bytes)),
        },
        (None, Some(_)) if is_http_10 || codings.next().is_some() => Err(CODING),
        (None, Some(coding)) => transfer_coding(coding),
    }
}

fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(LENGTH);
    }
    std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).ok_or(LENGTH)
}

/// A coding that we do not know is 501 (RFC 9112 §6.1); one that only looks like `chunked` is an attempt to be read
/// in two ways.
fn transfer_coding(value: &[u8]) -> Result<Framing, Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let mut items = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    if !items.all(is_token) {
        return Err(CODING);
    }
    let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    let before = &value[..value.len() - last.len()];
    if lists(before, "chunked") { Err(CODING) } else { Err(Refusal::Coding) }
}
