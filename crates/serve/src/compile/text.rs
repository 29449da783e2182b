//! Percent-encoding, into the spelling that rules are kept in.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::problems::shown;

pub(super) fn refuse_control(text: &str) -> Result<(), String> {
    match text.chars().find(|c| c.is_control() && *c != '\t') {
        None => Ok(()),
        Some(c) => Err(format!("a control character ({}) can't stand here: remove it", c.escape_default())),
    }
}

/// The text as requested paths are decoded, in composed form as manifests spell names.
pub(super) fn decode_path(text: &str) -> Result<String, String> {
    let decoded = decode(text)?;
    if decoded.contains('\\') {
        return Err(format!("{} has a backslash, which no path has: write `/`", shown(text)));
    }
    if decoded.matches('/').count() != text.matches('/').count() {
        return Err(format!(
            "{} has an encoded slash, and such requests are refused: write `/`",
            shown(text)
        ));
    }
    Ok(if is_nfc(&decoded) { decoded } else { decoded.nfc().collect() })
}

pub(super) fn decode(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    // Most texts are nothing but letters, and a file may have thousands.
    if bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'%') {
        return Ok(text.to_owned());
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], escaped_byte(bytes, at)) {
            (b'%', None) => {
                return Err(format!("{} has a `%` without two hex digits: write `%25`", shown(text)));
            }
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    let decoded =
        String::from_utf8(decoded).map_err(|_| format!("{} is not UTF-8 once decoded", shown(text)))?;
    if decoded.chars().any(char::is_control) {
        return Err(format!("{} holds a control character: remove it", shown(text)));
    }
    Ok(decoded)
}

/// Which characters stay as they are (RFC 3986 §3.3 and §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Fragment,
}

/// Legal characters and `%41` stay as written, everything else is percent-encoded.
pub(super) fn encode(text: &str, place: Place) -> Result<String, String> {
    let bytes = text.as_bytes();
    if bytes.iter().all(|byte| is_legal(*byte, place)) {
        return Ok(text.to_owned());
    }
    refuse_control(text)?;
    let mut encoded = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().copied().enumerate() {
        let escape = escaped_byte(bytes, at);
        if place == Place::Path && escape.is_some_and(|byte| byte.is_ascii_control()) {
            return Err(format!("{} holds an encoded control character: remove it", shown(text)));
        }
        if escape.is_some() || is_legal(byte, place) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(percent_encoding::percent_encode_byte(byte));
        }
    }
    Ok(encoded)
}

fn is_legal(byte: u8, place: Place) -> bool {
    byte.is_ascii_alphanumeric()
        || b"-._~!$&'()*+,;=:@/".contains(&byte)
        || (byte == b'?' && place != Place::Path)
        // Only the first `#` of a URL means something, and browsers keep the others (WHATWG URL §4.4).
        || (byte == b'#' && place == Place::Fragment)
}

/// What `%41` at this place stands for.
fn escaped_byte(bytes: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = bytes.get(at..at + 3)? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? * 16 + digit(*low)?)
}
