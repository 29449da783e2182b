//! `:name` and `:splat` where they are filled in.

use std::collections::HashSet;

use loggia_types::rules::Part;

/// What a pattern holds for its templates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Captures {
    names: HashSet<Box<str>>,
    pub(super) splat: bool,
}

impl Captures {
    pub(super) fn add_name(&mut self, name: &str) -> Result<(), String> {
        if self.has(name) {
            return Err(format!("`:{name}` stands twice in the pattern: give them two names"));
        }
        if name == "splat" && self.splat {
            return Err("`*` and `:splat` can't stand in one pattern: `*` is `:splat` already".into());
        }
        self.names.insert(name.into());
        Ok(())
    }

    pub(super) fn add_splat(&mut self) -> Result<(), String> {
        if self.splat {
            return Err("there are several `*` in the pattern, and it can have one: write `:name`".into());
        }
        if self.has("splat") {
            return Err("`*` and `:splat` can't stand in one pattern: `*` is `:splat` already".into());
        }
        self.splat = true;
        Ok(())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    fn part(&self, name: &str) -> Option<Part> {
        if name == "splat" && self.splat {
            return Some(Part::Splat);
        }
        self.has(name).then(|| Part::Name(name.into()))
    }
}

/// Pieces in a row, with neighbouring texts made one.
#[derive(Debug, Default)]
pub(super) struct Parts {
    done: Vec<Part>,
    text: String,
}

impl Parts {
    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn push(&mut self, part: Part) {
        match part {
            Part::Text(text) => self.text(&text),
            other => {
                self.end_text();
                self.done.push(other);
            }
        }
    }

    pub(super) fn into_vec(mut self) -> Vec<Part> {
        self.end_text();
        self.done
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.done.push(Part::Text(std::mem::take(&mut self.text).into()));
        }
    }
}

/// The length of the name that begins here: a letter or `_`, then letters, digits and `_`.
pub(super) fn name_len(text: &str) -> usize {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return 0;
    }
    text.find(|c| !is_name(c)).unwrap_or(text.len())
}

/// Splits a text at the captures that it uses; a `:name` that nothing holds stays text.
pub(super) fn split(text: &str, captures: &Captures) -> Vec<Part> {
    let mut parts = Parts::default();
    let mut rest = text;
    while let Some(colon) = rest.find(':') {
        let after = &rest[colon + 1..];
        let len = name_len(after);
        match captures.part(&after[..len]) {
            Some(part) => {
                parts.text(&rest[..colon]);
                parts.push(part);
            }
            None => parts.text(&rest[..=colon + len]),
        }
        rest = &after[len..];
    }
    parts.text(rest);
    parts.into_vec()
}

/// Splits a text, then changes every literal piece of it.
pub(super) fn split_with(
    text: &str,
    captures: &Captures,
    change: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<Part>, String> {
    split(text, captures)
        .into_iter()
        .map(|part| match part {
            Part::Text(text) => change(&text).map(|text| Part::Text(text.into())),
            other => Ok(other),
        })
        .collect()
}
