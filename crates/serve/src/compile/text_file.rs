//! The lines of `_redirects` and `_headers`.

use super::limits::{FILE_BYTES_MAX, LINE_CHARS_MAX};
use super::problems::Problems;
use super::{Refused, text};

/// A line with something on it, without the spaces around.
pub(super) struct Line<'a> {
    pub(super) number: u32,
    pub(super) text: &'a str,
}

/// Every line that holds more than spaces and a comment.
///
/// One that is no text is a problem; `salvage` may say what is to stand in its place.
pub(super) fn lines<'a>(
    file: &'static str,
    bytes: &'a [u8],
    salvage: impl Fn(&[u8]) -> Option<&'static str>,
    problems: &mut Problems,
) -> Result<Vec<Line<'a>>, Refused> {
    check_size(file, bytes)?;
    let mut lines = Vec::new();
    for (number, bytes) in (1..).zip(without_bom(bytes).split(|byte| *byte == b'\n')) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            problems.add(file, number, "this line is not UTF-8: save the file as UTF-8");
            lines.extend(salvage(bytes).map(|text| Line { number, text }));
            continue;
        };
        let trimmed = text.strip_suffix('\r').unwrap_or(text).trim_matches([' ', '\t']);
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        check_length(file, number, text)?;
        match text::refuse_control(trimmed) {
            Ok(()) => lines.push(Line { number, text: trimmed }),
            Err(message) => {
                problems.add(file, number, message);
                lines.extend(salvage(bytes).map(|text| Line { number, text }));
            }
        }
    }
    Ok(lines)
}

pub(super) fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

pub(super) fn check_size(file: &'static str, bytes: &[u8]) -> Result<(), Refused> {
    if bytes.len() <= FILE_BYTES_MAX {
        return Ok(());
    }
    let line = 1 + bytes[..FILE_BYTES_MAX].iter().filter(|byte| **byte == b'\n').count();
    Err(Refused {
        file,
        line: u32::try_from(line).unwrap_or(u32::MAX),
        message: format!("the file has {} bytes, from this line on it is over {FILE_BYTES_MAX}", bytes.len()),
    })
}

fn check_length(file: &'static str, line: u32, text: &str) -> Result<(), Refused> {
    // Bytes are at least as many as characters, and cheaper to count.
    if text.len() <= LINE_CHARS_MAX {
        return Ok(());
    }
    match text.trim().chars().count() {
        chars if chars > LINE_CHARS_MAX => Err(Refused {
            file,
            line,
            message: format!("the line has {chars} characters, a line has at most {LINE_CHARS_MAX}"),
        }),
        _ => Ok(()),
    }
}
