//! Redirects that lead back to themselves.
//!
//! Tried out once at deploy time, with made-up captures: a target that the rule's own source matches again would
//! send a browser in circles. What depends on which files there are is left to them, except that a rule before
//! files can't be saved by a file.

use loggia_types::manifest::HtmlHandling;
use loggia_types::rules::{
    Action, Destination, Dialect, OriginPattern, Part, PathPattern, RedirectRule, Scheme,
};

use super::Mode;

/// Stand for what a visitor would ask for. Private-use characters, so that no literal text matches by accident.
const ANY_NAME: &str = "\u{F8FA}";
const ANY_SPLAT: &str = "\u{F8FB}/\u{F8FC}";

pub(super) fn check_alone(rule: &RedirectRule, mode: Mode) -> Result<(), String> {
    let Some(target) = target_on_site(rule) else { return Ok(()) };
    let target_query_differs = matches!(&rule.action, Action::Redirect { to, .. } if to.query.is_some());
    if !rule.query.is_empty() && target_query_differs {
        return Ok(());
    }
    if !is_rewrite(&rule.action) {
        check_redirect(rule, &target, mode)?;
    }
    check_canonical(rule, &target, mode)
}

fn check_redirect(rule: &RedirectRule, target: &str, mode: Mode) -> Result<(), String> {
    let path = &rule.from.path;
    if !matches(path, target) {
        return Ok(());
    }
    let to_itself = same(path, target, &sample(&path.parts));
    // Behind files, `/israel/* /israel/he/:splat Language=he` ends as soon as it meets a page.
    if to_itself || is_unconditional(rule) || precedes_files(rule, mode) {
        return Err(format!(
            "this redirect loops: its target {} is matched by its own source again; lead elsewhere, or write \
             200 to send a page without a redirect",
            readable(target)
        ));
    }
    Ok(())
}

/// HTML handling redirects `/x.html` to `/x`, and a rule before files may send it back.
///
/// A rewrite is looked at only where it leads to an index: Cloudflare refuses `/* /index.html` with any status.
fn check_canonical(rule: &RedirectRule, target: &str, mode: Mode) -> Result<(), String> {
    if !precedes_files(rule, mode) {
        return Ok(());
    }
    let (canonical, is_index) = canonical(target, mode.html_handling);
    let catches_index = mode.dialect == Dialect::Cloudflare
        && rule.from.path.parts.last() == Some(&Part::Splat)
        && is_index_name(target)
        && matches(&rule.from.path, target);
    let returns = canonical.as_deref().is_some_and(|canonical| matches(&rule.from.path, canonical));
    let counts = !is_rewrite(&rule.action) || (is_index && mode.dialect == Dialect::Cloudflare);
    let loops = catches_index || (returns && counts);
    if !loops {
        return Ok(());
    }
    let advice = match is_rewrite(&rule.action) {
        true => "set `not_found = \"single-page-application\"` in loggia.toml to send one page for all paths",
        false => "lead elsewhere",
    };
    Err(format!(
        "this rule loops: {} has the address {}, which is matched by the rule's own source; {advice}",
        readable(target),
        readable(canonical.as_deref().unwrap_or(target))
    ))
}

/// Where HTML handling sends a request for this page, and whether the page is a folder's index.
fn canonical(target: &str, mode: HtmlHandling) -> (Option<String>, bool) {
    let folder = |folder: &str| match mode {
        HtmlHandling::DropTrailingSlash if !folder.is_empty() => folder.trim_end_matches('/').to_owned(),
        _ => folder.to_owned(),
    };
    if mode == HtmlHandling::None {
        return (None, false);
    }
    if is_index_name(target) {
        let name = target.rfind('/').map_or(0, |slash| slash + 1);
        return (Some(folder(&target[..name])), true);
    }
    let page = target.strip_suffix(".html").filter(|page| !page.is_empty() && !page.ends_with('/'));
    let canonical = page.map(|page| match mode {
        HtmlHandling::ForceTrailingSlash => format!("{page}/"),
        _ => page.to_owned(),
    });
    (canonical, false)
}

fn is_index_name(target: &str) -> bool {
    matches!(target.rsplit('/').next(), Some("index" | "index.html"))
}

/// The path, decoded, that this rule leads to on the very hosts that it matches.
fn target_on_site(rule: &RedirectRule) -> Option<String> {
    match &rule.action {
        Action::Redirect { to, .. } if is_same_origin(to, rule.from.origin.as_ref()) => {
            let path =
                percent_encoding::percent_decode_str(&sample(&to.path)).decode_utf8().ok()?.into_owned();
            Some(path.strip_prefix('/').unwrap_or(&path).to_owned())
        }
        Action::Rewrite { path, .. } => Some(sample(path)),
        _ => None,
    }
}

fn is_same_origin(to: &Destination, from: Option<&OriginPattern>) -> bool {
    let Some(to) = &to.origin else { return true };
    let Some(from) = from else { return false };
    let scheme = match from.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    sample(to) == format!("{scheme}://{}", sample(&from.host))
}

fn sample(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text,
            Part::Name(_) => ANY_NAME,
            Part::Splat => ANY_SPLAT,
        })
        .collect()
}

fn readable(path: &str) -> String {
    let path = path.replace(ANY_SPLAT, ":splat").replace(ANY_NAME, ":name");
    super::problems::shown(&format!("/{path}"))
}

fn same(pattern: &PathPattern, left: &str, right: &str) -> bool {
    let end = |path: &'_ str| path.trim_end_matches('/').len();
    left == right || (pattern.lenient && left[..end(left)] == right[..end(right)])
}

/// Whether the pattern surely matches. In doubt no: a name takes the shortest piece that lets the next text follow.
fn matches(pattern: &PathPattern, path: &str) -> bool {
    let path = if pattern.lenient { path.trim_end_matches('/') } else { path };
    if pattern.lenient && is_folder_of(pattern, path) {
        return true;
    }
    let Some(splat) = pattern.parts.iter().position(|part| *part == Part::Splat) else {
        return walk(&pattern.parts, path) == Some("");
    };
    let Some(rest) = walk(&pattern.parts[..splat], path) else { return false };
    match &pattern.parts[splat + 1..] {
        [] => true,
        [Part::Text(end)] => rest.ends_with(&**end),
        _ => false,
    }
}

/// `foo` for `foo/*`.
fn is_folder_of(pattern: &PathPattern, path: &str) -> bool {
    let [parts @ .., Part::Splat] = &pattern.parts[..] else { return false };
    walk(parts, &format!("{path}/")) == Some("")
}

/// What is left of the path behind these parts.
fn walk<'p>(parts: &[Part], path: &'p str) -> Option<&'p str> {
    let mut rest = path;
    for (at, part) in parts.iter().enumerate() {
        rest = match part {
            Part::Text(text) => rest.strip_prefix(&**text)?,
            Part::Name(_) => {
                let segment = rest.split('/').next().unwrap_or_default();
                let first = segment.chars().next()?.len_utf8();
                let len = match parts.get(at + 1) {
                    Some(Part::Text(next)) if next.starts_with('/') => segment.len(),
                    Some(Part::Text(next)) => {
                        first + rest[first..].find(&**next).filter(|len| first + len <= segment.len())?
                    }
                    Some(_) => first,
                    None => segment.len(),
                };
                &rest[len..]
            }
            Part::Splat => return None,
        };
    }
    Some(rest)
}

/// Whether the rule answers a path at all times.
fn is_unconditional(rule: &RedirectRule) -> bool {
    rule.conditions.is_empty() && rule.query.is_empty()
}

/// Whether the rule comes before files.
fn precedes_files(rule: &RedirectRule, mode: Mode) -> bool {
    rule.forced || mode.dialect == Dialect::Cloudflare
}

fn is_rewrite(action: &Action) -> bool {
    matches!(action, Action::Rewrite { .. })
}
