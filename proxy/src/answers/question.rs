//! All of a request that decides its answer, as one key.

use std::borrow::Borrow;
use std::sync::Arc;

use http::HeaderMap;

/// Longer ones are answered without being remembered. Addresses and the few headers come to some 200 bytes.
const QUESTION_BYTES_MAX: usize = 1024;

/// Who is told how a CDN may keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Public,
    /// A CDN that we trust, or somebody who may look.
    Cdn,
}

/// The headers that answers depend on, each with one line at most.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fields<'r> {
    accept: Option<&'r [u8]>,
    accept_encoding: Option<&'r [u8]>,
    if_modified_since: Option<&'r [u8]>,
    if_none_match: Option<&'r [u8]>,
    fetch_dest: Option<&'r [u8]>,
    fetch_mode: Option<&'r [u8]>,
    has_fetch_metadata: bool,
    /// Something that is not remembered: a range, a demand, or a header that is there twice.
    is_special: bool,
}

impl<'r> Fields<'r> {
    /// Notes a header line. Names are compared in any case.
    pub(crate) fn note(&mut self, name: &[u8], value: &'r [u8]) {
        let field = match name.len() {
            5 if name.eq_ignore_ascii_case(b"range") => {
                return self.is_special = true;
            }
            6 if name.eq_ignore_ascii_case(b"accept") => &mut self.accept,
            8 if name.eq_ignore_ascii_case(b"if-range") || name.eq_ignore_ascii_case(b"if-match") => {
                return self.is_special = true;
            }
            13 if name.eq_ignore_ascii_case(b"if-none-match") => &mut self.if_none_match,
            14 if name.eq_ignore_ascii_case(b"sec-fetch-dest") => {
                self.has_fetch_metadata = true;
                &mut self.fetch_dest
            }
            14 if name.eq_ignore_ascii_case(b"sec-fetch-mode") => {
                self.has_fetch_metadata = true;
                &mut self.fetch_mode
            }
            15 if name.eq_ignore_ascii_case(b"accept-encoding") => &mut self.accept_encoding,
            19 if name.eq_ignore_ascii_case(b"if-unmodified-since") => {
                return self.is_special = true;
            }
            17 if name.eq_ignore_ascii_case(b"if-modified-since") => &mut self.if_modified_since,
            11.. if name[..10].eq_ignore_ascii_case(b"sec-fetch-") => {
                return self.has_fetch_metadata = true;
            }
            _ => return,
        };
        if field.replace(value.trim_ascii()).is_some() {
            self.is_special = true;
        }
    }

    pub(crate) fn of(headers: &'r HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            fields.note(name.as_str().as_bytes(), value.as_bytes());
        }
        fields
    }
}

/// Everything on which the answer to a GET depends, in bytes that differ when anything of it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'b>(&'b [u8]);

/// A question that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<[u8]>);

impl Key {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl<'b> Question<'b> {
    /// Puts it together in a buffer. `None` for what is not remembered.
    pub(crate) fn write(
        buffer: &'b mut Vec<u8>,
        host: &[u8],
        target: &[u8],
        is_https: bool,
        audience: Audience,
        fields: &Fields<'_>,
    ) -> Option<Self> {
        let sized = [
            Some(host),
            Some(target),
            fields.accept,
            fields.accept_encoding,
            fields.if_modified_since,
            fields.if_none_match,
            fields.fetch_dest,
            fields.fetch_mode,
        ];
        let bytes: usize = sized.iter().map(|field| 2 + field.map_or(0, <[u8]>::len)).sum();
        if fields.is_special || bytes >= QUESTION_BYTES_MAX {
            return None;
        }
        let flags = u8::from(is_https)
            | u8::from(audience == Audience::Cdn) << 1
            | u8::from(fields.has_fetch_metadata) << 2;
        buffer.clear();
        buffer.reserve(1 + bytes);
        buffer.push(flags);
        // Lengths first, so that no two lists of fields have the same bytes. A field that is missing differs from an empty one.
        for field in sized {
            let len = field.map_or(0, |field| field.len() + 1);
            buffer.extend_from_slice(&u16::try_from(len).ok()?.to_be_bytes());
            buffer.extend_from_slice(field.unwrap_or_default());
        }
        Some(Self(buffer))
    }

    pub(crate) fn as_bytes(self) -> &'b [u8] {
        self.0
    }

    pub(crate) fn to_key(self) -> Key {
        Key(self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(host: &str, target: &str, lines: &[(&str, &str)]) -> Option<Vec<u8>> {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.note(name.as_bytes(), value.as_bytes());
        }
        let (mut buffer, audience) = (b"of the last one".to_vec(), Audience::Public);
        Question::write(&mut buffer, host.as_bytes(), target.as_bytes(), false, audience, &fields)?;
        Some(buffer)
    }

    #[test]
    fn requests_that_may_be_answered_differently_are_different_questions() {
        type Lines = &'static [(&'static str, &'static str)];
        let cases: &[(&str, &str, Lines)] = &[
            ("a", "/", &[]),
            ("b", "/", &[]),
            ("a", "/x", &[]),
            ("a", "/?x", &[]),
            ("a", "/", &[("Accept", "")]),
            ("a", "/", &[("Accept", "*/*")]),
            ("a", "/", &[("Accept-Encoding", "*/*")]),
            ("a", "/", &[("Accept-Encoding", "br")]),
            ("a", "/", &[("If-None-Match", "br")]),
            ("a", "/", &[("If-Modified-Since", "br")]),
            ("a", "/", &[("Sec-Fetch-Dest", "br")]),
            ("a", "/", &[("Sec-Fetch-Mode", "br")]),
            ("a", "/", &[("Sec-Fetch-Site", "br")]),
            ("a", "/", &[("Accept", "br"), ("Accept-Encoding", "br")]),
        ];
        let questions: Vec<_> =
            cases.iter().map(|(host, target, lines)| question(host, target, lines)).collect();
        for (at, one) in questions.iter().enumerate() {
            assert!(one.is_some(), "{:?}", cases[at]);
            for (other, another) in questions.iter().enumerate().skip(at + 1) {
                assert_ne!(one, another, "{:?} and {:?}", cases[at], cases[other]);
            }
        }
    }

    #[test]
    fn what_changes_no_answer_changes_no_question() {
        let plain = question("a", "/", &[("accept", "x")]);
        let other =
            [("User-Agent", "u"), ("ACCEPT", " x "), ("Referer", "r"), ("Cookie", "c"), ("Sec-Fetc", "")];
        assert_eq!(question("a", "/", &other), plain);
    }

    #[test]
    fn ranges_and_doubled_headers_and_long_addresses_are_not_remembered() {
        assert_eq!(question("a", "/", &[("Range", "bytes=0-1")]), None);
        assert_eq!(question("a", "/", &[("If-Range", "\"x\"")]), None);
        assert_eq!(question("a", "/", &[("Accept", "a"), ("accept", "b")]), None);
        assert_eq!(question("a", &"x".repeat(QUESTION_BYTES_MAX), &[]), None);
    }

    /// Everything that the rules of serving look at is in a question, or keeps an answer from being remembered.
    #[test]
    fn all_that_answers_depend_on_is_looked_at() {
        let plain = question("a", "/", &[]);
        // Where a password counts nothing is remembered, whatever the credentials.
        for name in loggia_serve::respond::DEPENDS_ON.into_iter().filter(|name| *name != "authorization") {
            assert_ne!(question("a", "/", &[(name, "x")]), plain, "{name}");
        }
    }
}
