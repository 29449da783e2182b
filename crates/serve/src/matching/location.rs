//! Where a redirect leads, and whether that is anywhere else.

use loggia_types::rules::{Destination, Scheme};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use super::RuleRequest;
use super::captures::Captures;
use super::template::{self, Place};

/// As long as the edge lets a request's own address be.
const LOCATION_LEN_MAX: usize = 8 * 1024;

/// A query is passed on as it came; only what a header value or a URL cannot hold is escaped.
const PASSED_ON: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// A path of this site, which begins with exactly one slash, or the full URL of another.
pub(super) fn location(
    to: &Destination,
    captures: &Captures<'_>,
    request: &RuleRequest<'_>,
) -> Option<String> {
    match &to.origin {
        Some(origin) => {
            let origin = template::fill_origin(origin, captures)?;
            let elsewhere = Some(&*origin).filter(|origin| !is_own(origin, request));
            build(elsewhere, to, captures, request)
        }
        None => build(None, to, captures, request),
    }
}

/// The full URL to fetch for a proxy rewrite.
pub(super) fn upstream(
    to: &Destination,
    captures: &Captures<'_>,
    request: &RuleRequest<'_>,
) -> Option<String> {
    let origin = template::fill_origin(to.origin.as_ref()?, captures)?;
    build(Some(&origin), to, captures, request)
}

/// Whether a browser that follows would ask for the same again, for ever. Fragments are not sent, and
/// escapes are compared by what they mean, as rules are.
pub(super) fn is_own_address(location: &str, request: &RuleRequest<'_>) -> bool {
    let Some(target) = location.strip_prefix('/') else { return false };
    let target = target.split_once('#').map_or(target, |(target, _)| target);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    percent_decode_str(path).eq(request.path.bytes())
        && match (query, request.query) {
            (Some(query), Some(asked)) => percent_encode(asked, PASSED_ON).to_string() == query,
            (query, asked) => query.is_none() && asked.is_none(),
        }
}

fn build(
    origin: Option<&str>,
    to: &Destination,
    captures: &Captures<'_>,
    request: &RuleRequest<'_>,
) -> Option<String> {
    let mut url = String::from(origin.unwrap_or_default());
    let mut path = String::new();
    template::fill_url(&mut path, &to.path, captures, Place::Path, LOCATION_LEN_MAX)?;
    if !template::is_text(&to.path) && has_dot_segment(&path) {
        return None;
    }
    match origin {
        Some(_) => push_path(&mut url, &path),
        None => push_own_path(&mut url, &path),
    }
    push_query(&mut url, to, captures, request)?;
    if let Some(fragment) = &to.fragment {
        url.push('#');
        template::fill_url(&mut url, fragment, captures, Place::Fragment, LOCATION_LEN_MAX)?;
    }
    (url.len() <= LOCATION_LEN_MAX).then_some(url)
}

fn is_own(origin: &str, request: &RuleRequest<'_>) -> bool {
    let scheme = match request.scheme {
        Scheme::Http => "http://",
        Scheme::Https => "https://",
    };
    origin.split_at_checked(scheme.len()).is_some_and(|(other, host)| {
        other.eq_ignore_ascii_case(scheme) && host.eq_ignore_ascii_case(request.host)
    })
}

/// Elsewhere an empty segment may mean something (`/web/https://example.org/`).
fn push_path(url: &mut String, path: &str) {
    if !path.starts_with('/') {
        url.push('/');
    }
    url.push_str(path);
}

/// Here it means nothing and costs a second redirect; at the start it would even name another host.
fn push_own_path(url: &mut String, path: &str) {
    url.push('/');
    for segment in path.split_inclusive('/').filter(|segment| *segment != "/") {
        url.push_str(segment);
    }
}

fn push_query(
    url: &mut String,
    to: &Destination,
    captures: &Captures<'_>,
    request: &RuleRequest<'_>,
) -> Option<()> {
    match (&to.query, request.query) {
        (Some(own), _) if own.is_empty() => {}
        (Some(own), _) => {
            url.push('?');
            template::fill_url(url, own, captures, Place::Query, LOCATION_LEN_MAX)?;
        }
        (None, Some(asked)) => {
            url.push('?');
            url.extend(percent_encode(asked, PASSED_ON));
        }
        (None, None) => {}
    }
    Some(())
}

/// `a/.` and a name that stood for `.` make a climb that neither of them is.
fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| {
        let decoded = || percent_decode_str(segment);
        decoded().eq(*b".") || decoded().eq(*b"..")
    })
}

/// The path of a rewrite in its canonical spelling. Not one of ours: control bytes, backslashes, dot segments.
pub(super) fn canonical_path(filled: &str) -> Option<String> {
    if filled.chars().any(|char| char.is_ascii_control() || char == '\\') {
        return None;
    }
    let mut path = String::with_capacity(filled.len());
    for segment in filled.split_inclusive('/').filter(|segment| *segment != "/") {
        if matches!(segment.trim_end_matches('/'), "." | "..") {
            return None;
        }
        path.push_str(segment);
    }
    Some(path)
}

pub(super) const PATH_LEN_MAX: usize = LOCATION_LEN_MAX;
