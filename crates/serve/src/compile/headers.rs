//! One block of headers, from the words of any of the files to what a manifest carries.

use std::collections::{HashMap, HashSet};

use loggia_types::build::Environment;
use loggia_types::content_hash::ContentHash;
use loggia_types::rules::{Dialect, HeaderLine, HeaderRule, HeaderScope, RuleSource};

use super::conditions::is_token;
use super::limits::HEADER_BLOCKS_MAX;
use super::pattern::{self, Pattern};
use super::problems::{Problems, shown};
use super::template::{self, Captures, Parts};
use super::{Output, Refused};
use crate::platform_headers::is_platforms;

/// Also `Basic_Auth` and `BasicAuth`: sent as a header, they would show everybody the password.
pub(super) fn is_basic_auth(name: &str) -> bool {
    let letters = name.bytes().filter(|byte| !b"-_ ".contains(byte)).take(16);
    letters.map(|byte| byte.to_ascii_lowercase()).eq(*b"basicauth")
}

/// Lets nobody in: no text is known whose SHA-256 is all zeros, and finding one is as hard as breaking SHA-256.
///
/// A `Basic-Auth` line that can't be understood was meant to close something, so it closes it for all.
pub(super) const NOBODY: [u8; 32] = [0; 32];

/// A block as it was written.
#[derive(Debug)]
pub(super) struct BlockDraft<'a> {
    pub(super) line: u32,
    /// `/path`, `https://host/path` or `file:/path`, then `[context=…]` and `[status=…]`.
    pub(super) opener: &'a str,
    pub(super) entries: Vec<Entry<'a>>,
    /// There were other lines, which are reported already.
    pub(super) has_mistakes: bool,
}

#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) line: u32,
    pub(super) change: Change<'a>,
}

#[derive(Debug)]
pub(super) enum Change<'a> {
    Set { name: &'a str, value: &'a str },
    Remove { name: &'a str },
}

impl BlockDraft<'_> {
    /// The first line that sets a password.
    fn basic_auth_line(&self) -> Option<u32> {
        self.entries.iter().find(|entry| entry.change.is_basic_auth()).map(|entry| entry.line)
    }
}

impl Change<'_> {
    fn is_basic_auth(&self) -> bool {
        matches!(self, Self::Set { name, .. } if is_basic_auth(name))
    }
}

/// All header rules of a project, in file order.
#[derive(Debug, Default)]
pub(super) struct HeaderList {
    rules: Vec<HeaderRule>,
    blocks: usize,
}

impl HeaderList {
    pub(super) fn into_rules(self) -> Vec<HeaderRule> {
        self.rules
    }

    fn count_block(&mut self, file: &'static str, line: u32) -> Result<(), Refused> {
        self.blocks += 1;
        if self.blocks <= HEADER_BLOCKS_MAX {
            return Ok(());
        }
        Err(Refused {
            file,
            line,
            message: format!("with this one there are over {HEADER_BLOCKS_MAX} blocks"),
        })
    }
}

impl Output {
    /// Compiles a block and keeps it, or says why not.
    pub(super) fn add_block(&mut self, file: &'static str, block: &BlockDraft<'_>) -> Result<(), Refused> {
        self.headers.count_block(file, block.line)?;
        if block.entries.is_empty() && !block.has_mistakes {
            let message = format!("{} sets nothing: write `Name: value` below it", shown(block.opener));
            self.problems.add(file, block.line, message);
            return Ok(());
        }
        let opener = match Opener::parse(block.opener, self.mode.dialect) {
            Ok(opener) => opener,
            Err(message) => return self.refuse_block(file, block, message),
        };
        if block.basic_auth_line().is_some()
            && let Some(message) = opener.unprotectable()
        {
            return self.refuse_block(file, block, message);
        }
        for note in &opener.pattern.notes {
            self.problems.add(file, block.line, note.clone());
        }
        let mut body = Body::default();
        for entry in &block.entries {
            body.add(file, entry, &opener.pattern.captures, &mut self.problems);
        }
        let source = RuleSource { file: file.into(), line: block.line };
        self.headers.rules.extend(body.into_rule(source, opener));
        Ok(())
    }

    /// A block that can't be understood is left out, unless that would leave open what its password should close.
    fn refuse_block(
        &mut self,
        file: &'static str,
        block: &BlockDraft<'_>,
        message: String,
    ) -> Result<(), Refused> {
        if let Some(line) = block.basic_auth_line() {
            let message = format!("this `Basic-Auth` would protect nothing: {message}");
            return Err(Refused { file, line, message });
        }
        self.problems.add(file, block.line, message);
        Ok(())
    }
}

/// Path and narrowings. `/*[status=404]` is `/* [status=404]`: a bracket in a path would be written `%5B`. Spaces in
/// a path need not be written `%20`: no peer asks for that, and nothing else can stand there.
fn split_narrowings(text: &str) -> (&str, &str) {
    let starts = ["[context=", "[status=", " [", "\t["].into_iter().filter_map(|start| text.find(start));
    let (path, narrowings) = text.split_at(starts.min().unwrap_or(text.len()));
    (path.trim_end_matches([' ', '\t']), narrowings)
}

/// Without the comment behind it.
fn uncommented(text: &str) -> &str {
    let starts = [" #", "\t#"].into_iter().filter_map(|start| text.find(start));
    text[..starts.min().unwrap_or(text.len())].trim_matches([' ', '\t'])
}

/// The first line of a block, understood.
struct Opener {
    pattern: Pattern,
    of_file: bool,
    environment: Option<Environment>,
    status: Option<u16>,
}

impl Opener {
    fn parse(text: &str, dialect: Dialect) -> Result<Self, String> {
        let (path, narrowings) = split_narrowings(uncommented(text));
        if path.is_empty() || path.starts_with('#') {
            return Err("a block has no path: write one, such as `/*`".into());
        }
        let file = path.strip_prefix("file:");
        let pattern = match file {
            Some(path) => pattern::of_file(path, dialect)?,
            None => pattern::of_block(path, dialect)?,
        };
        let mut opener = Self { pattern, of_file: file.is_some(), environment: None, status: None };
        let words = narrowings.split([' ', '\t']).filter(|word| !word.is_empty());
        for word in words.flat_map(|word| word.split_inclusive(']')) {
            opener.narrow(word)?;
        }
        Ok(opener)
    }

    fn narrow(&mut self, word: &str) -> Result<(), String> {
        let inner = word.strip_prefix('[').and_then(|word| word.strip_suffix(']'));
        let Some((key, value)) = inner.and_then(|inner| inner.split_once('=')) else {
            return Err(format!(
                "{} stands behind the path: write what narrows a block as `[status=404]`",
                shown(word)
            ));
        };
        match key {
            "context" => {
                let refused = |_| format!("{} is no context: write `production` or `preview`", shown(value));
                self.environment = Some(value.parse().map_err(refused)?);
            }
            "status" => {
                let status = value.parse().ok().filter(|status| (200..=599).contains(status));
                self.status =
                    Some(status.ok_or_else(|| format!("{} is no status from 200 to 599", shown(value)))?);
            }
            _ => {
                return Err(format!(
                    "a block can't be narrowed by {}: there are `context` and `status`",
                    shown(key)
                ));
            }
        }
        Ok(())
    }

    /// Who may see an answer is decided before there is a status or a file.
    fn unprotectable(&self) -> Option<String> {
        if self.of_file {
            return Some("passwords are asked for by URL, not by file: write the path".into());
        }
        self.status.map(|status| {
            format!("passwords are asked for before there is a status: remove `[status={status}]`")
        })
    }
}

/// The lines of a block, understood.
#[derive(Default)]
struct Body {
    remove: Vec<Box<str>>,
    /// The names in `remove`.
    removed: HashSet<Box<str>>,
    set: Vec<(Box<str>, Parts)>,
    /// Where each name stands in `set`.
    places: HashMap<Box<str>, usize>,
    credentials: Vec<ContentHash>,
}

impl Body {
    fn add(&mut self, file: &'static str, entry: &Entry<'_>, captures: &Captures, problems: &mut Problems) {
        let added = match &entry.change {
            Change::Set { value, .. } if entry.change.is_basic_auth() => self.protect(value),
            Change::Set { name, value } => self.set(name, value, captures),
            Change::Remove { name } => self.remove(name),
        };
        if let Err(message) = added {
            problems.add(file, entry.line, message);
        }
    }

    fn set(&mut self, name: &str, value: &str, captures: &Captures) -> Result<(), String> {
        let name = settable(name)?;
        check_value(&name, value)?;
        let parts = template::split(&value.replace('\t', " "), captures);
        let place = *self.places.entry(name.clone()).or_insert(self.set.len());
        if place == self.set.len() {
            self.set.push((name, Parts::default()));
        } else {
            self.set[place].1.text(", ");
        }
        for part in parts {
            self.set[place].1.push(part);
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), String> {
        let name = settable(name)?;
        if self.removed.insert(name.clone()) {
            self.remove.push(name);
        }
        Ok(())
    }

    fn protect(&mut self, value: &str) -> Result<(), String> {
        let mut malformed = 0;
        for pair in value.split_whitespace() {
            match pair.split_once(':') {
                Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                    self.credentials.push(ContentHash::of(pair.as_bytes()));
                }
                _ => malformed += 1,
            }
        }
        if self.credentials.is_empty() {
            self.credentials.push(ContentHash::from_bytes(NOBODY));
            return Err(
                "this `Basic-Auth` has no user, so it lets nobody in: write `Basic-Auth: user:password`"
                    .into(),
            );
        }
        match malformed {
            0 => Ok(()),
            // Which of them is not said: it may be a password.
            count => {
                Err(format!("{count} of the users of this `Basic-Auth` can't log in: write `user:password`"))
            }
        }
    }

    fn into_rule(self, source: RuleSource, opener: Opener) -> Option<HeaderRule> {
        if self.set.is_empty() && self.remove.is_empty() && self.credentials.is_empty() {
            return None;
        }
        let url = opener.pattern.url;
        let line = |(name, value): (Box<str>, Parts)| HeaderLine { name, value: value.into_vec() };
        Some(HeaderRule {
            source,
            scope: if opener.of_file { HeaderScope::File(url.path) } else { HeaderScope::Url(url) },
            environment: opener.environment,
            status: opener.status,
            remove: self.remove,
            set: self.set.into_iter().map(line).collect(),
            credentials: self.credentials,
        })
    }
}

/// The name in lower case, if rules may touch it.
fn settable(name: &str) -> Result<Box<str>, String> {
    if !is_token(name) {
        return Err(format!("{} is no name of a header: write one such as `X-Frame-Options`", shown(name)));
    }
    let lower = name.to_ascii_lowercase();
    if is_platforms(&lower) {
        return Err(format!("{} is the platform's own header: remove this line", shown(name)));
    }
    Ok(lower.into())
}

fn check_value(name: &str, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err(format!("{} has no value: write one, or `! {name}` to remove the header", shown(name)));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!("the value of {} holds a control character: remove it", shown(name)));
    }
    if !value.is_ascii() {
        return Err(format!(
            "the value of {} has letters beyond ASCII, which headers can't carry: encode or remove them",
            shown(name)
        ));
    }
    Ok(())
}
