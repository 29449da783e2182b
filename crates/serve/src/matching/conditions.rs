//! `Country=`, `Language=`, `Host=`, `Cookie=` and `Header:name=`.

use std::cell::OnceCell;

use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, COOKIE};
use loggia_types::rules::Condition;

use super::RuleRequest;

/// A request, and what was found out about it for an earlier rule.
#[derive(Debug)]
pub(super) struct Visitor<'r> {
    request: &'r RuleRequest<'r>,
    language: OnceCell<Option<&'r str>>,
}

impl<'r> Visitor<'r> {
    pub(super) fn new(request: &'r RuleRequest<'r>) -> Self {
        Self { request, language: OnceCell::new() }
    }

    pub(super) fn meets(&self, condition: &Condition) -> bool {
        let RuleRequest { headers, host, country, .. } = *self.request;
        match condition {
            Condition::Country(countries) => {
                country.is_some_and(|here| countries.iter().any(|country| country.eq_ignore_ascii_case(here)))
            }
            Condition::Language(ranges) => {
                self.language().is_some_and(|tag| ranges.iter().any(|range| covers(range, tag)))
            }
            Condition::Host(hosts) => hosts.iter().any(|other| **other == *host),
            Condition::Cookie(names) => names.iter().any(|name| has_cookie(headers, name)),
            Condition::Header { name, values } => has_header(headers, name, values),
        }
    }

    /// The one language the visitor likes best, as Netlify compares it: a rule for the second-best would
    /// otherwise take a visitor away from the first, just because it stands higher in the file.
    fn language(&self) -> Option<&'r str> {
        *self.language.get_or_init(|| preferred_language(self.request.headers))
    }
}

/// The language of highest quality, the first of equals; an entry that is malformed or has `q=0` is none.
fn preferred_language(headers: &HeaderMap) -> Option<&str> {
    let entries = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    let mut best = None;
    for entry in entries.flat_map(|value| value.split(',')) {
        let Some((tag, quality)) = language_entry(entry) else { continue };
        if quality > best.map_or(0, |(_, quality)| quality) {
            best = Some((tag, quality));
        }
    }
    best.map(|(tag, _)| tag)
}

fn language_entry(entry: &str) -> Option<(&str, u16)> {
    let mut pieces = entry.split(';').map(str::trim);
    let tag = pieces.next().filter(|tag| !tag.is_empty())?;
    let weight = pieces.find_map(|piece| piece.strip_prefix("q=").or_else(|| piece.strip_prefix("Q=")));
    Some((tag, weight.map_or(Some(1000), thousandths)?))
}

/// RFC 9110 §12.4.2: `0.7` is 700.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.trim().split_once('.').unwrap_or((weight.trim(), ""));
    let all_digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" if all_digits => Some(1000),
        "0" if all_digits => {
            let digits = fraction.bytes().chain(*b"000").take(3);
            Some(digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        }
        _ => None,
    }
}

/// `en` fits `en` and `en-GB` (RFC 4647 §3.3.1, basic filtering).
fn covers(range: &str, tag: &str) -> bool {
    let (range, tag) = (range.as_bytes(), tag.as_bytes());
    tag.len() >= range.len()
        && tag[..range.len()].eq_ignore_ascii_case(range)
        && matches!(tag.get(range.len()), None | Some(b'-'))
}

/// A cookie of that name is there, whatever it holds. HTTP/2 may send one header for each (RFC 9113 §8.2.3).
fn has_cookie(headers: &HeaderMap, name: &str) -> bool {
    let pieces =
        headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let mut names = pieces.filter_map(cookie_name);
    names.any(|other| other == name.as_bytes())
}

/// The name in `name=value`. A piece without `=` has none (RFC 6265bis §5.6).
fn cookie_name(piece: &[u8]) -> Option<&[u8]> {
    let end = piece.iter().position(|byte| *byte == b'=')?;
    piece.get(..end).map(<[u8]>::trim_ascii)
}

fn has_header(headers: &HeaderMap, name: &str, values: &[Box<str>]) -> bool {
    let mut lines = headers.get_all(name).iter();
    if values.is_empty() {
        return lines.next().is_some();
    }
    lines.any(|line| {
        let line = line.as_bytes().trim_ascii();
        values.iter().any(|value| value.trim().as_bytes() == line)
    })
}
