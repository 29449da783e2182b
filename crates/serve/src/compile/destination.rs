//! `to` of a redirect: where it leads.

use loggia_types::rules::{Destination, Part};

use super::Fault;
use super::pattern::{check_segments, is_dot_segment};
use super::problems::shown;
use super::template::{self, Captures};
use super::text::{self, Place};
use super::url_text::{self, OriginText, UrlText};

/// A target, split but not yet filled into a rule.
#[derive(Debug)]
pub(super) struct Target<'a> {
    text: &'a str,
    url: UrlText<'a>,
}

impl<'a> Target<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Fault> {
        let url = UrlText::split(text, "the target")?;
        if url.origin.is_none() {
            check_segments(url.path, "the target")?;
        }
        if url.path.starts_with("/.netlify/") {
            return Err(Fault::Mistake(format!(
                "the target {} is a function or service of Netlify, which is not here: remove the rule",
                shown(text)
            )));
        }
        Ok(Self { text, url })
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn is_elsewhere(&self) -> bool {
        self.url.origin.is_some()
    }

    /// For redirects and proxies: percent-encoded.
    pub(super) fn destination(&self, captures: &Captures) -> Result<Destination, String> {
        let fill = |text: &str, place| template::split_with(text, captures, |text| text::encode(text, place));
        let path = match self.url.origin {
            Some(_) if self.url.path.is_empty() => "/".to_owned(),
            // Other servers may tell `//` from `/`.
            Some(_) => without_dots(self.url.path, false)?,
            None => without_dots(self.url.path, true)?,
        };
        Ok(Destination {
            origin: self.url.origin.map(|origin| self::origin(origin, captures)).transpose()?,
            path: fill(&path, Place::Path)?,
            query: self.url.query.map(|query| fill(query, Place::Query)).transpose()?,
            fragment: self.url.fragment.map(|fragment| fill(fragment, Place::Fragment)).transpose()?,
        })
    }

    /// For rewrites: decoded, without a leading slash. Query and fragment choose nothing among files.
    pub(super) fn site_path(&self, captures: &Captures) -> Result<Vec<Part>, String> {
        let path = without_dots(self.url.path, true)?;
        template::split_with(&path[1..], captures, text::decode_path)
    }
}

/// Takes out `.`, `..` and, if asked, empty segments; a path that climbs out or over a capture is refused.
fn without_dots(path: &str, collapse: bool) -> Result<String, String> {
    if !["//", "/.", "/%2e", "/%2E"].iter().any(|odd| path.contains(odd)) {
        return Ok(path.to_owned());
    }
    let mut kept: Vec<&str> = Vec::new();
    let last = path.split('/').count() - 1;
    for (at, segment) in path.split('/').enumerate().skip(1) {
        if is_dot_segment(segment) {
            let is_parent = segment != "." && !segment.eq_ignore_ascii_case("%2e");
            if is_parent && kept.pop().is_none_or(|gone| gone.contains(':')) {
                return Err(format!(
                    "the target {} climbs out with `..`: write the path that is meant",
                    shown(path)
                ));
            }
            if at == last {
                kept.push("");
            }
        } else if !(collapse && segment.is_empty() && at != last) {
            kept.push(segment);
        }
    }
    let path = format!("/{}", kept.join("/"));
    match path.starts_with("//") && collapse {
        true => Err(format!("the target {} begins with two slashes", shown(&path))),
        false => Ok(path),
    }
}

/// `https://host:port`, percent-free.
///
/// A capture is what a visitor typed. It may choose a subdomain, never the domain: two literal labels have to
/// follow it.
fn origin(origin: OriginText<'_>, captures: &Captures) -> Result<Vec<Part>, String> {
    let scheme = origin.scheme.to_ascii_lowercase();
    url_text::scheme(&scheme)?;
    let (host, port) = url_text::split_port(origin.authority)?;
    // RFC 9110 §4.2.3: the default port is the same origin without it.
    let default = if scheme == "https" { 443 } else { 80 };
    let port = port.filter(|port| *port != default).map(|port| format!(":{port}")).unwrap_or_default();
    let parts = template::split(host, captures);
    let Some(last_capture) = parts.iter().rposition(|part| !matches!(part, Part::Text(_))) else {
        return Ok(vec![Part::Text(format!("{scheme}://{}{port}", url_text::hostname(host)?).into())]);
    };
    check_captured_host(host, &parts, last_capture)?;
    let mut all = template::Parts::default();
    all.text(&scheme);
    all.text("://");
    for part in parts {
        match part {
            Part::Text(text) => all.text(&text.to_ascii_lowercase()),
            other => all.push(other),
        }
    }
    all.text(&port);
    Ok(all.into_vec())
}

fn check_captured_host(host: &str, parts: &[Part], last_capture: usize) -> Result<(), String> {
    let open = || {
        format!(
            "visitors could choose the domain of {}: two fixed labels have to follow the last `:name`, as in \
             `https://:name.example.org`",
            shown(host)
        )
    };
    if parts.contains(&Part::Splat) {
        return Err(format!("`:splat` can't stand in the host {}: use a `:name`", shown(host)));
    }
    let Some(Part::Text(tail)) = parts.get(last_capture + 1) else { return Err(open()) };
    // Any label will do in the place of a capture, to see whether the rest is a hostname.
    let sample: String =
        parts.iter().map(|part| if let Part::Text(text) = part { text } else { "x" }).collect();
    url_text::hostname(&sample)?;
    let labels = tail.split('.').skip(1).filter(|label| !label.is_empty()).count();
    if labels < 2 || !tail.is_ascii() { Err(open()) } else { Ok(()) }
}
