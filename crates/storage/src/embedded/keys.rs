//! Object keys as file names.
//!
//! A key is any text of 1 to 1024 bytes, so it is never used as a path. It is cut into steps, each of which
//! becomes one escaped file name, and the first letter of a file name says what it is:
//!
//! | step   | key bytes                              | on disk                 |
//! |--------|----------------------------------------|-------------------------|
//! | folder | up to the next `/`, the slash included | directory `f<escaped>`  |
//! | part   | [`STEP_LEN`] bytes without a slash     | directory `p<escaped>`  |
//! | object | the rest                               | file `o<escaped>`       |
//!
//! Why this layout, and not a hash of the key: listing by prefix opens one directory instead of walking the
//! bucket, and the bytes that a step stands for ([`Name::key_bytes`]) order the entries of a directory as S3
//! orders keys, with the contents of a subdirectory in one piece. That holds because a folder's bytes end in
//! `/`, which no other step contains, and because a run of [`STEP_LEN`] bytes without a slash is always a part,
//! so no sibling can sort into its middle. The letters let `a`, `a/` and `a/b` stand side by side, and an empty
//! name (`a//b`) has a file name too.
//!
//! Escaped names hold only `a-z 0-9 - _ . %`. Capital letters are escaped as well: keys are case-sensitive,
//! and the file systems of some machines that people develop on are not.

use std::path::PathBuf;

/// S3's own limit.
pub(super) const KEY_LEN_MAX: usize = 1024;

/// Key bytes per file name: a byte escapes to at most 3, and 3 x 80 + 1 letter = 241 <= 255 (`NAME_MAX`).
pub(super) const STEP_LEN: usize = 80;

/// A key takes at most 3 x 1024 bytes escaped, and 2 more (letter, separator) for each of 1024 / 80 + 1 parts:
/// 3,098. (A slash costs its 2 bytes instead of 3.) With 64 for the bucket and 20 for our own directories,
/// 4,096 (`PATH_MAX`) leaves 900.
pub(super) const ROOT_LEN_MAX: usize = 900;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    Part,
    Object,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Folder => 'f',
            Self::Part => 'p',
            Self::Object => 'o',
        }
    }
}

/// A decoded file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) kind: Kind,
    /// The bytes of the key that this step stands for, a folder's slash included.
    pub(super) key_bytes: Vec<u8>,
}

impl Name {
    /// `None` for a file name that [`file_name`] would not have written: not ours.
    pub(super) fn decode(file_name: &str) -> Option<Self> {
        let kind = match file_name.chars().next()? {
            'f' => Kind::Folder,
            'p' => Kind::Part,
            'o' => Kind::Object,
            _ => return None,
        };
        let mut key_bytes = unescape(&file_name[1..])?;
        if kind == Kind::Folder {
            key_bytes.push(b'/');
        }
        Some(Self { kind, key_bytes })
    }
}

/// Where the object of this key lies, below its bucket.
pub(super) fn object_path(key: &str) -> PathBuf {
    let (mut path, rest) = directory_of(key.as_bytes());
    path.push(file_name(Kind::Object, rest));
    path
}

/// The deepest directory that holds every key with this prefix, and the end of the prefix, for which the
/// entries of that directory must be looked at.
pub(super) fn directory_of(prefix: &[u8]) -> (PathBuf, &[u8]) {
    let mut path = PathBuf::new();
    let mut rest = prefix;
    loop {
        let window = &rest[..rest.len().min(STEP_LEN)];
        if let Some(slash) = window.iter().position(|byte| *byte == b'/') {
            path.push(file_name(Kind::Folder, &rest[..slash]));
            rest = &rest[slash + 1..];
        } else if window.len() == STEP_LEN {
            path.push(file_name(Kind::Part, window));
            rest = &rest[STEP_LEN..];
        } else {
            return (path, rest);
        }
    }
}

/// S3's rules for bucket names, without its reserved ones. They make the name safe as a directory's.
pub(super) fn is_bucket_name(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| allowed(*byte))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && !name.contains("..")
}

fn file_name(kind: Kind, bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut name = String::with_capacity(1 + bytes.len());
    name.push(kind.letter());
    for &byte in bytes {
        if is_plain(byte) {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push(char::from(HEX[usize::from(byte >> 4)]));
            name.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    name
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(is_plain(byte).then_some(byte)?);
            continue;
        }
        let escaped = hex_value(rest.next()?)? << 4 | hex_value(rest.next()?)?;
        // Only one spelling of a name is ours; two files must not claim one key.
        bytes.push((!is_plain(escaped)).then_some(escaped)?);
    }
    Some(bytes)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_these_paths() {
        let long = "x".repeat(STEP_LEN);
        let cases = [
            ("a", "oa"),
            ("a/b", "fa/ob"),
            ("a/", "fa/o"),
            ("/", "f/o"),
            ("a//b", "fa/f/ob"),
            ("../etc/passwd", "f../fetc/opasswd"),
            (".", "o."),
            ("README.md", "o%52%45%41%44%4d%45.md"),
            ("ü %", "o%c3%bc%20%25"),
            ("a\0b", "oa%00b"),
            (&long, &format!("p{long}/o")),
            (&format!("{long}/b"), &format!("p{long}/f/ob")),
        ];
        for (key, path) in cases {
            assert_eq!(object_path(key), PathBuf::from(path), "{key:?}");
        }
    }

    #[test]
    fn file_names_round_trip_and_others_are_not_ours() {
        for kind in [Kind::Folder, Kind::Part, Kind::Object] {
            let all: Vec<u8> = (0..=255).filter(|byte| *byte != b'/').collect();
            for bytes in all.chunks(STEP_LEN) {
                let name = file_name(kind, bytes);
                assert!(name.len() <= 255, "{name}");
                let decoded = Name::decode(&name).expect("we wrote it");
                let expected = if kind == Kind::Folder { [bytes, b"/"].concat() } else { bytes.to_vec() };
                assert_eq!(decoded, Name { kind, key_bytes: expected });
            }
        }
        for foreign in ["", "x", "oA", "o%", "o%4", "o%41x%zz", "o%61", "o%C3", ".DS_Store", "lost+found"] {
            assert_eq!(Name::decode(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn the_longest_paths_fit_into_path_max() {
        for key in ["\u{7f}".repeat(KEY_LEN_MAX), "/".repeat(KEY_LEN_MAX), "A/".repeat(KEY_LEN_MAX / 2)] {
            let len = object_path(&key).as_os_str().len();
            assert!(len + ROOT_LEN_MAX + 64 + 20 <= 4096, "{len}");
        }
    }

    #[test]
    fn bucket_names_are_safe_directory_names() {
        for good in ["abc", "loggia-objects", "a.b.c", "0-0"] {
            assert!(is_bucket_name(good), "{good}");
        }
        for bad in ["", "ab", "..", "...", "a/b", "Abc", "a..b", "-ab", "ab-", &"a".repeat(64)] {
            assert!(!is_bucket_name(bad), "{bad}");
        }
    }
}
