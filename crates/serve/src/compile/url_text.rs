//! The pieces of a URL as somebody wrote it, before anything is decoded or checked.

use loggia_types::rules::Scheme;

use super::problems::shown;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UrlText<'a> {
    pub(super) origin: Option<OriginText<'a>>,
    /// With its leading slash; empty if an origin stands alone.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) fragment: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OriginText<'a> {
    pub(super) scheme: &'a str,
    pub(super) authority: &'a str,
}

/// `scheme://`, and what follows it.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    (starts_well && is_scheme).then_some((scheme, rest))
}

pub(super) fn is_absolute(text: &str) -> bool {
    split_scheme(text).is_some()
}

impl<'a> UrlText<'a> {
    /// `what` names the text in messages.
    pub(super) fn split(text: &'a str, what: &str) -> Result<Self, String> {
        let (rest, fragment) = split_at(text, '#');
        let (rest, query) = split_at(rest, '?');
        let Some((scheme, rest)) = split_scheme(rest) else {
            check_path(rest, what)?;
            return Ok(Self { origin: None, path: rest, query, fragment });
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Ok(Self { origin: Some(OriginText { scheme, authority }), path, query, fragment })
    }
}

fn split_at(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn check_path(text: &str, what: &str) -> Result<(), String> {
    if text.starts_with("//") || text.starts_with("/\\") {
        let meant = text.trim_start_matches(['/', '\\']);
        return Err(format!(
            "{what} {} begins with two slashes: write {} for a path, or {} for another site",
            shown(text),
            shown(&format!("/{meant}")),
            shown(&format!("https://{meant}"))
        ));
    }
    if text.starts_with('/') {
        return Ok(());
    }
    if let Some(rest) = text.strip_prefix("http:/").or_else(|| text.strip_prefix("https:/")) {
        let scheme = text.split(':').next().unwrap_or("https");
        return Err(format!(
            "{what} {} has one slash behind its scheme: write {}",
            shown(text),
            shown(&format!("{scheme}://{rest}"))
        ));
    }
    if text.starts_with(['"', '\'']) {
        return Err(format!(
            "{what} {} stands in quotes: write {} without them",
            shown(text),
            shown(text.trim_matches(['"', '\'']))
        ));
    }
    Err(format!(
        "{what} {} begins with neither `/` nor `https://`: write {}",
        shown(text),
        shown(&format!("/{}", text.trim_start_matches("./")))
    ))
}

pub(super) fn scheme(text: &str) -> Result<Scheme, String> {
    match text.to_ascii_lowercase().as_str() {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err(format!("{} is no scheme of a site: write `https://` or `http://`", shown(text))),
    }
}

/// Splits off `:8443`; refuses user names and passwords.
pub(super) fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    if authority.contains('@') {
        return Err(format!("{} names a user or password: remove all up to the `@`", shown(authority)));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number = port.parse().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| format!("{} is no port from 1 to 65535", shown(port)))?;
            Ok((host, Some(number)))
        }
        _ => Ok((authority, None)),
    }
}

/// A hostname in lower case, with international letters as `xn--` names.
pub(super) fn hostname(text: &str) -> Result<String, String> {
    let refused = || format!("{} is no hostname: write one such as `www.example.org`", shown(text));
    let host = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(text).map_err(|_| refused())?
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(is_host_byte) && !label.starts_with('-')
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err(refused());
    }
    Ok(host)
}

pub(super) fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
