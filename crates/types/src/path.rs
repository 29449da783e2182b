//! The path of a file inside a deployment.

use std::str::FromStr;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// S3 keys hold 1,024 bytes, of which project, deployment and `.loggia/zstd/` need up to 54; a path that
/// would not fit with them is refused by the key itself, this bound is what people are told.
pub const SITE_PATH_LEN_MAX: usize = 960;

/// The folder that holds the platform's own objects of a deployment.
pub const RESERVED_FOLDER: &str = ".loggia";

/// A relative path with `/` between segments, e.g. `docs/index.html`: UTF-8 in NFC, no empty, `.` or `..`
/// segment, no control characters, no backslash, not below `.loggia/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SitePath(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    #[error("a path can't be empty")]
    Empty,
    #[error("a path has at most {SITE_PATH_LEN_MAX} bytes, this one has {len}")]
    TooLong { len: usize },
    #[error("a path is relative: it can't begin with `/`")]
    Absolute,
    #[error("a path can't contain an empty, `.` or `..` segment")]
    DotSegment,
    #[error("a path can't contain a backslash or control characters")]
    ControlCharacter,
    #[error("`{RESERVED_FOLDER}/` is reserved for the platform")]
    Reserved,
}

impl SitePath {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

/// Whether the text is one that a [`SitePath`] holds. Allocates nothing.
pub(crate) fn is_site_path(text: &str) -> bool {
    let is_plain = |byte: u8| !byte.is_ascii_control() && byte != b'\\';
    let has_good_chars =
        if text.is_ascii() { text.bytes().all(is_plain) } else { !has_bad_char(text) && is_nfc(text) };
    has_good_chars && text.len() <= SITE_PATH_LEN_MAX && !has_dot_segment(text) && !is_reserved(text)
}

fn has_bad_char(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || c == '\\')
}

/// Or an empty one.
fn has_dot_segment(text: &str) -> bool {
    text.split('/').any(|segment| matches!(segment, "" | "." | ".."))
}

fn is_reserved(text: &str) -> bool {
    text.strip_prefix(RESERVED_FOLDER).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl FromStr for SitePath {
    type Err = InvalidPath;
    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        if text.is_empty() {
            return Err(InvalidPath::Empty);
        }
        if text.starts_with('/') {
            return Err(InvalidPath::Absolute);
        }
        if has_bad_char(text) {
            return Err(InvalidPath::ControlCharacter);
        }
        // macOS hands out decomposed names; browsers ask for composed ones.
        let composed: String = if is_nfc(text) { text.to_owned() } else { text.nfc().collect() };
        if composed.len() > SITE_PATH_LEN_MAX {
            return Err(InvalidPath::TooLong { len: composed.len() });
        }
        if has_dot_segment(&composed) {
            return Err(InvalidPath::DotSegment);
        }
        if is_reserved(&composed) {
            return Err(InvalidPath::Reserved);
        }
        Ok(Self(composed.into()))
    }
}

text_type!(SitePath, example = "assets/app.css");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_accepted_or_refused_with_the_reason() {
        let cases: &[(&str, Result<&str, InvalidPath>)] = &[
            ("index.html", Ok("index.html")),
            ("a/b/c d.txt", Ok("a/b/c d.txt")),
            (".well-known/security.txt", Ok(".well-known/security.txt")),
            ("e\u{301}.html", Ok("\u{e9}.html")),
            (".loggiax/a", Ok(".loggiax/a")),
            ("", Err(InvalidPath::Empty)),
            ("/etc/passwd", Err(InvalidPath::Absolute)),
            ("a/../b", Err(InvalidPath::DotSegment)),
            ("..", Err(InvalidPath::DotSegment)),
            ("a//b", Err(InvalidPath::DotSegment)),
            ("a/", Err(InvalidPath::DotSegment)),
            ("./a", Err(InvalidPath::DotSegment)),
            ("a\\b", Err(InvalidPath::ControlCharacter)),
            ("a\0b", Err(InvalidPath::ControlCharacter)),
            ("a\nb", Err(InvalidPath::ControlCharacter)),
            (".loggia/manifest", Err(InvalidPath::Reserved)),
            (".loggia", Err(InvalidPath::Reserved)),
        ];
        for (text, expected) in cases {
            let parsed = text.parse::<SitePath>();
            assert_eq!(parsed.as_ref().map(SitePath::as_str), expected.as_ref().copied(), "{text:?}");
            assert_eq!(is_site_path(text), *expected == Ok(*text), "{text:?}");
        }
        assert_eq!("x".repeat(961).parse::<SitePath>(), Err(InvalidPath::TooLong { len: 961 }));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_inside_its_folder_and_parses_again(text in "\\PC{0,40}|[./a-z\\\\]{0,12}") {
            let parsed = text.parse::<SitePath>();
            prop_assert_eq!(is_site_path(&text), parsed.as_ref().is_ok_and(|path| path.as_str() == text));
            if let Ok(path) = parsed {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.as_str().split('/').all(|s| !s.is_empty() && s != "." && s != ".."));
                prop_assert_eq!(path.as_str().parse::<SitePath>(), Ok(path.clone()));
            }
        }
    }
}
