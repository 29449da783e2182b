//! One pattern against one text, without backtracking.
//!
//! A pattern means the regular expression `^…([^/]+)…(.*)…$` and captures exactly what a leftmost-greedy engine
//! would, in time linear in the text. What makes that possible: a name never crosses a separator and there is at
//! most one splat, so every segment of the pattern belongs to a known segment of the text, counted from the
//! left before the splat and from the right behind it. Within a segment, taking the rightmost place for each
//! text, from right to left, makes every name as long as it can be, the first one first: this is what greedy
//! means.

use std::ops::Range;

use loggia_types::rules::{Part, PathPattern};
use memchr::{memchr, memmem, memrchr};

#[derive(Debug)]
pub(super) struct Pattern {
    separator: u8,
    /// A separator at the end of the text makes no difference.
    lenient: bool,
    /// Texts at both ends, to turn away most candidates with two comparisons.
    prefix: Box<str>,
    suffix: Box<str>,
    shape: Shape,
    /// What is captured: names and the splat, in the order of the pattern.
    keys: Vec<Part>,
}

#[derive(Debug)]
enum Shape {
    Fixed(Vec<Run>),
    Open(Open),
}

/// A pattern with a splat: `head/before*after/tail`.
#[derive(Debug)]
struct Open {
    head: Vec<Run>,
    before: Run,
    /// The index of the splat in `keys`.
    splat: usize,
    after: Run,
    tail: Vec<Run>,
}

/// Texts and names in turn, within one segment: `lead :name text :name text`.
#[derive(Debug, Default)]
struct Run {
    lead: String,
    names: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    /// Into `keys`.
    key: usize,
    /// Perhaps empty.
    text_after: String,
}

/// At which ends of a text a run has to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Both,
    Left,
    Right,
}

impl Pattern {
    pub(super) fn of_path(pattern: &PathPattern) -> Self {
        Self::new(&pattern.parts, b'/', pattern.lenient)
    }

    pub(super) fn of_host(parts: &[Part]) -> Self {
        Self::new(parts, b'.', false)
    }

    fn new(parts: &[Part], separator: u8, lenient: bool) -> Self {
        let (shape, keys) = Reader::new(separator).read(parts);
        let prefix = text_at_start(parts, separator, lenient);
        let suffix = text_at_end(parts, separator, lenient);
        let mut pattern = Self { separator, lenient, prefix, suffix, shape, keys };
        if lenient {
            pattern.shape.drop_empty_end();
        }
        pattern
    }

    pub(super) fn keys(&self) -> &[Part] {
        &self.keys
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.capture(text, &mut |_, _| {})
    }

    /// Tells `sink` what each key captured, in no particular order, and perhaps also before it turns out that
    /// the text does not match.
    pub(super) fn capture<'t>(&self, text: &'t str, sink: &mut impl FnMut(usize, &'t str)) -> bool {
        if !begins(text, &self.prefix) {
            return false;
        }
        let text = if self.ignores_last_separator() { without_last(text, self.separator) } else { text };
        if !ends(text, &self.suffix) {
            return false;
        }
        match &self.shape {
            Shape::Fixed(runs) => capture_fixed(runs, text, self.separator, sink),
            Shape::Open(open) => open.capture(text, self.separator, self.lenient, sink).is_some(),
        }
    }

    /// A splat at the end takes a last slash, so that `/docs/*` keeps that of `/docs/a/`.
    fn ignores_last_separator(&self) -> bool {
        self.lenient && !matches!(&self.shape, Shape::Open(open) if open.ends_in_splat())
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let runs = match &self.shape {
            Shape::Fixed(runs) => runs.iter().map(Run::bytes).sum(),
            Shape::Open(open) => {
                let whole: usize = open.head.iter().chain(&open.tail).map(Run::bytes).sum();
                whole + open.before.bytes() + open.after.bytes()
            }
        };
        size_of::<Self>() + self.prefix.len() + self.suffix.len() + self.keys.len() * size_of::<Part>() + runs
    }
}

impl Shape {
    /// For a lenient pattern that was written with a slash at its end anyway.
    fn drop_empty_end(&mut self) {
        let (runs, keep) = match self {
            Self::Fixed(runs) => (runs, 1),
            Self::Open(open) => (&mut open.tail, 0),
        };
        if runs.len() > keep && runs.last().is_some_and(Run::is_empty) {
            runs.pop();
        }
    }
}

impl Open {
    fn ends_in_splat(&self) -> bool {
        self.after.is_empty() && self.tail.is_empty()
    }

    fn capture<'t>(
        &self,
        text: &'t str,
        separator: u8,
        lenient: bool,
        sink: &mut impl FnMut(usize, &'t str),
    ) -> Option<()> {
        let mut rest = text;
        for (at, run) in self.head.iter().enumerate() {
            let (segment, behind) = match split_first(rest, separator) {
                Some(split) => split,
                // Netlify: `/docs/*` matches `/docs`.
                None if lenient && at + 1 == self.head.len() && self.is_whole_rest() => {
                    sink(self.splat, "");
                    return run.locate(rest, Anchor::Both, sink).map(|_| ());
                }
                None => return None,
            };
            run.locate(segment, Anchor::Both, sink)?;
            rest = behind;
        }
        for run in self.tail.iter().rev() {
            let (before, segment) = split_last(rest, separator)?;
            run.locate(segment, Anchor::Both, sink)?;
            rest = before;
        }
        self.capture_around_splat(rest, separator, sink)
    }

    /// `before*after`. What stands behind the splat goes as far right as it can, which leaves the names before
    /// it, and then the splat itself, all they could ever get.
    fn capture_around_splat<'t>(
        &self,
        text: &'t str,
        separator: u8,
        sink: &mut impl FnMut(usize, &'t str),
    ) -> Option<()> {
        let last_start = memrchr(separator, text.as_bytes()).map_or(0, |at| at + 1);
        let after = last_start + self.after.locate(&text[last_start..], Anchor::Right, sink)?.start;
        let first_end = memchr(separator, text.as_bytes()).unwrap_or(text.len()).min(after);
        let before = self.before.locate(&text[..first_end], Anchor::Left, sink)?.end;
        sink(self.splat, &text[before..after]);
        Some(())
    }

    fn is_whole_rest(&self) -> bool {
        self.before.is_empty() && self.ends_in_splat()
    }
}

fn capture_fixed<'t>(
    runs: &[Run],
    text: &'t str,
    separator: u8,
    sink: &mut impl FnMut(usize, &'t str),
) -> bool {
    let mut rest = Some(text);
    let all_fit = runs.iter().all(|run| {
        let Some(text) = rest else { return false };
        let (segment, behind) = match split_first(text, separator) {
            Some((segment, behind)) => (segment, Some(behind)),
            None => (text, None),
        };
        rest = behind;
        run.locate(segment, Anchor::Both, sink).is_some()
    });
    all_fit && rest.is_none()
}

impl Run {
    fn is_empty(&self) -> bool {
        self.lead.is_empty() && self.names.is_empty()
    }

    /// Where this run lies in a text without separators.
    fn locate<'t>(
        &self,
        text: &'t str,
        anchor: Anchor,
        sink: &mut impl FnMut(usize, &'t str),
    ) -> Option<Range<usize>> {
        let Some(last) = self.names.last() else { return self.locate_lead(text, anchor) };
        let mut at = match anchor {
            Anchor::Left => rfind(text, &last.text_after)?,
            Anchor::Both | Anchor::Right => {
                ends(text, &last.text_after).then(|| text.len() - last.text_after.len())?
            }
        };
        let end = at + last.text_after.len();
        for (index, named) in self.names.iter().enumerate().rev() {
            // A name has at least one character.
            let (limit, _) = text[..at].char_indices().next_back()?;
            let text_before =
                index.checked_sub(1).map_or(&self.lead, |before| &self.names[before].text_after);
            let start = if index == 0 && anchor != Anchor::Right {
                begins(&text[..limit], text_before).then_some(0)?
            } else {
                rfind(&text[..limit], text_before)?
            };
            sink(named.key, &text[start + text_before.len()..at]);
            at = start;
        }
        Some(at..end)
    }

    fn locate_lead(&self, text: &str, anchor: Anchor) -> Option<Range<usize>> {
        let (lead, all) = (self.lead.len(), text.len());
        match anchor {
            Anchor::Both => (lead == all && begins(text, &self.lead)).then_some(0..all),
            Anchor::Left => begins(text, &self.lead).then_some(0..lead),
            Anchor::Right => ends(text, &self.lead).then(|| all - lead..all),
        }
    }

    fn push_text(&mut self, text: &str) {
        match self.names.last_mut() {
            Some(named) => named.text_after.push_str(text),
            None => self.lead.push_str(text),
        }
    }

    fn push_name(&mut self, key: usize) {
        self.names.push(Named { key, text_after: String::new() });
    }

    fn bytes(&self) -> usize {
        let texts: usize = self.names.iter().map(|named| size_of::<Named>() + named.text_after.len()).sum();
        size_of::<Self>() + self.lead.len() + texts
    }
}

/// Cuts parts into segments.
struct Reader {
    separator: u8,
    keys: Vec<Part>,
    done: Vec<Run>,
    run: Run,
    /// What stands before the splat, and the splat's key, once there was one.
    opening: Option<(Vec<Run>, Run, usize)>,
}

impl Reader {
    fn new(separator: u8) -> Self {
        Self { separator, keys: Vec::new(), done: Vec::new(), run: Run::default(), opening: None }
    }

    fn read(mut self, parts: &[Part]) -> (Shape, Vec<Part>) {
        for part in parts {
            match part {
                Part::Text(text) => self.text(text),
                Part::Name(_) => {
                    self.run.push_name(self.keys.len());
                    self.keys.push(part.clone());
                }
                // Patterns have one splat; a second could only come from a broken manifest.
                Part::Splat if self.opening.is_some() => self.text("*"),
                Part::Splat => {
                    let head = std::mem::take(&mut self.done);
                    let before = std::mem::take(&mut self.run);
                    self.opening = Some((head, before, self.keys.len()));
                    self.keys.push(Part::Splat);
                }
            }
        }
        self.finish()
    }

    fn text(&mut self, text: &str) {
        for (index, piece) in text.split(char::from(self.separator)).enumerate() {
            if index > 0 {
                self.done.push(std::mem::take(&mut self.run));
            }
            self.run.push_text(piece);
        }
    }

    fn finish(mut self) -> (Shape, Vec<Part>) {
        let Some((head, before, splat)) = self.opening else {
            self.done.push(self.run);
            return (Shape::Fixed(self.done), self.keys);
        };
        // The run that began at the splat is `after`, unless a separator has ended it.
        self.done.push(self.run);
        let after = self.done.remove(0);
        (Shape::Open(Open { head, before, splat, after, tail: self.done }), self.keys)
    }
}

/// Lenient patterns may match without the slash before their splat, so it is no part of this.
fn text_at_start(parts: &[Part], separator: u8, lenient: bool) -> Box<str> {
    match parts.first() {
        Some(Part::Text(text)) if lenient => without_last(text, separator).into(),
        Some(Part::Text(text)) => text.clone(),
        _ => Box::default(),
    }
}

fn text_at_end(parts: &[Part], separator: u8, lenient: bool) -> Box<str> {
    match parts.last() {
        Some(Part::Text(text)) if lenient => without_last(text, separator).into(),
        Some(Part::Text(text)) => text.clone(),
        _ => Box::default(),
    }
}

fn without_last(text: &str, separator: u8) -> &str {
    if text.as_bytes().last() == Some(&separator) { &text[..text.len() - 1] } else { text }
}

fn split_first(text: &str, separator: u8) -> Option<(&str, &str)> {
    memchr(separator, text.as_bytes()).map(|at| (&text[..at], &text[at + 1..]))
}

fn split_last(text: &str, separator: u8) -> Option<(&str, &str)> {
    memrchr(separator, text.as_bytes()).map(|at| (&text[..at], &text[at + 1..]))
}

/// Linear, as all searches here; `str::rfind` prepares more than segments of a path are long.
fn rfind(text: &str, needle: &str) -> Option<usize> {
    match needle.as_bytes() {
        [] => Some(text.len()),
        [byte] => memrchr(*byte, text.as_bytes()),
        needle => memmem::rfind(text.as_bytes(), needle),
    }
}

fn begins(text: &str, with: &str) -> bool {
    text.as_bytes().get(..with.len()).is_some_and(|start| is_same(start, with.as_bytes()))
}

fn ends(text: &str, with: &str) -> bool {
    let start = text.len().checked_sub(with.len());
    start.is_some_and(|start| is_same(&text.as_bytes()[start..], with.as_bytes()))
}

/// Most texts here are empty or a short word, for which the call of `memcmp` alone was most of a match's time.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    const SHORT: usize = 32;
    if other.len() > SHORT { one == other } else { one.iter().zip(other).all(|(one, other)| one == other) }
}
