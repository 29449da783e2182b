//! `[[redirects]]` and `[[headers]]`, which both files have.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Document, integer, passwords, schema};
use crate::compile::headers::{BlockDraft, Change, Entry, is_basic_auth};
use crate::compile::limits::LINE_CHARS_MAX;
use crate::compile::problems::{Problems, shown};
use crate::compile::redirect::{RedirectDraft, unknown_status};
use crate::compile::{Output, Refused};

type Value<'a> = Spanned<DeValue<'a>>;

/// Line, name and value.
type HeaderText<'d> = (u32, &'d str, Cow<'d, str>);

/// Where the two files differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Every key is known or a problem.
    Loggia,
    /// Old names of keys, numbers in quotes, values over several lines; unknown keys are Netlify's.
    Netlify,
}

pub(super) fn read(document: &Document<'_>, flavour: Flavour, output: &mut Output) -> Result<(), Refused> {
    for table in tables(document, "redirects", &mut output.problems) {
        let rule = Rule { document, flavour, line: document.line(table.0), table: table.1 };
        rule.check_lengths(&["from", "to"])?;
        if let Some(parts) = rule.redirect(output) {
            output.add_redirect(document.file, rule.line, &parts.draft())?;
        }
    }
    for table in tables(document, "headers", &mut output.problems) {
        let rule = Rule { document, flavour, line: document.line(table.0), table: table.1 };
        rule.check_lengths(&["for"])?;
        passwords::refuse_unread(document, rule.table, &["values"])?;
        rule.block(output)?;
    }
    Ok(())
}

/// The tables of a `[[list]]`.
fn tables<'d, 'a>(
    document: &'d Document<'a>,
    key: &str,
    problems: &mut Problems,
) -> Vec<(&'d Value<'a>, &'d DeTable<'a>)> {
    let right = format!("`[[{key}]]`, with two brackets, above each rule");
    let Some(value) = document.table.get(key) else { return Vec::new() };
    let Some(list) = value.get_ref().as_array() else {
        document.mismatch(key, value, &right, problems);
        return Vec::new();
    };
    let mut tables = Vec::with_capacity(list.len());
    for value in list.iter() {
        match value.get_ref().as_table() {
            Some(table) => tables.push((value, table)),
            None => document.mismatch(key, value, &right, problems),
        }
    }
    tables
}

/// One table of either list.
struct Rule<'d, 'a> {
    document: &'d Document<'a>,
    flavour: Flavour,
    line: u32,
    table: &'d DeTable<'a>,
}

/// A redirect as far as it could be read.
struct RedirectParts<'d> {
    from: Cow<'d, str>,
    to: Option<Cow<'d, str>>,
    status: Option<u16>,
    forced: bool,
    query: Vec<(&'d str, &'d str)>,
    conditions: Vec<(&'d str, Vec<&'d str>)>,
}

impl RedirectParts<'_> {
    fn draft(&self) -> RedirectDraft<'_> {
        RedirectDraft {
            from: &self.from,
            query: self.query.clone(),
            to: self.to.as_deref(),
            status: self.status,
            forced: self.forced,
            conditions: self.conditions.clone(),
        }
    }
}

impl<'d, 'a> Rule<'d, 'a> {
    /// `None`: something in it is wrong and was reported, so that it can't be known what was meant.
    fn redirect(&self, output: &mut Output) -> Option<RedirectParts<'d>> {
        let dialect = output.mode.dialect;
        let problems = &mut output.problems;
        if self.flavour == Flavour::Loggia {
            schema::check_keys(self.document, "redirects", self.table, &schema::REDIRECT, problems);
        } else {
            self.check_netlify_keys(problems)?;
        }
        let Some(from) = self.text("from", "origin", "a path, as in `from = \"/old\"`", problems)? else {
            self.report("the redirect has no `from`: write `from = \"/old\"`", problems);
            return None;
        };
        let status = self.value("status", "status").map(|value| self.status(value).ok_or(value)).transpose();
        let Ok(status) = status.map_err(|value| match integer(value.get_ref()) {
            Some(code) => {
                let message = unknown_status(&code.to_string(), dialect);
                problems.add(self.document.file, self.document.line(value), message);
            }
            None => self.document.mismatch("status", value, "a number, as in `status = 301`", problems),
        }) else {
            return None;
        };
        Some(RedirectParts {
            from: self.rooted(from),
            to: self
                .text("to", "destination", "a path or URL, as in `to = \"/new\"`", problems)?
                .map(|to| self.rooted(to)),
            status,
            forced: self.forced(problems)?,
            query: self.query(problems)?,
            conditions: self.conditions(problems)?,
        })
    }

    /// Netlify takes `old` for `/old` in this file.
    fn rooted(&self, place: &'d str) -> Cow<'d, str> {
        match self.flavour {
            Flavour::Netlify if !place.is_empty() && !is_rooted(place) => Cow::Owned(format!("/{place}")),
            _ => Cow::Borrowed(place),
        }
    }

    /// As [`Rule::rooted`]; no path at all, but said so, is the root there.
    fn opener(&self, path: &'d str) -> Cow<'d, str> {
        match self.flavour {
            Flavour::Netlify if !is_rooted(path) => Cow::Owned(format!("/{path}")),
            _ => Cow::Borrowed(path),
        }
    }

    fn check_netlify_keys(&self, problems: &mut Problems) -> Option<()> {
        if ["signed", "sign", "signing"].iter().any(|key| self.table.contains_key(*key)) {
            self.report("signed proxy rules are not supported here, so this one is not used", problems);
            return None;
        }
        if let Some(headers) = self.table.get("headers") {
            let message = "headers for the other site are not sent here: remove `headers`";
            problems.add(self.document.file, self.document.line(headers), message);
        }
        Some(())
    }

    fn report(&self, message: &str, problems: &mut Problems) {
        problems.add(self.document.file, self.line, message);
    }

    fn value(&self, key: &str, old_key: &str) -> Option<&'d Value<'a>> {
        let old = if self.flavour == Flavour::Netlify { self.table.get(old_key) } else { None };
        self.table.get(key).or(old)
    }

    /// `Some(None)` if it is not there, `None` if it is no text.
    fn text(&self, key: &str, old: &str, right: &str, problems: &mut Problems) -> Option<Option<&'d str>> {
        let Some(value) = self.value(key, old) else { return Some(None) };
        match value.get_ref().as_str() {
            Some(text) => Some(Some(text.trim_matches([' ', '\t']))),
            None => {
                self.document.mismatch(key, value, right, problems);
                None
            }
        }
    }

    fn status(&self, value: &Value<'_>) -> Option<u16> {
        let code = match value.get_ref() {
            // Netlify takes `302!` for `302` here: what forces a rule is `force`.
            DeValue::String(text) if self.flavour == Flavour::Netlify => {
                text.strip_suffix('!').unwrap_or(text).parse().ok()?
            }
            other => u16::try_from(integer(other)?).ok()?,
        };
        (100..=599).contains(&code).then_some(code)
    }

    fn forced(&self, problems: &mut Problems) -> Option<bool> {
        let Some(value) = self.table.get("force") else { return Some(false) };
        if value.get_ref().as_bool().is_none() {
            self.document.mismatch("force", value, "`true` or `false`, without quotes", problems);
        }
        value.get_ref().as_bool()
    }

    fn query(&self, problems: &mut Problems) -> Option<Vec<(&'d str, &'d str)>> {
        const RIGHT: &str = "keys and texts, as in `query = { id = \":id\" }`";
        let value = self.value("query", "parameters").or_else(|| self.value("query", "params"));
        let Some(value) = value else { return Some(Vec::new()) };
        let Some(table) = value.get_ref().as_table() else {
            self.document.mismatch("query", value, RIGHT, problems);
            return None;
        };
        let mut tests = Vec::with_capacity(table.len());
        for (key, value) in table {
            let Some(text) = value.get_ref().as_str() else {
                self.document.mismatch(key.get_ref(), value, RIGHT, problems);
                return None;
            };
            tests.push((&**key.get_ref(), text));
        }
        Some(tests)
    }

    fn conditions(&self, problems: &mut Problems) -> Option<Vec<(&'d str, Vec<&'d str>)>> {
        const RIGHT: &str = "lists by name, as in `conditions = { Country = [\"au\", \"nz\"] }`";
        let Some(value) = self.table.get("conditions") else { return Some(Vec::new()) };
        let Some(table) = value.get_ref().as_table() else {
            self.document.mismatch("conditions", value, RIGHT, problems);
            return None;
        };
        let mut conditions = Vec::with_capacity(table.len());
        for (name, value) in table {
            let Some(values) = texts(value.get_ref()) else {
                self.document.mismatch(name.get_ref(), value, RIGHT, problems);
                return None;
            };
            let values = values.into_iter().flat_map(|text| text.split(',')).collect();
            conditions.push((&**name.get_ref(), values));
        }
        Some(conditions)
    }

    fn block(&self, output: &mut Output) -> Result<(), Refused> {
        let problems = &mut output.problems;
        if self.flavour == Flavour::Loggia {
            schema::check_keys(self.document, "headers", self.table, &schema::HEADER, problems);
        }
        let opener = self.text("for", "for", "a path, as in `for = \"/*\"`", problems).flatten();
        let Some(values) = self.header_values(problems)? else {
            return Ok(());
        };
        let has_mistakes =
            values.is_empty() && self.table.get("values").is_some_and(|table| !is_empty(table));
        let entries = values
            .iter()
            .map(|(line, name, value)| Entry { line: *line, change: Change::Set { name, value } })
            .collect();
        // A block without a path has none that could be understood.
        let opener = opener.map_or(Cow::Borrowed(""), |path| self.opener(path));
        let block = BlockDraft { line: self.line, opener: &opener, entries, has_mistakes };
        output.add_block(self.document.file, &block)
    }

    /// `None` if there is no table of them.
    fn header_values(&self, problems: &mut Problems) -> Result<Option<Vec<HeaderText<'d>>>, Refused> {
        const RIGHT: &str = "a text or a list of texts, as in `X-Frame-Options = \"DENY\"`";
        let Some(value) = self.table.get("values") else {
            self.report(
                "the block sets nothing: write `[headers.values]` and `Name = \"value\"` below",
                problems,
            );
            return Ok(None);
        };
        let Some(table) = value.get_ref().as_table() else {
            self.document.mismatch(
                "values",
                value,
                "`[headers.values]` and `Name = \"value\"` below",
                problems,
            );
            return Ok(None);
        };
        let mut values = Vec::with_capacity(table.len());
        for (key, value) in table {
            let (line, name) = (self.document.line(key), key.get_ref().trim_matches([' ', '\t']));
            let Some(texts) = texts(value.get_ref()) else {
                match is_basic_auth(name) {
                    // An empty one is kept, and closes the path.
                    true => values.push((line, name, Cow::Borrowed(""))),
                    false => self.document.mismatch(name, value, RIGHT, problems),
                }
                continue;
            };
            for text in texts {
                self.check_length(name, text, line)?;
                values.push((line, name, self.folded(text)));
            }
        }
        Ok(Some(values))
    }

    /// Netlify's documentation spreads values over lines; they are sent on one.
    fn folded(&self, text: &'d str) -> Cow<'d, str> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        match self.flavour {
            Flavour::Netlify if text.contains('\n') => {
                let lines = text.split('\n').map(|line| line.trim_matches([' ', '\t', '\r']));
                Cow::Owned(lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "))
            }
            _ => Cow::Borrowed(text.trim_matches([' ', '\t'])),
        }
    }

    fn check_lengths(&self, keys: &[&str]) -> Result<(), Refused> {
        for key in keys {
            let Some(value) = self.table.get(*key) else { continue };
            if let Some(text) = value.get_ref().as_str() {
                self.check_length(key, text, self.document.line(value))?;
            }
        }
        Ok(())
    }

    fn check_length(&self, key: &str, text: &str, line: u32) -> Result<(), Refused> {
        if text.len() <= LINE_CHARS_MAX || text.chars().count() <= LINE_CHARS_MAX {
            return Ok(());
        }
        let message = format!("{} has over {LINE_CHARS_MAX} characters, the most there can be", shown(key));
        Err(Refused { file: self.document.file, line, message })
    }
}

/// Begins where a path, a URL or the name of a file does.
fn is_rooted(text: &str) -> bool {
    text.starts_with('/') || text.starts_with("file:/") || text.contains("://")
}

/// A text, or a list of them.
fn texts<'d>(value: &'d DeValue<'_>) -> Option<Vec<&'d str>> {
    match value {
        DeValue::String(text) => Some(vec![text]),
        DeValue::Array(list) => list.iter().map(|value| value.get_ref().as_str()).collect(),
        _ => None,
    }
}

fn is_empty(table: &Value<'_>) -> bool {
    table.get_ref().as_table().is_none_or(DeTable::is_empty)
}
