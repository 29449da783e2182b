//! `from` of a redirect and the first line of a header block: what is matched.

use std::collections::HashSet;

use loggia_types::rules::{Dialect, OriginPattern, Part, PathPattern, QueryTest, UrlPattern};

use super::Fault;
use super::limits::PATH_SEGMENTS_MAX;
use super::problems::shown;
use super::template::{Captures, Parts, name_len};
use super::text;
use super::url_text::{self, OriginText, UrlText};

/// Requests for these never reach a rule.
const RESERVED_PREFIXES: [&str; 2] = ["/.loggia/", "/.well-known/acme-challenge/"];

#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) url: UrlPattern,
    pub(super) query: Vec<QueryTest>,
    pub(super) captures: Captures,
    /// Worth saying, though the rule is used.
    pub(super) notes: Vec<String>,
}

/// The pattern of a redirect; `query` are the tests that stand beside it.
pub(super) fn of_redirect(from: &str, query: &[(&str, &str)], dialect: Dialect) -> Result<Pattern, Fault> {
    let url = UrlText::split(from, "the source")?;
    check_segments(url.path, "the source")?;
    if dialect == Dialect::Netlify && (url.path == "/.netlify" || url.path.starts_with("/.netlify/")) {
        let message =
            "paths below `/.netlify/` are Netlify's own and can't be the source of a rule: remove it";
        return Err(Fault::Mistake(message.into()));
    }
    let mut notes = Vec::new();
    if url.fragment.is_some() {
        notes.push(format!("browsers never send what follows the `#` of {}: remove it", shown(from)));
    }
    let mut captures = Captures::default();
    let origin = url.origin.map(|origin| redirect_origin(origin, from, dialect)).transpose()?;
    let path = path(url.path, dialect, &mut captures, &mut notes)?;
    let mut pattern =
        Pattern { url: UrlPattern { origin, path }, query: Vec::new(), captures, notes: Vec::new() };
    match dialect {
        // A query is dropped, as it is there.
        Dialect::Cloudflare => {}
        Dialect::Netlify => {
            let inline = url.query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
            for (key, value) in inline.map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
                pattern.add_query_test(key, value)?;
            }
            for (key, value) in query {
                pattern.add_query_test(key, value)?;
            }
            check_keys_once(&pattern.query)?;
        }
    }
    pattern.notes = notes;
    Ok(pattern)
}

impl Pattern {
    fn add_query_test(&mut self, key: &str, value: &str) -> Result<(), String> {
        let key: Box<str> = decode_query(key)?.into();
        if key.is_empty() {
            return Err("a query test has no key: write `key=value` or `key=:name`".into());
        }
        let value = match value {
            "*" => Part::Splat,
            _ => match whole_name(value) {
                Some(name) => {
                    self.captures.add_name(name)?;
                    Part::Name(name.into())
                }
                None => Part::Text(decode_query(value)?.into()),
            },
        };
        self.query.push(QueryTest { key, value });
        Ok(())
    }
}

/// As forms encode: `+` is a space.
fn decode_query(text: &str) -> Result<String, String> {
    text::decode(&text.replace('+', " "))
}

fn check_keys_once(tests: &[QueryTest]) -> Result<(), String> {
    let mut seen = HashSet::with_capacity(tests.len());
    match tests.iter().find(|test| !seen.insert(&test.key)) {
        Some(twice) => Err(format!("the query key {} is tested twice: keep one of them", shown(&twice.key))),
        None => Ok(()),
    }
}

fn redirect_origin(origin: OriginText<'_>, from: &str, dialect: Dialect) -> Result<OriginPattern, String> {
    if dialect == Dialect::Cloudflare {
        return Err(format!(
            "the source {} names a host, which this dialect does not know: write a path such as `/old`",
            shown(from)
        ));
    }
    self::origin(origin, Dialect::Netlify, &mut Captures::default())
}

/// The pattern of a header block.
pub(super) fn of_block(text: &str, dialect: Dialect) -> Result<Pattern, String> {
    let url = UrlText::split(text, "the path")?;
    if url.query.is_some() || url.fragment.is_some() {
        return Err(format!("{} has a query or fragment: blocks are chosen by path alone", shown(text)));
    }
    let mut captures = Captures::default();
    // A `*` for the host and one for the path are two: `:splat` is then the path's.
    let mut of_host = Captures::default();
    let origin = url.origin.map(|origin| self::origin(origin, dialect, &mut of_host)).transpose()?;
    for part in origin.iter().flat_map(|origin| &origin.host) {
        if let Part::Name(name) = part {
            captures.add_name(name)?;
        }
    }
    let mut notes = Vec::new();
    let path = path(url.path, dialect, &mut captures, &mut notes)?;
    captures.splat |= of_host.splat;
    Ok(Pattern { url: UrlPattern { origin, path }, query: Vec::new(), captures, notes })
}

/// The pattern of `file:/path`: files have one spelling, so nothing is lenient.
pub(super) fn of_file(text: &str, dialect: Dialect) -> Result<Pattern, String> {
    let url = UrlText::split(text, "the file")?;
    if url.origin.is_some() || url.query.is_some() || url.fragment.is_some() || url.path.ends_with('/') {
        return Err(format!("{} is no file: write one such as `file:/index.html`", shown(text)));
    }
    let (mut captures, mut notes) = (Captures::default(), Vec::new());
    let path = PathPattern { lenient: false, ..path(url.path, dialect, &mut captures, &mut notes)? };
    Ok(Pattern { url: UrlPattern { origin: None, path }, query: Vec::new(), captures, notes })
}

fn origin(
    origin: OriginText<'_>,
    dialect: Dialect,
    captures: &mut Captures,
) -> Result<OriginPattern, String> {
    let scheme = url_text::scheme(origin.scheme)?;
    let (host, port) = url_text::split_port(origin.authority)?;
    if port.is_some() {
        return Err(format!(
            "{} names a port, and sites are matched by name: write {}",
            shown(origin.authority),
            shown(host)
        ));
    }
    if !host.contains([':', '*']) {
        return Ok(OriginPattern { scheme, host: vec![Part::Text(url_text::hostname(host)?.into())] });
    }
    match dialect {
        Dialect::Cloudflare => Ok(OriginPattern { scheme, host: host_pattern(host, captures)? }),
        Dialect::Netlify => Err(format!("the host {} holds `*` or `:name`: write a full name", shown(host))),
    }
}

fn host_pattern(host: &str, captures: &mut Captures) -> Result<Vec<Part>, String> {
    let host_lower = |text: &str| {
        let is_host = text.bytes().all(|byte| url_text::is_host_byte(byte) || byte == b'.');
        is_host.then(|| text.to_ascii_lowercase()).ok_or_else(|| format!("{} is no hostname", shown(host)))
    };
    wildcards(host, captures, host_lower)
}

/// A path, which begins with a slash or is empty.
fn path(
    text: &str,
    dialect: Dialect,
    captures: &mut Captures,
    notes: &mut Vec<String>,
) -> Result<PathPattern, String> {
    if let Some(prefix) = RESERVED_PREFIXES.iter().find(|prefix| text.starts_with(**prefix)) {
        return Err(format!("paths below `{prefix}` are the platform's and never reach a rule"));
    }
    let mut segments: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.iter().any(|segment| is_dot_segment(segment)) {
        return Err(format!("{} has a `.` or `..` segment, which requests never have", shown(text)));
    }
    match dialect {
        Dialect::Netlify => netlify_path(&segments, captures, notes),
        Dialect::Cloudflare => {
            if text.ends_with('/') && !segments.is_empty() {
                segments.push("");
            }
            let parts = wildcards(&segments.join("/"), captures, text::decode_path)?;
            Ok(PathPattern { parts, lenient: false })
        }
    }
}

/// `*` and `:name` as whole segments, `*` as the last one only.
fn netlify_path(
    segments: &[&str],
    captures: &mut Captures,
    notes: &mut Vec<String>,
) -> Result<PathPattern, String> {
    let mut parts = Parts::default();
    for (at, segment) in segments.iter().enumerate() {
        if at > 0 {
            parts.text("/");
        }
        if *segment == "*" && at + 1 == segments.len() {
            captures.add_splat()?;
            parts.push(Part::Splat);
        } else if let Some(name) = whole_name(segment) {
            // The first of two of a name is the one that is filled in.
            if !captures.has(name) {
                captures.add_name(name)?;
            }
            parts.push(Part::Name(name.into()));
        } else {
            if segment.contains('*') {
                notes.push(format!(
                    "the `*` in {} stands for itself: it matches anything only as the whole last segment, \
                     `/*`",
                    shown(segment)
                ));
            }
            parts.text(&text::decode_path(segment)?);
        }
    }
    Ok(PathPattern { parts: parts.into_vec(), lenient: true })
}

/// `:name`, and nothing beside it.
fn whole_name(text: &str) -> Option<&str> {
    text.strip_prefix(':').filter(|name| !name.is_empty() && name_len(name) == name.len())
}

/// Cloudflare's patterns: one `*`, and `:name` that begins with a letter, anywhere.
fn wildcards(
    text: &str,
    captures: &mut Captures,
    literal: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<Part>, String> {
    let mut parts = Parts::default();
    let mut rest = text;
    while let Some(at) = next_wildcard(rest) {
        parts.text(&literal(&rest[..at])?);
        let after = &rest[at + 1..];
        rest = if rest[at..].starts_with('*') {
            captures.add_splat()?;
            parts.push(Part::Splat);
            after
        } else {
            let (name, after) = after.split_at(name_len(after));
            captures.add_name(name)?;
            parts.push(Part::Name(name.into()));
            after
        };
    }
    parts.text(&literal(rest)?);
    Ok(parts.into_vec())
}

fn next_wildcard(text: &str) -> Option<usize> {
    text.match_indices(['*', ':'])
        .find(|(at, found)| *found == "*" || text[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic()))
        .map(|(at, _)| at)
}

pub(super) fn is_dot_segment(segment: &str) -> bool {
    // `%2e` is a dot to every client that cleans up URLs.
    matches!(segment, "." | "..")
        || (segment.contains('%')
            && matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."))
}

pub(super) fn check_segments(path: &str, what: &str) -> Result<(), Fault> {
    match path.split('/').filter(|segment| !segment.is_empty()).count() {
        count if count > PATH_SEGMENTS_MAX => Err(Fault::Limit(format!(
            "{what} {} has {count} segments, a path in a rule has at most {PATH_SEGMENTS_MAX}",
            shown(path)
        ))),
        _ => Ok(()),
    }
}
