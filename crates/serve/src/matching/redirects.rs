//! The redirect rule that a request meets first.

use loggia_types::rules::{Action, Condition, Dialect, RedirectRule};

use super::RuleRequest;
use super::captures::Captures;
use super::conditions::Visitor;
use super::index::Index;
use super::url::UrlMatcher;
use super::{location, query, template};

/// A manifest's redirect rules, indexed.
///
/// Both dialects take the first rule in the file that holds. Cloudflare's "static rules first, but one below
/// the first dynamic rule counts as dynamic" is that same order.
#[derive(Debug)]
pub struct Redirects {
    rules: Vec<RedirectRule>,
    matchers: Vec<UrlMatcher>,
    forced: Index,
    unforced: Index,
    has_visitor_rules: bool,
}

/// A rule that holds for a request. Owns what the pattern captured, so it may outlive the request.
#[derive(Debug)]
pub struct RedirectMatch<'i> {
    rule: &'i RedirectRule,
    captures: Captures<'i>,
    /// Of a redirect: made already to see that it leads elsewhere.
    location: Option<String>,
}

impl Redirects {
    /// `rules` in file order.
    pub fn new(rules: Vec<RedirectRule>, dialect: Dialect) -> Self {
        let is_forced = |rule: &RedirectRule| rule.forced && dialect == Dialect::Netlify;
        let numbered = |forced: bool| {
            (0..)
                .zip(&rules)
                .filter(move |(_, rule)| is_forced(rule) == forced)
                .map(|(n, rule)| (n, &rule.from.path))
        };
        let (forced, unforced) = (Index::new(numbered(true)), Index::new(numbered(false)));
        let matchers = rules.iter().map(|rule| UrlMatcher::new(&rule.from)).collect();
        let has_visitor_rules = rules.iter().any(asks_visitor);
        Self { rules, matchers, forced, unforced, has_visitor_rules }
    }

    /// The first `!` rule that holds. Never one in the Cloudflare dialect, where all rules come before files.
    pub fn find_forced<'i>(&'i self, request: &RuleRequest<'_>) -> Option<RedirectMatch<'i>> {
        self.find(&self.forced, request)
    }

    /// The first other rule that holds.
    pub fn find_unforced<'i>(&'i self, request: &RuleRequest<'_>) -> Option<RedirectMatch<'i>> {
        self.find(&self.unforced, request)
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule that may fit the path asks who the visitor is, so that others could be answered otherwise.
    pub fn may_ask_visitor(&self, path: &str) -> bool {
        let asks = |number: u32| self.rules.get(number as usize).is_some_and(asks_visitor);
        let may_ask = |index: &Index| index.candidates(path).any(asks);
        self.has_visitor_rules && (may_ask(&self.forced) || may_ask(&self.unforced))
    }

    /// An estimate, for the limit of the manifest cache.
    pub fn heap_bytes(&self) -> usize {
        // Ten short texts, each an allocation of its own, come to about 256 bytes.
        const RULE_BYTES: usize = size_of::<RedirectRule>() + size_of::<UrlMatcher>() + 256;
        let matchers: usize = self.matchers.iter().map(UrlMatcher::heap_bytes).sum();
        self.rules.len() * RULE_BYTES + matchers + self.forced.heap_bytes() + self.unforced.heap_bytes()
    }

    fn find<'i>(&'i self, index: &Index, request: &RuleRequest<'_>) -> Option<RedirectMatch<'i>> {
        let visitor = Visitor::new(request);
        let mut candidates = index.candidates(request.path);
        candidates.find_map(|number| self.check(number as usize, request, &visitor))
    }

    /// A redirect to the very address that was asked for does not hold: the next rule has its turn, so that
    /// `/* https://www.example.org/:splat` can stand above the rules of that host.
    fn check<'i>(
        &'i self,
        at: usize,
        request: &RuleRequest<'_>,
        visitor: &Visitor<'_>,
    ) -> Option<RedirectMatch<'i>> {
        let (rule, matcher) = (self.rules.get(at)?, self.matchers.get(at)?);
        let holds = matcher.matches(request)
            && query::holds(&rule.query, request.query)
            && rule.conditions.iter().all(|condition| visitor.meets(condition));
        if !holds {
            return None;
        }
        let found = RedirectMatch::new(rule, matcher, request);
        (!found.leads_to(request)).then_some(found)
    }
}

/// Its host is the same for everybody who asks for an address; the other conditions are about the visitor.
fn asks_visitor(rule: &RedirectRule) -> bool {
    rule.conditions.iter().any(|condition| !matches!(condition, Condition::Host(_)))
}

impl<'i> RedirectMatch<'i> {
    fn new(rule: &'i RedirectRule, matcher: &'i UrlMatcher, request: &RuleRequest<'_>) -> Self {
        let mut captures = Captures::default();
        matcher.capture(request, &mut captures);
        query::capture(&rule.query, request.query, &mut captures);
        let location = match &rule.action {
            Action::Redirect { to, .. } => location::location(to, &captures, request),
            _ => None,
        };
        Self { rule, captures, location }
    }

    fn leads_to(&self, request: &RuleRequest<'_>) -> bool {
        self.location.as_ref().is_some_and(|location| location::is_own_address(location, request))
    }

    pub fn rule(&self) -> &'i RedirectRule {
        self.rule
    }

    /// The `Location` of [`Action::Redirect`], the URL to fetch of [`Action::Proxy`]. `None` if what was
    /// captured makes no safe URL of at most 8 KiB.
    pub fn location(&self, request: &RuleRequest<'_>) -> Option<String> {
        match &self.rule.action {
            Action::Redirect { .. } => self.location.clone(),
            Action::Proxy { to } => location::upstream(to, &self.captures, request),
            Action::Rewrite { .. } | Action::Refuse { .. } => None,
        }
    }

    /// The new path of [`Action::Rewrite`], decoded, without the leading slash. `None` if it would be no path.
    pub fn rewritten_path(&self) -> Option<String> {
        let Action::Rewrite { path, .. } = &self.rule.action else { return None };
        let filled = template::fill_path(path, &self.captures, location::PATH_LEN_MAX)?;
        location::canonical_path(&filled)
    }
}
