//! TOML with line numbers: what is there, and what was expected instead.

pub(super) mod loggia;
pub(super) mod netlify;
mod passwords;
mod rules;
mod schema;

use loggia_types::manifest::{HtmlHandling, NotFound};
use loggia_types::rules::Dialect;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::Problems;
use loggia_types::publish::SkewProtection;

use super::{Refused, text_file};

/// `[serve]` of `loggia.toml`, as far as it is there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Settings {
    pub(super) dialect: Option<Dialect>,
    pub(super) html_handling: Option<HtmlHandling>,
    pub(super) not_found: Option<NotFound>,
    pub(super) permanent: Option<bool>,
    pub(super) skew_protection: Option<SkewProtection>,
}

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document<'a> {
    file: &'static str,
    table: DeTable<'a>,
    lines: LineIndex,
}

/// Reads a file, unless it is none or no TOML.
pub(super) fn document<'a>(
    file: &'static str,
    bytes: Option<&'a [u8]>,
    problems: &mut Problems,
) -> Result<Option<Document<'a>>, Refused> {
    let Some(bytes) = bytes else { return Ok(None) };
    match text(file, bytes, problems)? {
        Some(text) => Document::parse(file, text, problems),
        None => Ok(None),
    }
}

fn text<'a>(
    file: &'static str,
    bytes: &'a [u8],
    problems: &mut Problems,
) -> Result<Option<&'a str>, Refused> {
    text_file::check_size(file, bytes)?;
    let bytes = text_file::without_bom(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let (line, column) = LineIndex::of(bytes).position(error.valid_up_to());
            let message = format!("not UTF-8 at column {column}, so nothing of it is used: save it as UTF-8");
            unusable(file, bytes, line, message, problems)?;
            Ok(None)
        }
    }
}

/// Nothing of a broken file is used, which must not open what it protects with a password.
fn unusable(
    file: &'static str,
    bytes: &[u8],
    line: u32,
    message: String,
    problems: &mut Problems,
) -> Result<(), Refused> {
    const BASIC_AUTH: &[u8] = b"basic-auth";
    if bytes.windows(BASIC_AUTH.len()).any(|window| window.eq_ignore_ascii_case(BASIC_AUTH)) {
        return Err(Refused {
            file,
            line,
            message: format!("a `Basic-Auth` would protect nothing: {message}"),
        });
    }
    problems.add(file, line, message);
    Ok(())
}

impl<'a> Document<'a> {
    fn parse(file: &'static str, text: &'a str, problems: &mut Problems) -> Result<Option<Self>, Refused> {
        let lines = LineIndex::of(text.as_bytes());
        match DeTable::parse(text) {
            Ok(table) => Ok(Some(Self { file, table: table.into_inner(), lines })),
            Err(error) => {
                let (line, column) = lines.position(error.span().map_or(0, |span| span.start));
                let reason = error.message().lines().collect::<Vec<_>>().join(", ");
                let message = format!("not TOML at column {column}, so nothing of it is used: {reason}");
                unusable(file, text.as_bytes(), line, message, problems)?;
                Ok(None)
            }
        }
    }

    fn line<T>(&self, value: &Spanned<T>) -> u32 {
        self.lines.position(value.span().start).0
    }

    /// Says at a value what should stand there.
    fn mismatch(&self, key: &str, value: &Spanned<DeValue<'_>>, right: &str, problems: &mut Problems) {
        let found = describe(value.get_ref());
        problems.add(self.file, self.line(value), format!("`{key}` is {found}: write {right}"));
    }
}

/// Where lines begin.
#[derive(Debug)]
struct LineIndex(Vec<usize>);

impl LineIndex {
    fn of(bytes: &[u8]) -> Self {
        let after = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(after).collect())
    }

    /// Line and column, counted from 1.
    fn position(&self, offset: usize) -> (u32, u32) {
        let line = self.0.partition_point(|start| *start <= offset);
        let column = offset - self.0[line - 1] + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", super::problems::shown(text)),
        DeValue::Integer(number) => format!("the number {}", super::problems::shown(number.as_str())),
        DeValue::Float(number) => format!("the number {}", super::problems::shown(number.as_str())),
        DeValue::Boolean(value) => format!("`{value}`"),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// A number of TOML that fits, whatever its radix.
fn integer(value: &DeValue<'_>) -> Option<u32> {
    let number = value.as_integer()?;
    u32::from_str_radix(number.as_str(), number.radix()).ok()
}
