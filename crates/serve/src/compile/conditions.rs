//! `Country=`, `Language=` and the others behind a rule.

use loggia_types::rules::Condition;

use super::problems::shown;
use super::url_text;

const KNOWN: [&str; 5] = ["Country", "Language", "Host", "Cookie", "Header:name"];
/// Known at Netlify, where they need its accounts or its secrets.
const NETLIFY_ONLY: [&str; 5] = ["Role", "Signed", "Sign", "Signing", "Path"];

pub(super) fn compile(name: &str, values: &[&str]) -> Result<Condition, String> {
    let values: Vec<&str> =
        values.iter().map(|value| value.trim()).filter(|value| !value.is_empty()).collect();
    let lower = name.to_ascii_lowercase();
    if let Some(header) = lower.strip_prefix("header:") {
        return self::header(header, &values);
    }
    if KNOWN[..4].iter().any(|known| known.eq_ignore_ascii_case(&lower)) && values.is_empty() {
        return Err(format!("the condition {} has no value: write {}", shown(name), example(&lower)));
    }
    match lower.as_str() {
        "country" => all(&values, country).map(Condition::Country),
        "language" => all(&values, language).map(Condition::Language),
        "host" => all(&values, |value| url_text::hostname(value).map(Into::into)).map(Condition::Host),
        "cookie" => all(&values, cookie).map(Condition::Cookie),
        _ => Err(unknown(name)),
    }
}

fn all(values: &[&str], one: impl Fn(&str) -> Result<Box<str>, String>) -> Result<Vec<Box<str>>, String> {
    values.iter().map(|value| one(value)).collect()
}

fn example(lower: &str) -> &'static str {
    match lower {
        "country" => "`Country=au,nz`",
        "language" => "`Language=en,de`",
        "host" => "`Host=www.example.org`",
        _ => "`Cookie=name`",
    }
}

fn unknown(name: &str) -> String {
    if NETLIFY_ONLY.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return format!(
            "the condition {} is not supported here: remove the rule or the condition",
            shown(name)
        );
    }
    format!("there is no condition {}: there are {}", shown(name), KNOWN.join(", "))
}

fn country(value: &str) -> Result<Box<str>, String> {
    if value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Ok(value.to_ascii_uppercase().into());
    }
    Err(format!("{} is no country: write its two letters of ISO 3166-1, as in `Country=au,nz`", shown(value)))
}

fn language(value: &str) -> Result<Box<str>, String> {
    let is_subtag =
        |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    if value.split('-').all(is_subtag) && value.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(value.to_ascii_lowercase().into());
    }
    Err(format!("{} is no language: write a tag such as `en` or `en-GB`", shown(value)))
}

fn cookie(value: &str) -> Result<Box<str>, String> {
    if is_token(value) {
        return Ok(value.into());
    }
    Err(format!("{} is no name of a cookie: write the name alone, as in `Cookie=beta`", shown(value)))
}

fn header(name: &str, values: &[&str]) -> Result<Condition, String> {
    if !is_token(name) {
        return Err(format!("{} is no name of a header: write one, as in `Header:X-Beta=1`", shown(name)));
    }
    if let Some(value) = values.iter().find(|value| value.chars().any(char::is_control)) {
        return Err(format!("the header value {} holds a control character: remove it", shown(value)));
    }
    Ok(Condition::Header { name: name.into(), values: values.iter().map(|value| (*value).into()).collect() })
}

/// A token of RFC 9110 §5.6.2: names of headers and cookies.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Two of a kind that one value can't satisfy both.
pub(super) fn check_together(conditions: &[Condition]) -> Result<(), String> {
    let twice = |kind: fn(&Condition) -> bool| conditions.iter().filter(|one| kind(one)).count() > 1;
    for (name, is_kind) in [
        ("Country", (|one| matches!(one, Condition::Country(_))) as fn(&Condition) -> bool),
        ("Language", |one| matches!(one, Condition::Language(_))),
        ("Host", |one| matches!(one, Condition::Host(_))),
    ] {
        if twice(is_kind) {
            return Err(format!("`{name}` stands twice: write the values in one list, `{name}=a,b`"));
        }
    }
    Ok(())
}
