//! Templates filled in: whatever was captured is escaped for the place it goes to.

use loggia_types::rules::Part;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::captures::Captures;
use crate::target::{COMPONENT, SEGMENTS};

/// Texts are escaped when rules are compiled; this only makes sure that they stay in their place.
const QUERY_TEXT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'#');
const FRAGMENT_TEXT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');
/// What is captured may not end a key or a value, begin a fragment or be read as a space or an escape.
const QUERY_VALUE: &AsciiSet = &SEGMENTS.remove(b':').remove(b'@').remove(b'$').remove(b',');
const PATH_TEXT: &AsciiSet = &QUERY_TEXT.add(b'?').add(b'\\');

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Fragment,
}

impl Place {
    fn text(self) -> &'static AsciiSet {
        match self {
            Self::Path => PATH_TEXT,
            Self::Query => QUERY_TEXT,
            Self::Fragment => FRAGMENT_TEXT,
        }
    }

    /// Behind the `?` a slash is a letter like others (RFC 3986 §3.4); in a path it parts segments.
    fn value(self, part: &Part) -> &'static AsciiSet {
        if self == Self::Path { escapes(part) } else { QUERY_VALUE }
    }
}

/// Appends to a URL. `None` once it is longer than `len_max`: a template may repeat what it is filled with.
pub(super) fn fill_url(
    url: &mut String,
    parts: &[Part],
    captures: &Captures<'_>,
    place: Place,
    len_max: usize,
) -> Option<()> {
    for part in parts {
        match (part, captures.get(part)) {
            (Part::Text(text), _) => url.extend(utf8_percent_encode(text, place.text())),
            (_, Some(value)) => url.extend(utf8_percent_encode(value, place.value(part))),
            (_, None) => push_literal(url, part, |name| utf8_percent_encode(name, COMPONENT)),
        }
        if url.len() > len_max {
            return None;
        }
    }
    Some(())
}

/// `https://:lang.example.org`. A capture is letters, digits and hyphens, or it could choose another host.
pub(super) fn fill_origin(parts: &[Part], captures: &Captures<'_>) -> Option<String> {
    let mut origin = String::new();
    for part in parts {
        match part {
            Part::Text(text) => origin.push_str(text),
            Part::Name(_) | Part::Splat => {
                origin.push_str(captures.get(part).filter(|label| is_label(label))?);
            }
        }
    }
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    is_authority(host).then_some(origin)
}

/// Not escaped: for a path of ours, which is looked up and not sent.
pub(super) fn fill_path(parts: &[Part], captures: &Captures<'_>, len_max: usize) -> Option<String> {
    let mut path = String::new();
    for part in parts {
        match (part, captures.get(part)) {
            (Part::Text(text), _) => path.push_str(text),
            // A query's value may hold a slash; a name stands for one segment.
            (Part::Name(_), Some(value)) if value.contains('/') => return None,
            (_, Some(value)) => path.push_str(value),
            (_, None) => push_literal(&mut path, part, |name| [name]),
        }
        if path.len() > len_max {
            return None;
        }
    }
    Some(path)
}

/// Texts as they are, captures escaped as in a path, so that none brings a byte of its own into a header.
pub(super) fn fill_header(parts: &[Part], captures: &Captures<'_>) -> String {
    let mut value = String::new();
    for part in parts {
        match (part, captures.get(part)) {
            (Part::Text(text), _) => value.push_str(text),
            (_, Some(captured)) => value.extend(utf8_percent_encode(captured, escapes(part))),
            (_, None) => push_literal(&mut value, part, |name| utf8_percent_encode(name, COMPONENT)),
        }
    }
    value
}

pub(super) fn is_text(parts: &[Part]) -> bool {
    parts.iter().all(|part| matches!(part, Part::Text(_)))
}

fn escapes(part: &Part) -> &'static AsciiSet {
    if matches!(part, Part::Splat) { SEGMENTS } else { COMPONENT }
}

/// A host, perhaps with a port; an IPv6 address stands in brackets. No user: browsers hide it, phishers like it.
fn is_authority(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// What the pattern does not capture stays as it is written.
fn push_literal<'p, I: IntoIterator<Item = &'p str>>(
    out: &mut String,
    part: &'p Part,
    spell: impl FnOnce(&'p str) -> I,
) {
    out.push(':');
    match part {
        Part::Name(name) => out.extend(spell(name)),
        Part::Text(_) | Part::Splat => out.push_str("splat"),
    }
}
