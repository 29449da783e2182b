//! The blocks of `_headers`.

use super::headers::{BlockDraft, Change, Entry, is_basic_auth};
use super::problems::shown;
use super::text_file::Line;
use super::url_text::is_absolute;
use super::{HEADERS_FILE, Output, Refused, text_file};

/// Without users it closes the path for all.
const CLOSED: &str = "Basic-Auth";

pub(super) fn read(bytes: &[u8], output: &mut Output) -> Result<(), Refused> {
    let lines = text_file::lines(HEADERS_FILE, bytes, salvage, &mut output.problems)?;
    let first = lines.iter().position(|line| opens(line.text));
    let (stray, blocks) = lines.split_at(first.unwrap_or(lines.len()));
    for line in stray {
        report_stray(line, output)?;
    }
    for block in blocks.chunk_by(|_, next| !opens(next.text)) {
        if let [opener, entries @ ..] = block {
            read_block(opener, entries, output)?;
        }
    }
    Ok(())
}

/// What a line that is no text stands for, so that no password gets lost or moves to another path.
fn salvage(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if starts_like_basic_auth(text) {
        return Some(CLOSED);
    }
    let is_opener = text.starts_with(['/', '"']) || text.starts_with("file:/") || is_absolute(text);
    is_opener.then_some("")
}

fn starts_like_basic_auth(line: &str) -> bool {
    is_basic_auth(line.split([':', ' ', '\t', '=']).next().unwrap_or_default())
}

fn read_block(opener: &Line<'_>, lines: &[Line<'_>], output: &mut Output) -> Result<(), Refused> {
    let mut block =
        BlockDraft { line: opener.number, opener: opener.text, entries: Vec::new(), has_mistakes: false };
    for line in lines {
        match change(line.text) {
            Ok(change) => block.entries.push(Entry { line: line.number, change }),
            Err(message) => {
                output.problems.add(HEADERS_FILE, line.number, message);
                block.has_mistakes = true;
            }
        }
    }
    output.add_block(HEADERS_FILE, &block)
}

/// A line above the first block belongs to no path.
fn report_stray(line: &Line<'_>, output: &mut Output) -> Result<(), Refused> {
    let message = format!("{} belongs to no path: write a line such as `/*` above it", shown_name(line.text));
    if starts_like_basic_auth(line.text) {
        let message = format!("this `Basic-Auth` would protect nothing: {message}");
        return Err(Refused { file: HEADERS_FILE, line: line.number, message });
    }
    output.problems.add(HEADERS_FILE, line.number, message);
    Ok(())
}

/// The name alone: a value may be a secret.
fn shown_name(line: &str) -> String {
    shown(line.split([':', ' ']).next().unwrap_or_default())
}

/// Whether a block begins here, also one whose path went wrong, such as `secret/*`: the lines below it were not
/// meant for the block above.
fn opens(line: &str) -> bool {
    if line.starts_with('/') || line.starts_with("file:/") || is_absolute(line) {
        return true;
    }
    if line.starts_with('!') || starts_like_basic_auth(line) {
        return false;
    }
    let is_setting = |(name, _): (&str, &str)| !name.contains('/') && !is_broken_url(line);
    if line.split_once(':').is_some_and(is_setting) {
        return false;
    }
    let first = line.split([' ', '\t']).next().unwrap_or_default();
    line.is_empty() || first.contains(['/', '*']) || line.starts_with(['"', '\'', '['])
}

fn change(line: &str) -> Result<Change<'_>, String> {
    if let Some(name) = line.strip_prefix('!') {
        return removal(name);
    }
    match line.split_once(':') {
        Some((name, value)) if !starts_like_basic_auth(line) || is_basic_auth(name.trim_end()) => {
            setting(line, name, value)
        }
        // `Basic-Auth user:password`, without the first colon, was meant to close the path and does.
        _ if starts_like_basic_auth(line) => Ok(Change::Set { name: CLOSED, value: "" }),
        _ => Err(missing_colon(line)),
    }
}

fn is_broken_url(line: &str) -> bool {
    line.starts_with("http:/") || line.starts_with("https:/")
}

fn setting<'a>(line: &str, name: &'a str, value: &'a str) -> Result<Change<'a>, String> {
    let (name, value) = (name.trim_end(), value.trim());
    if name.is_empty() {
        return Err(format!("{} has no name: write `Name: value`", shown(line)));
    }
    Ok(Change::Set { name, value })
}

fn removal(rest: &str) -> Result<Change<'_>, String> {
    let name = rest.trim();
    if !rest.starts_with([' ', '\t']) {
        return Err(format!("a space is missing behind `!`: write {}", shown(&format!("! {name}"))));
    }
    if let Some((name, _)) = name.split_once(':') {
        return Err(format!(
            "a header is removed by its name alone: write {}",
            shown(&format!("! {}", name.trim_end()))
        ));
    }
    Ok(Change::Remove { name })
}

fn missing_colon(line: &str) -> String {
    let (name, value) = line.split_once([' ', '\t', '=']).unwrap_or((line, "value"));
    format!("{} has no colon: write {}", shown(line), shown(&format!("{name}: {}", value.trim())))
}
