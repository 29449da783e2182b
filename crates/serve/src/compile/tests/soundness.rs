//! What compiled rules promise to those who execute them, written down once: the tests of the compiler and the fuzz
//! targets (`tests/fuzz`) both ask here. So it knows nothing but the types.

use loggia_types::Problem;
use loggia_types::rules::*;

/// What every compiled rule promises to those who execute it.
pub(super) fn check(rules: &Rules, problems: &[Problem]) -> Result<(), String> {
    for rule in &rules.redirects {
        check_redirect(rule).map_err(|broken| format!("{broken}: {rule:?}"))?;
    }
    for rule in &rules.headers {
        check_header_rule(rule).map_err(|broken| format!("{broken}: {rule:?}"))?;
    }
    let is_listed = |file: &str| FILES.contains(&file);
    for problem in problems {
        let one_line = !problem.message.chars().any(char::is_control);
        ensure(one_line && is_listed(&problem.file) && problem.line != Some(0), &problem.message)?;
    }
    Ok(())
}

/// Where a problem can be.
const FILES: [&str; 4] = ["_redirects", "_headers", "loggia.toml", "netlify.toml"];

fn ensure(holds: bool, broken: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken.to_owned()) }
}

fn check_redirect(rule: &RedirectRule) -> Result<(), String> {
    check_pattern(&rule.from.path)?;
    let host = rule.from.origin.iter().flat_map(|origin| &origin.host);
    ensure(host.clone().all(|part| matches!(part, Part::Text(_))), "a capture in a redirect's host")?;
    let values = rule.query.iter().map(|test| &test.value).filter(|value| matches!(value, Part::Name(_)));
    let captures: Vec<&Part> = captures(&rule.from.path.parts).chain(values).collect();
    match &rule.action {
        Action::Redirect { to, .. } | Action::Proxy { to } => check_destination(to, &captures),
        Action::Rewrite { path, .. } => {
            check_template(path, &captures)?;
            ensure(!sample(path).starts_with('/'), "a rewrite with a leading slash")
        }
        Action::Refuse { .. } => Ok(()),
    }
}

fn check_destination(to: &Destination, captures: &[&Part]) -> Result<(), String> {
    for template in [to.origin.as_ref(), Some(&to.path), to.query.as_ref(), to.fragment.as_ref()] {
        let template = template.map(Vec::as_slice).unwrap_or_default();
        check_template(template, captures)?;
        ensure(sample(template).is_ascii() && !sample(template).contains([' ', '"', '\\']), "not encoded")?;
    }
    let path = sample(&to.path);
    ensure(path.starts_with('/') && (to.origin.is_some() || !path.starts_with("//")), "not one slash first")?;
    let Some(origin) = &to.origin else { return Ok(()) };
    let origin = sample(origin);
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let host = host.ok_or("an origin without a scheme")?.split(':').next().unwrap_or_default();
    ensure(!host.is_empty() && !host.contains(['/', '@', '?', '#']), "no host")?;
    let last_capture = host.rfind('X').map_or(0, |at| at + 1);
    let labels = host[last_capture..].split('.').filter(|label| !label.is_empty()).count();
    ensure(last_capture == 0 || labels >= 2, "a visitor chooses the domain")
}

fn check_header_rule(rule: &HeaderRule) -> Result<(), String> {
    let (host, path) = match &rule.scope {
        HeaderScope::Url(url) => (url.origin.as_ref().map(|origin| &origin.host), &url.path),
        HeaderScope::File(path) => (None, path),
    };
    check_pattern(path)?;
    let captures: Vec<&Part> =
        host.into_iter().flat_map(|host| captures(host)).chain(captures(&path.parts)).collect();
    let mut names: Vec<&str> = rule.set.iter().map(|line| &*line.name).collect();
    for line in &rule.set {
        check_template(&line.value, &captures)?;
        ensure(!line.value.is_empty(), "an empty value")?;
        http::HeaderValue::try_from(sample(&line.value)).map_err(|_| "a value that can't be sent")?;
    }
    for name in names.iter().copied().chain(rule.remove.iter().map(|name| &**name)) {
        let parsed = http::HeaderName::try_from(name).map_err(|_| "a name that can't be sent")?;
        ensure(
            parsed.as_str() == name && name != "set-cookie" && name != "location",
            "a name not to be set",
        )?;
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    ensure(names.len() == count, "a name set twice")
}

fn check_pattern(pattern: &PathPattern) -> Result<(), String> {
    let splats = pattern.parts.iter().filter(|part| **part == Part::Splat).count();
    ensure(splats <= 1, "several splats")?;
    let text = sample(&pattern.parts);
    ensure(!text.chars().any(char::is_control), "a control character")?;
    ensure(!text.starts_with('/') && !text.contains("//"), "an empty segment")?;
    ensure(!pattern.lenient || !text.ends_with('/'), "a lenient pattern with a slash at its end")?;
    check_merged(&pattern.parts)
}

fn check_template(template: &[Part], captures: &[&Part]) -> Result<(), String> {
    ensure(!sample(template).chars().any(char::is_control), "a control character")?;
    let known = |part: &Part| matches!(part, Part::Text(_)) || captures.contains(&part);
    ensure(template.iter().all(known), "a capture that the pattern does not hold")?;
    check_merged(template)
}

fn check_merged(parts: &[Part]) -> Result<(), String> {
    let is_text = |part: &Part| matches!(part, Part::Text(_));
    ensure(!parts.windows(2).any(|pair| pair.iter().all(is_text)), "two texts in a row")?;
    ensure(!parts.contains(&Part::Text("".into())), "an empty text")
}

fn captures(parts: &[Part]) -> impl Iterator<Item = &Part> {
    parts.iter().filter(|part| !matches!(part, Part::Text(_)))
}

/// `X` for every capture.
fn sample(parts: &[Part]) -> String {
    parts.iter().map(|part| if let Part::Text(text) = part { &**text } else { "X" }).collect()
}
