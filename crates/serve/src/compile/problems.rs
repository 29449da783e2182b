//! The mistakes found so far, file by file.

use std::collections::BTreeMap;

use loggia_types::problem::Problem;

use super::{HEADERS_FILE, LOGGIA_FILE, NETLIFY_FILE, REDIRECTS_FILE};

/// 100 a file: more than anybody reads at once, and at 300 bytes each 120 KiB of a manifest for all four files.
pub(super) const PROBLEMS_PER_FILE_MAX: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Problems {
    files: BTreeMap<&'static str, OfFile>,
}

#[derive(Debug, Default)]
struct OfFile {
    kept: Vec<Problem>,
    dropped: usize,
}

impl Problems {
    pub(super) fn add(&mut self, file: &'static str, line: u32, message: impl Into<String>) {
        let of_file = self.files.entry(file).or_default();
        if of_file.kept.len() == PROBLEMS_PER_FILE_MAX {
            of_file.dropped += 1;
            return;
        }
        of_file.kept.push(Problem { file: file.to_owned(), line: Some(line), message: message.into() });
    }

    /// Whether what is found now is only counted.
    pub(super) fn is_full(&self, file: &str) -> bool {
        self.files.get(file).is_some_and(|of_file| of_file.kept.len() == PROBLEMS_PER_FILE_MAX)
    }

    pub(super) fn into_list(mut self) -> Vec<Problem> {
        [REDIRECTS_FILE, HEADERS_FILE, LOGGIA_FILE, NETLIFY_FILE]
            .into_iter()
            .filter_map(|file| Some((file, self.files.remove(file)?)))
            .flat_map(|(file, of_file)| of_file.into_list(file))
            .collect()
    }
}

impl OfFile {
    fn into_list(mut self, file: &'static str) -> Vec<Problem> {
        self.kept.sort_by_key(|problem| problem.line);
        if self.dropped > 0 {
            self.kept.push(Problem::in_file(file, format!("{} more problems are not listed", self.dropped)));
        }
        self.kept
    }
}

/// A piece of a file as messages quote it: in backticks, short, and on one line.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    if text.len() <= CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'`') {
        return ["`", text, "`"].concat();
    }
    let mut quoted = String::from("`");
    for c in text.chars().take(CHARS_MAX) {
        match c {
            '`' => quoted.push('\''),
            c if c.is_control() => quoted.extend(c.escape_default()),
            c => quoted.push(c),
        }
    }
    if text.chars().nth(CHARS_MAX).is_some() {
        quoted.push('…');
    }
    quoted.push('`');
    quoted
}
