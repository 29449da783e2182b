//! Query tests: exactly these keys, each once.
//!
//! A key that comes twice matches no rule: which of its values counts would be anybody's guess.

use loggia_types::rules::{Part, QueryTest};

use super::captures::Captures;

pub(super) fn holds(tests: &[QueryTest], query: Option<&[u8]>) -> bool {
    if tests.is_empty() {
        return true;
    }
    let query = query.unwrap_or_default();
    // As many as are asked for, all of them asked for, and all that are asked for: each is there once.
    parameters(query).take(tests.len() + 1).count() == tests.len()
        && tests.iter().all(|test| find(query, &test.key).is_some_and(|value| fits(&test.value, value)))
        && parameters(query).all(|(key, _)| tests.iter().any(|test| spells(key, &test.key)))
}

/// The values of tests that name one. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn capture<'i>(tests: &'i [QueryTest], query: Option<&[u8]>, captures: &mut Captures<'i>) {
    for test in tests {
        if let (Part::Name(_), Some(value)) = (&test.value, find(query.unwrap_or_default(), &test.key)) {
            let value: Vec<u8> = decoded(value).collect();
            captures.push(&test.value, &String::from_utf8_lossy(&value));
        }
    }
}

/// A name wants a value, as it wants a segment in a path; a splat takes anything.
fn fits(test: &Part, value: &[u8]) -> bool {
    match test {
        Part::Text(text) => spells(value, text),
        Part::Name(_) => !value.is_empty(),
        Part::Splat => true,
    }
}

fn find<'q>(query: &'q [u8], key: &str) -> Option<&'q [u8]> {
    parameters(query).find(|(other, _)| spells(other, key)).map(|(_, value)| value)
}

/// Keys and values as they were sent; `a&b` and `a=&b=` are the same.
fn parameters(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        }
    })
}

fn spells(raw: &[u8], text: &str) -> bool {
    decoded(raw).eq(text.bytes())
}

/// `application/x-www-form-urlencoded`; a `%` without two digits stands for itself, as browsers read it.
fn decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (first, behind) = rest.split_first()?;
        if let (b'%', Some(byte)) = (first, behind.get(..2).and_then(hex)) {
            rest = &behind[2..];
            return Some(byte);
        }
        rest = behind;
        Some(if *first == b'+' { b' ' } else { *first })
    })
}

fn hex(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(value(high)? << 4 | value(low)?)
}
