//! A whole URL pattern: scheme and host, where it has them, and path.

use loggia_types::rules::{OriginPattern, PathPattern, Scheme, UrlPattern};

use super::RuleRequest;
use super::captures::Captures;
use super::index;
use super::pattern::Pattern;

#[derive(Debug)]
pub(super) struct UrlMatcher {
    /// Without a scheme, any will do.
    origin: Option<Box<(Option<Scheme>, Pattern)>>,
    path: PathMatcher,
}

/// `None`: the index found it by its hash, and that is proof.
#[derive(Debug)]
pub(super) struct PathMatcher(Option<Box<Pattern>>);

impl UrlMatcher {
    pub(super) fn new(pattern: &UrlPattern) -> Self {
        let origin = |origin: &OriginPattern| Box::new((Some(origin.scheme), Pattern::of_host(&origin.host)));
        Self { origin: pattern.origin.as_ref().map(origin), path: PathMatcher::new(&pattern.path) }
    }

    /// As [`UrlMatcher::new`], with the scheme read as a mark of a host and nothing more.
    pub(super) fn of_host(pattern: &UrlPattern) -> Self {
        let mut matcher = Self::new(pattern);
        if let Some((scheme, _)) = matcher.origin.as_deref_mut() {
            *scheme = None;
        }
        matcher
    }

    /// For requests whose path the index found this pattern for.
    pub(super) fn matches(&self, request: &RuleRequest<'_>) -> bool {
        self.path.matches(request.path)
            && self.origin.as_deref().is_none_or(|(scheme, host)| {
                scheme.is_none_or(|scheme| scheme == request.scheme) && host.matches(request.host)
            })
    }

    pub(super) fn capture<'i>(&'i self, request: &RuleRequest<'_>, captures: &mut Captures<'i>) {
        self.path.capture(request.path, captures);
        if let Some((_, host)) = self.origin.as_deref() {
            captures.push_all(host, request.host);
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.path.heap_bytes() + self.origin.as_deref().map_or(0, |(_, host)| host.heap_bytes())
    }
}

impl PathMatcher {
    pub(super) fn new(pattern: &PathPattern) -> Self {
        Self((!index::is_literal(pattern)).then(|| Box::new(Pattern::of_path(pattern))))
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        self.0.as_ref().is_none_or(|pattern| pattern.matches(path))
    }

    pub(super) fn capture<'i>(&'i self, path: &str, captures: &mut Captures<'i>) {
        if let Some(pattern) = &self.0 {
            captures.push_all(pattern, path);
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.as_deref().map_or(0, Pattern::heap_bytes)
    }
}
