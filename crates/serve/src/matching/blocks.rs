//! One `_headers` block, made ready to be applied.

use std::collections::HashMap;

use http::header::{HeaderMap, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY};
use loggia_types::build::Environment;
use loggia_types::content_hash::ContentHash;
use loggia_types::rules::{HeaderLine, HeaderRule, HeaderScope, Part};

use super::captures::Captures;
use super::headers::{Answered, NameSet};
use super::url::{PathMatcher, UrlMatcher};
use super::{RuleRequest, template};
use crate::platform_headers::is_platforms;

#[derive(Debug)]
pub(super) struct Block {
    scope: Scope,
    environment: Option<Environment>,
    status: Option<u16>,
    remove: Vec<Name>,
    set: Vec<Line>,
    credentials: Vec<ContentHash>,
}

#[derive(Debug)]
pub(super) enum Scope {
    Url(UrlMatcher),
    File(PathMatcher),
}

#[derive(Debug)]
struct Name {
    header: HeaderName,
    /// Among all names of the manifest's blocks.
    number: usize,
}

#[derive(Debug)]
struct Line {
    name: Name,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Ready(HeaderValue),
    Template(Vec<Part>),
}

impl Block {
    /// `numbers` are given to names as they come.
    pub(super) fn new(rule: HeaderRule, numbers: &mut HashMap<HeaderName, usize>) -> Self {
        let scope = match &rule.scope {
            HeaderScope::Url(url) => Scope::Url(UrlMatcher::of_host(url)),
            HeaderScope::File(path) => Scope::File(PathMatcher::new(path)),
        };
        Self {
            scope,
            environment: rule.environment,
            status: rule.status,
            remove: rule.remove.iter().filter_map(|name| Name::new(name, numbers)).collect(),
            set: rule.set.into_iter().filter_map(|line| Line::new(line, numbers)).collect(),
            credentials: rule.credentials,
        }
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn credentials(&self) -> &[ContentHash] {
        &self.credentials
    }

    pub(super) fn is_for(&self, environment: Environment) -> bool {
        self.environment.is_none_or(|only| only == environment)
    }

    pub(super) fn is_for_status(&self, status: u16) -> bool {
        self.status.is_none_or(|only| only == status)
    }

    pub(super) fn matches_url(&self, request: &RuleRequest<'_>) -> bool {
        matches!(&self.scope, Scope::Url(url) if url.matches(request))
    }

    pub(super) fn apply(
        &self,
        answered: &Answered<'_>,
        request: &RuleRequest<'_>,
        headers: &mut HeaderMap,
        written: &mut NameSet,
    ) {
        for name in &self.remove {
            headers.remove(&name.header);
            written.remove(name.number);
        }
        let captures = self.capture(answered, request);
        for line in &self.set {
            if let Some(value) = line.value(&captures)
                && !(answered.is_platform_host && binds_subdomains(&line.name.header, &value))
            {
                line.name.write(value, headers, written);
            }
        }
    }

    fn capture(&self, answered: &Answered<'_>, request: &RuleRequest<'_>) -> Captures<'_> {
        let mut captures = Captures::default();
        if self.set.iter().any(|line| matches!(line.value, Value::Template(_))) {
            match (&self.scope, answered.file) {
                (Scope::Url(url), _) => url.capture(request, &mut captures),
                (Scope::File(path), Some(file)) => path.capture(file, &mut captures),
                (Scope::File(_), None) => {}
            }
        }
        captures
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let scope = match &self.scope {
            Scope::Url(url) => url.heap_bytes(),
            Scope::File(path) => path.heap_bytes(),
        };
        let lines: usize = self.set.iter().map(|line| size_of::<Line>() + line.value.bytes()).sum();
        let credentials = self.credentials.len() * size_of::<ContentHash>();
        scope + self.remove.len() * size_of::<Name>() + lines + credentials
    }
}

impl Name {
    fn new(name: &str, numbers: &mut HashMap<HeaderName, usize>) -> Option<Self> {
        let header = HeaderName::from_bytes(name.as_bytes()).ok()?;
        // Compiling refuses them too; a manifest that says otherwise must not be able to split an answer in two.
        if is_platforms(header.as_str()) || header == "basic-auth" {
            return None;
        }
        let next = numbers.len();
        let number = *numbers.entry(header.clone()).or_insert(next);
        Some(Self { header, number })
    }

    /// The first block replaces the system's value, later ones append to the user's.
    fn write(&self, mut value: HeaderValue, headers: &mut HeaderMap, written: &mut NameSet) {
        let is_later = written.insert(self.number);
        if let (true, Some(before)) = (is_later, headers.get(&self.header)) {
            let Some(joined) = joined(before, &value) else { return };
            value = joined;
        }
        // Fails beyond 32,768 headers, which the limits of a `_headers` file don't let come about.
        let _ = headers.try_insert(&self.header, value);
    }
}

impl Line {
    fn new(line: HeaderLine, numbers: &mut HashMap<HeaderName, usize>) -> Option<Self> {
        let value = if template::is_text(&line.value) {
            let text = template::fill_header(&line.value, &Captures::default());
            Value::Ready(HeaderValue::from_bytes(text.as_bytes()).ok()?)
        } else {
            Value::Template(line.value)
        };
        Some(Self { name: Name::new(&line.name, numbers)?, value })
    }

    fn value(&self, captures: &Captures<'_>) -> Option<HeaderValue> {
        match &self.value {
            Value::Ready(value) => Some(value.clone()),
            Value::Template(parts) => {
                HeaderValue::from_bytes(template::fill_header(parts, captures).as_bytes()).ok()
            }
        }
    }
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Self::Ready(value) => value.len(),
            Self::Template(parts) => parts.len() * (size_of::<Part>() + 16),
        }
    }
}

fn joined(before: &HeaderValue, value: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&[before.as_bytes(), b", ", value.as_bytes()].concat()).ok()
}

/// `includeSubDomains` on a name of ours would reach the sites of others (RFC 6797 §6.1.2).
fn binds_subdomains(name: &HeaderName, value: &HeaderValue) -> bool {
    *name == STRICT_TRANSPORT_SECURITY
        && value.as_bytes().to_ascii_lowercase().windows(17).any(|window| window == b"includesubdomains")
}
