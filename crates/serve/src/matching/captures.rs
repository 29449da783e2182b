//! What names and the splat of a pattern stood for in one request.

use std::ops::Range;

use loggia_types::rules::Part;

use super::pattern::Pattern;

/// By name. If a name is used twice the path goes before the host and the host before the query, left to right.
#[derive(Debug, Default)]
pub(super) struct Captures<'i> {
    /// All values, one behind the other.
    text: String,
    entries: Vec<(&'i Part, Range<usize>)>,
}

impl<'i> Captures<'i> {
    pub(super) fn push(&mut self, key: &'i Part, value: &str) {
        let range = self.append(value);
        self.entries.push((key, range));
    }

    /// `text` matches `pattern`.
    pub(super) fn push_all(&mut self, pattern: &'i Pattern, text: &str) {
        let first = self.entries.len();
        self.entries.extend(pattern.keys().iter().map(|key| (key, 0..0)));
        pattern.capture(text, &mut |key, value| {
            let range = self.append(value);
            if let Some(entry) = self.entries.get_mut(first + key) {
                entry.1 = range;
            }
        });
    }

    pub(super) fn get(&self, part: &Part) -> Option<&str> {
        let (_, range) = self.entries.iter().find(|(key, _)| *key == part)?;
        self.text.get(range.clone())
    }

    fn append(&mut self, value: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(value);
        start..self.text.len()
    }
}
