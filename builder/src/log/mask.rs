//! Secret values become `***` in whatever a build prints.
//!
//! Masked are a value's lines, and the whole value as base64 (wherever in a longer text it stands, and wrapped at 64 or 76
//! characters), percent-encoded, in hex, and as in JSON. A line of fewer than four characters is not: it is in every other
//! word. Nor is what a build makes of a value in other ways: reversed, compressed, a character a line. This is against
//! accidents; who may change a project's code may read its secrets.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;

use aho_corasick::AhoCorasick;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use loggia_types::variable::SECRET_LEN_MIN;

const MASK: &str = "***";

/// Larger values are certificates and configuration files, which are not sent anywhere in an encoded form; a private key
/// of 4096 bits has 3.2 KiB.
const ENCODED_BYTES_MAX: usize = 4 * 1024;

/// As PEM wraps base64, and as MIME and `base64` do.
const WRAPPED_AT: [usize; 2] = [64, 76];

/// Prints as a number of secrets.
#[derive(Default)]
pub(super) struct Mask {
    /// Finds all forms of all values at once: 500 variables have some 10,000, and a log has 100,000 lines.
    forms: Option<AhoCorasick>,
    longest: usize,
    secrets: usize,
}

impl Mask {
    pub(super) fn new(values: &[String]) -> Self {
        let forms: BTreeSet<String> = values
            .iter()
            .flat_map(|value| forms(value))
            .filter(|form| form.len() >= SECRET_LEN_MIN)
            .collect();
        let longest = forms.iter().map(String::len).max().unwrap_or(0);
        let searcher = (!forms.is_empty())
            .then(|| AhoCorasick::new(&forms).expect("fewer than 2^31 states: values have 768 KiB at most"));
        Self { forms: searcher, longest, secrets: values.len() }
    }

    pub(super) fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let found = self.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(cover(text, &found))
    }

    /// Masks the beginning of a text that goes on. What may be the beginning of a secret is left, to be put before what
    /// comes next.
    pub(super) fn apply_to_beginning<'t>(&self, text: &'t str) -> (String, &'t str) {
        // Whatever begins before this is seen to its end.
        let mut end = text.floor_char_boundary(text.len() - self.longest.saturating_sub(1).min(text.len()));
        let found = self.find(text);
        if let Some(cut) = found.iter().find(|range| range.start < end && end < range.end) {
            end = cut.end;
        }
        let found: Vec<_> = found.into_iter().filter(|range| range.end <= end).collect();
        (cover(&text[..end], &found), &text[end..])
    }

    /// Where secrets stand, those that overlap as one.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let Some(forms) = &self.forms else { return Vec::new() };
        let mut all: Vec<_> = forms.find_overlapping_iter(text).map(|found| found.range()).collect();
        all.sort_by_key(|range| (range.start, range.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in all {
            match merged.last_mut().filter(|last| range.start < last.end) {
                Some(last) => last.end = last.end.max(range.end),
                None => merged.push(range),
            }
        }
        merged
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} secrets)", self.secrets)
    }
}

fn cover(text: &str, found: &[Range<usize>]) -> String {
    let mut covered = String::with_capacity(text.len());
    let mut end = 0;
    for range in found {
        covered.push_str(&text[end..range.start]);
        covered.push_str(MASK);
        end = range.end;
    }
    covered.push_str(&text[end..]);
    covered
}

/// The ways in which a value may be printed.
fn forms(value: &str) -> Vec<String> {
    // A value of several lines, e.g. a private key, is printed line by line.
    let mut forms: Vec<String> = value.lines().map(|line| line.trim().to_owned()).collect();
    let value = value.trim();
    if value.is_empty() || value.len() > ENCODED_BYTES_MAX {
        return forms;
    }
    forms.push(in_json(value));
    forms.extend([HEXLOWER.encode(value.as_bytes()), HEXUPPER.encode(value.as_bytes())]);
    for before in 0..3 {
        forms.push(in_base64(&BASE64_NOPAD, value, before));
        forms.push(in_base64(&BASE64URL_NOPAD, value, before));
    }
    let whole = in_base64(&BASE64_NOPAD, value, 0);
    for width in WRAPPED_AT {
        forms.extend(whole.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned()));
    }
    // `encodeURIComponent`, RFC 3986, and forms, each with either case of digits.
    for (kept, blank) in [("-_.!~*'()", "%20"), ("-_.~", "%20"), ("-_.*", "+")] {
        forms.push(in_url(value, kept, blank, false));
        forms.push(in_url(value, kept, blank, true));
    }
    forms
}

/// Between the quotes of a JSON text.
fn in_json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// What of a longer text's base64 is the value's alone: `before` bytes of another character's three stand before it.
fn in_base64(alphabet: &data_encoding::Encoding, value: &str, before: usize) -> String {
    let bytes = [&[0; 2][..before], value.as_bytes()].concat();
    let encoded = alphabet.encode(&bytes);
    // Six bits a character; one that is shared with a neighbour is not the value's.
    let (begin, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    encoded[begin..end].to_owned()
}

fn in_url(value: &str, kept: &str, blank: &str, lower: bool) -> String {
    let mut text = String::with_capacity(value.len() * 3);
    for byte in value.bytes() {
        let c = char::from(byte);
        match c {
            ' ' => text.push_str(blank),
            _ if c.is_ascii_alphanumeric() || kept.contains(c) => text.push(c),
            _ if lower => write!(text, "%{byte:02x}").expect("a string takes everything"),
            _ => write!(text, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::*;

    fn mask(values: &[&str]) -> Mask {
        Mask::new(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let mask = mask(&[
            "hunter22",
            "hunter22-and-more",
            "abc",
            "-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----\n",
            "",
            "pass/word +\"ä\"",
            "wordwrap",
        ]);
        let cases = [
            ("nothing here", "nothing here"),
            ("token=hunter22", "token=***"),
            ("hunter22hunter22", "******"),
            ("hunter22-and-more", "***"),
            ("abc is too short", "abc is too short"),
            ("key: MIIEvQ", "key: ***"),
            // encoded
            ("68756e7465723232 68756E7465723232", "*** ***"),
            ("pass%2Fword%20%2B%22%C3%A4%22", "***"),
            ("pass%2fword+%2b%22%c3%a4%22&x=1", "***&x=1"),
            (r#"{"p":"pass/word +\"ä\""}"#, r#"{"p":"***"}"#),
            (r#""-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----""#, r#""***""#),
            // two that overlap leave nothing of either
            ("pass/word +\"ä\"", "***"),
            ("hunter22-and-morewordwrap", "******"),
        ];
        for (text, expected) in cases {
            assert_eq!(mask.apply(text), expected, "{text:?}");
        }
        assert!(!format!("{mask:?}").contains("hunter22"));
    }

    #[test]
    fn base64_is_masked_whatever_stands_around_the_value_and_however_it_is_wrapped() {
        let long = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(6);
        for secret in ["s3cr3t-v4lue", &long] {
            let mask = mask(&[secret]);
            for before in ["", "u:", "u", "user", "a:b:c"] {
                for after in ["", "\n", "xy", ":z9"] {
                    let text = format!("{before}{secret}{after}");
                    for encoded in [BASE64.encode(text.as_bytes()), BASE64URL_NOPAD.encode(text.as_bytes())] {
                        let masked = mask.apply(&encoded);
                        // At both ends a character may be shared with what stands there.
                        let rest: String = masked.replace(MASK, "");
                        assert!(masked.contains(MASK), "{text}: {masked}");
                        assert!(rest.len() <= (before.len() + after.len()) * 2 + 6, "{text}: {masked}");
                    }
                }
            }
            for width in WRAPPED_AT {
                let encoded = BASE64.encode(secret.as_bytes());
                for line in encoded.as_bytes().chunks(width) {
                    let line = std::str::from_utf8(line).expect("base64");
                    assert!(mask.apply(line).trim_end_matches('=').len() <= 4, "{line}");
                }
            }
        }
    }

    #[test]
    fn a_secret_is_masked_in_whichever_pieces_it_comes() {
        let mask = mask(&["hunter22", "hunter22-and-more", "ünïcödé"]);
        let text = "ä hunter22 and hunter22-and-more, ünïcödé; hunter2";
        let cuts = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
        for (first, second) in cuts.clone().flat_map(|a| cuts.clone().map(move |b| (a.min(b), a.max(b)))) {
            let (mut carried, mut shown) = (String::new(), String::new());
            for piece in [&text[..first], &text[first..second]] {
                carried.push_str(piece);
                let (masked, rest) = mask.apply_to_beginning(&carried);
                shown.push_str(&masked);
                carried = rest.to_owned();
            }
            carried.push_str(&text[second..]);
            shown.push_str(&mask.apply(&carried));
            assert_eq!(shown, "ä *** and ***, ***; hunter2", "cut at {first} and {second}");
        }
        let (shown, rest) = Mask::default().apply_to_beginning("all of it");
        assert_eq!((shown.as_str(), rest), ("all of it", ""));
    }
}
