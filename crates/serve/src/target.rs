//! The one canonicaliser of request targets, and the one place that decodes them.
//!
//! Everything behind it sees a decoded path without `.`/`..`, empty or slash-carrying segments, so no rule
//! and no look-up can be talked into another file. A `Location` is built here and nowhere else.

use std::borrow::Cow;

use crate::decide::is_hidden;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode, utf8_percent_encode};
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// What `encodeURIComponent` escapes (ECMA-262 §19.2.6.4).
pub(crate) const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The same for several segments at once.
pub(crate) const SEGMENTS: &AsciiSet = &COMPONENT.remove(b'/');

/// Folders that no site can have files in.
const RESERVED: &[&str] = &[".loggia", ".well-known/acme-challenge"];

/// A query is passed on as it came; only what a header value or a URL cannot hold is escaped.
pub(crate) const QUERY_ESCAPED: &AsciiSet =
    &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    #[error("the address has no path")]
    NoPath,
    #[error("the address contains a % that is not followed by two hex digits")]
    Escape,
    #[error("the address contains a control character, a backslash, or an escaped slash")]
    ForbiddenByte,
    #[error("the address is not UTF-8")]
    NotUtf8,
    #[error("the address leads out of the site")]
    Climbs,
}

/// A request target (RFC 9112 §3.2.1), understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'r> {
    path: Cow<'r, str>,
    query: Option<&'r [u8]>,
    is_canonical: bool,
}

impl<'r> Target<'r> {
    /// Parses an origin-form target: a path that begins with `/`, and perhaps a query.
    pub fn parse(raw: &'r [u8]) -> Result<Self, BadTarget> {
        let raw = raw.split(|byte| *byte == b'#').next().unwrap_or(raw);
        let (path, query) = match raw.iter().position(|byte| *byte == b'?') {
            Some(at) => (&raw[..at], Some(&raw[at + 1..])),
            None => (raw, None),
        };
        if query.is_some_and(|query| query.iter().any(u8::is_ascii_control)) {
            return Err(BadTarget::ForbiddenByte);
        }
        let relative = path.strip_prefix(b"/").ok_or(BadTarget::NoPath)?;
        if let Some(path) = as_plain(relative) {
            return Ok(Self { path: Cow::Borrowed(path), query, is_canonical: true });
        }
        let decoded = composed(decode(relative)?);
        let is_canonical = encode(&decoded).as_bytes() == relative;
        Ok(Self { path: Cow::Owned(decoded), query, is_canonical })
    }

    /// Decoded, without the leading slash: `docs/a b.html`. A slash at the end is kept; the root is empty.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the request spelled the path the one way in which we do.
    pub fn is_canonical(&self) -> bool {
        self.is_canonical
    }

    /// As it was sent, without `?`.
    pub fn query(&self) -> Option<&'r [u8]> {
        self.query
    }

    /// Names a file that is not public: `.git/config`, `.env`, `_headers`.
    pub fn is_hidden(&self) -> bool {
        is_hidden(&self.path)
    }

    /// Belongs to the platform on every site (docs/BEHAVIOR.md §1 step 0).
    pub fn is_reserved(&self) -> bool {
        let is_in = |folder: &&str| {
            let rest = self.path.strip_prefix(*folder);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        RESERVED.iter().any(is_in)
    }

    /// The `Location` of a path of this site, with the query of this request.
    ///
    /// Never begins with `//` or `/\`: a decoded path has no empty first segment and no backslash.
    pub fn location(&self, path: &[&str]) -> String {
        let mut location = String::from("/");
        for piece in path {
            location.extend(utf8_percent_encode(piece, SEGMENTS));
        }
        if let Some(query) = self.query {
            location.push('?');
            location.extend(percent_encode(query, QUERY_ESCAPED));
        }
        location
    }
}

/// Paths of files are composed (NFC). A link that was written on a Mac may not be.
fn composed(path: String) -> String {
    if path.is_ascii() || is_nfc(&path) { path } else { path.nfc().collect() }
}

fn encode(path: &str) -> String {
    utf8_percent_encode(path, SEGMENTS).to_string()
}

/// The path itself when it needs no decoding at all, which is what nearly every request sends.
fn as_plain(relative: &[u8]) -> Option<&str> {
    let mut at_start = true;
    for byte in relative {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => at_start = false,
            b'-' | b'_' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => at_start = false,
            // A dot at the start of a segment may be a dot segment.
            b'.' if !at_start => {}
            b'/' if !at_start => at_start = true,
            _ => return None,
        }
    }
    std::str::from_utf8(relative).ok()
}

/// Decodes segment by segment, drops empty and `.` ones and resolves `..`.
fn decode(relative: &[u8]) -> Result<String, BadTarget> {
    // Either empty, or ends in a slash, up to the last segment.
    let mut decoded = String::with_capacity(relative.len());
    let mut segments = relative.split(|byte| *byte == b'/').peekable();
    while let Some(raw) = segments.next() {
        match decode_segment(raw)?.as_ref() {
            "" | "." => {}
            ".." => drop_last_segment(&mut decoded)?,
            segment => {
                decoded.push_str(segment);
                if segments.peek().is_some() {
                    decoded.push('/');
                }
            }
        }
    }
    Ok(decoded)
}

fn drop_last_segment(decoded: &mut String) -> Result<(), BadTarget> {
    let folder = decoded.strip_suffix('/').ok_or(BadTarget::Climbs)?;
    let end = folder.rfind('/').map_or(0, |at| at + 1);
    decoded.truncate(end);
    Ok(())
}

fn decode_segment(raw: &[u8]) -> Result<Cow<'_, str>, BadTarget> {
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => rest = &rest[at + 3..],
            _ => return Err(BadTarget::Escape),
        }
    }
    let decoded: Cow<'_, [u8]> = percent_decode(raw).into();
    if decoded.iter().any(|byte| byte.is_ascii_control() || matches!(byte, b'/' | b'\\')) {
        return Err(BadTarget::ForbiddenByte);
    }
    match decoded {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| BadTarget::NotUtf8),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| BadTarget::NotUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(raw: &[u8]) -> String {
        match Target::parse(raw) {
            Ok(target) if target.is_canonical() => format!("{:?}", target.path()),
            Ok(target) => format!("{:?} at {}", target.path(), target.location(&[target.path()])),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn the_platforms_own_folders_are_reserved() {
        let is_reserved = |target: &str| Target::parse(target.as_bytes()).expect("valid").is_reserved();
        for target in ["/.loggia", "/.loggia/", "/.loggia/x", "/%2eloggia/x", "/.well-known/acme-challenge/x"]
        {
            assert!(is_reserved(target), "{target}");
        }
        for target in ["/", "/.loggiax", "/a/.loggia/x", "/.well-known/security.txt"] {
            assert!(!is_reserved(target), "{target}");
        }
    }

    #[test]
    fn targets_have_one_spelling() {
        let cases: &[(&str, &str)] = &[
            // target           decoded path, and the canonical spelling if it is another
            ("/", r#""""#),
            ("/a/b.css", r#""a/b.css""#),
            ("/a/", r#""a/""#),
            ("/a?b=//c", r#""a""#),
            ("/a#frag", r#""a""#),
            ("//", r#""" at /"#),
            ("//evil.example/x", r#""evil.example/x" at /evil.example/x"#),
            ("///evil.example", r#""evil.example" at /evil.example"#),
            ("/a//b", r#""a/b" at /a/b"#),
            ("/a/./b", r#""a/b" at /a/b"#),
            ("/a/.", r#""a/" at /a/"#),
            ("/a/../b", r#""b" at /b"#),
            ("/a/b/..", r#""a/" at /a/"#),
            ("/a/..", r#""" at /"#),
            ("/a/%2e%2E/b", r#""b" at /b"#),
            ("/%61", r#""a" at /a"#),
            ("/a%20b", r#""a b""#),
            ("/a b", r#""a b" at /a%20b"#),
            ("/%c3%bc", r#""ü" at /%C3%BC"#),
            ("/%C3%BC", r#""ü""#),
            ("/ü", r#""ü" at /%C3%BC"#),
            ("/u%CC%88", r#""ü" at /%C3%BC"#),
            ("/a+b", r#""a+b" at /a%2Bb"#),
            ("/@scope", r#""@scope" at /%40scope"#),
            ("/(a)!~*'", r#""(a)!~*'""#),
            ("/%252e%252e/x", r#""%2e%2e/x""#),
            ("/a%3Fb", r#""a?b""#),
            ("/a%23b", r#""a#b""#),
            ("/.well-known/x", r#"".well-known/x""#),
            ("/..", "Climbs"),
            ("/../etc/passwd", "Climbs"),
            ("/a/../../b", "Climbs"),
            ("/%2e%2e/b", "Climbs"),
            ("/%2e./b", "Climbs"),
            ("/a%2fb", "ForbiddenByte"),
            ("/a%2Fb", "ForbiddenByte"),
            ("/a%5cb", "ForbiddenByte"),
            ("/\\evil.example", "ForbiddenByte"),
            ("/a\\..\\b", "ForbiddenByte"),
            ("/a%00", "ForbiddenByte"),
            ("/a%0d%0aX:y", "ForbiddenByte"),
            ("/a%7f", "ForbiddenByte"),
            ("/a?b\r\nc", "ForbiddenByte"),
            ("/a%", "Escape"),
            ("/a%2", "Escape"),
            ("/a%zz", "Escape"),
            ("/%%61", "Escape"),
            ("/%ff", "NotUtf8"),
            ("/%c0%af", "NotUtf8"),
            ("", "NoPath"),
            ("*", "NoPath"),
            ("a", "NoPath"),
            ("http://a/b", "NoPath"),
            ("?x", "NoPath"),
        ];
        for (raw, expected) in cases {
            assert_eq!(summary(raw.as_bytes()), *expected, "{raw}");
        }
        assert_eq!(summary(b"/\xff"), "NotUtf8");
    }

    #[test]
    fn dot_files_are_hidden_but_well_known_is_not() {
        for (path, hidden) in [
            ("/.git/config", true),
            ("/.env", true),
            ("/a/.env.local", true),
            ("/.well-known/.secret", true),
            ("/%2egit/config", true),
            ("/_headers", true),
            ("/netlify.toml", true),
            ("/docs/_headers", false),
            ("/.well-known/security.txt", false),
            ("/a.b/c", false),
        ] {
            assert_eq!(Target::parse(path.as_bytes()).map(|target| target.is_hidden()), Ok(hidden), "{path}");
        }
    }

    #[test]
    fn a_query_is_kept_and_cannot_break_a_header() {
        let target = Target::parse(b"/a//b?x=1&y=/../%0a\xff \"").expect("parses");
        assert_eq!(target.location(&["a/b"]), "/a/b?x=1&y=/../%0a%FF%20%22");
    }
}
