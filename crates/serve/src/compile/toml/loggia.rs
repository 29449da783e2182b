//! `loggia.toml`.

use std::str::FromStr;

use loggia_types::rules::Dialect;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::rules::{self, Flavour};
use super::{Document, Settings, integer, passwords, schema};
use crate::compile::problems::Problems;
use loggia_types::publish::SkewProtection;

use crate::compile::{Output, Refused};

/// More would keep every deployment of years readable to anybody who guesses a name.
const SKEW_DEPLOYMENTS_MAX: u16 = 1_000;
const SKEW_DAYS_MAX: u16 = 365;

pub(in crate::compile) fn settings(document: &Document<'_>, problems: &mut Problems) -> Settings {
    schema::check_keys(document, "", &document.table, &schema::TOP, problems);
    if let Some(build) = table(document, &document.table, "build", problems) {
        schema::check_keys(document, "build", build, &schema::BUILD, problems);
    }
    let Some(serve) = table(document, &document.table, "serve", problems) else { return Settings::default() };
    schema::check_keys(document, "serve", serve, &schema::SERVE, problems);
    Settings {
        dialect: word(document, serve, "dialect", DIALECTS, dialect, problems),
        html_handling: word(document, serve, "html_handling", HTML_MODES, parse, problems),
        not_found: word(document, serve, "not_found", NOT_FOUND_MODES, parse, problems),
        permanent: boolean(document, serve, "permanent", problems),
        skew_protection: skew_protection(document, serve, problems),
    }
}

pub(in crate::compile) fn read_rules(document: &Document<'_>, output: &mut Output) -> Result<(), Refused> {
    passwords::refuse_unread(document, &document.table, &schema::TOP)?;
    rules::read(document, Flavour::Loggia, output)
}

const DIALECTS: &str = "\"netlify\" or \"cloudflare\"";
const HTML_MODES: &str =
    "\"auto-trailing-slash\", \"force-trailing-slash\", \"drop-trailing-slash\" or \"none\"";
const NOT_FOUND_MODES: &str = "\"auto\", \"404-page\", \"single-page-application\" or \"none\"";

fn dialect(text: &str) -> Option<Dialect> {
    match text {
        "netlify" => Some(Dialect::Netlify),
        "cloudflare" => Some(Dialect::Cloudflare),
        _ => None,
    }
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn table<'d, 'a>(
    document: &Document<'a>,
    parent: &'d DeTable<'a>,
    key: &str,
    problems: &mut Problems,
) -> Option<&'d DeTable<'a>> {
    let value = parent.get(key)?;
    if value.get_ref().as_table().is_none() {
        document.mismatch(key, value, &format!("`[{key}]` on a line and its keys below"), problems);
    }
    value.get_ref().as_table()
}

fn word<T>(
    document: &Document<'_>,
    parent: &DeTable<'_>,
    key: &str,
    right: &str,
    parse: impl Fn(&str) -> Option<T>,
    problems: &mut Problems,
) -> Option<T> {
    let value = parent.get(key)?;
    let parsed = value.get_ref().as_str().and_then(parse);
    if parsed.is_none() {
        document.mismatch(key, value, right, problems);
    }
    parsed
}

fn boolean(
    document: &Document<'_>,
    parent: &DeTable<'_>,
    key: &str,
    problems: &mut Problems,
) -> Option<bool> {
    let value = parent.get(key)?;
    if value.get_ref().as_bool().is_none() {
        document.mismatch(key, value, "`true` or `false`, without quotes", problems);
    }
    value.get_ref().as_bool()
}

fn skew_protection(
    document: &Document<'_>,
    serve: &DeTable<'_>,
    problems: &mut Problems,
) -> Option<SkewProtection> {
    let value: &Spanned<DeValue<'_>> = serve.get("skew_protection")?;
    let Some(table) = value.get_ref().as_table() else {
        document.mismatch("skew_protection", value, "`{ deployments = 10, days = 7 }`", problems);
        return None;
    };
    schema::check_keys(document, "skew_protection", table, &schema::SKEW_PROTECTION, problems);
    let default = SkewProtection::default();
    let mut number = |key, max, default| {
        let Some(value) = table.get(key) else { return default };
        let number = integer(value.get_ref()).and_then(|number| u16::try_from(number).ok());
        number.filter(|number| *number <= max).unwrap_or_else(|| {
            document.mismatch(key, value, &format!("a whole number from 0 to {max}"), problems);
            default
        })
    };
    Some(SkewProtection {
        deployments: number("deployments", SKEW_DEPLOYMENTS_MAX, default.deployments),
        days: number("days", SKEW_DAYS_MAX, default.days),
    })
}
