//! From a site and a request to an answer: the order of work of docs/BEHAVIOR.md §1.
//!
//! Nothing here knows S3, sockets or the proxy library, so every rule is tested as a row of a table. A request for
//! a file that is there allocates nothing.

mod coding;
mod content;
mod html;
mod not_found;
mod range;
mod validators;

use http::Method;
use http::header::AUTHORIZATION;
use loggia_types::DeploymentId;
use loggia_types::manifest::{Entry, Variant};
use loggia_types::rules::{Action, Dialect, RewriteStatus, RuleSource};

use self::html::Resolution;
use self::not_found::Substitute;
use crate::compile::files::is_configuration;
use crate::matching::{HeaderMatches, RedirectMatch};
use crate::request::{Asked, Policy};
use crate::site::Site;

pub use self::range::{ByteRange, RANGES_MAX, Ranges};
pub use self::validators::{EntityTag, Validators};

/// Why a file is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It was asked for.
    File,
    /// A rule put it in the place of what was asked for.
    Rewritten,
    /// The application's `index.html` for a path that only the application knows.
    Shell,
    /// An earlier deployment had it, and a page of that time still asks for it.
    Retired(DeploymentId),
    /// A `404.html`, or the page of a 404, 410 or 451 rule.
    StandIn(RewriteStatus),
}

/// How much of a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// Of the identity coding.
    Part(Ranges),
    /// The client has it.
    NotModified,
    /// No byte of it was asked for.
    NotSatisfiable,
}

/// A file as it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Content<'s> {
    pub entry: Entry<'s>,
    pub role: Role,
    /// `None`: as it was built.
    pub variant: Option<Variant>,
    pub extent: Extent,
}

#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is the usual one, and a box would be an allocation"
)]
pub enum Answer<'s> {
    Content(Content<'s>),
    Redirect {
        status: u16,
        location: String,
    },
    /// Nothing answers, not even a page of the site.
    Nothing(RewriteStatus),
    /// `Basic-Auth` asks for credentials.
    Unauthorized,
    MethodNotAllowed,
    NotAcceptable,
    /// The client wants another version of the file than there is.
    PreconditionFailed,
    Options,
}

/// What a deployment answers.
#[derive(Debug, Clone)]
pub struct Decision<'s> {
    pub answer: Answer<'s>,
    /// The redirect rule that fired.
    pub rule: Option<&'s RuleSource>,
    /// Only people with credentials see it, so nothing may keep it.
    pub is_protected: bool,
    pub(crate) matches: HeaderMatches,
}

/// Decides what `site` answers.
pub fn decide<'s>(site: &'s Site, policy: &Policy<'_>, asked: &Asked<'_>) -> Decision<'s> {
    let matches = site.headers().matching(&asked.for_rules());
    let of = |answer, rule, is_protected| Decision { answer, rule, is_protected, matches };
    // A browser asks so before it may send credentials (Fetch §4.8), and there is nothing to hide in the answer.
    if asked.head.method == Method::OPTIONS {
        return of(Answer::Options, None, false);
    }
    let authorization = asked.head.headers.get(AUTHORIZATION);
    let protection = site.headers().credentials(&matches, policy.environment);
    if !protection.admits(authorization) {
        return of(Answer::Unauthorized, None, true);
    }
    let (answer, rule) = Deciding { site, policy, asked }.answer();
    let Answer::Content(content) = &answer else {
        return of(answer, rule, protection.is_required());
    };
    let of_file =
        site.headers().file_credentials(&asked.for_rules(), content.entry.path(), policy.environment);
    if !of_file.admits(authorization) {
        return of(Answer::Unauthorized, rule, true);
    }
    of(answer, rule, protection.is_required() || of_file.is_required())
}

type Ruled<'s> = (Answer<'s>, Option<&'s RuleSource>);

/// One request on its way through the order of work.
#[derive(Clone, Copy)]
struct Deciding<'s, 'r> {
    site: &'s Site,
    policy: &'r Policy<'r>,
    asked: &'r Asked<'r>,
}

impl<'s> Deciding<'s, '_> {
    fn answer(self) -> Ruled<'s> {
        let redirects = self.site.redirects();
        let unforced = || redirects.find_unforced(&self.asked.for_rules()).and_then(|rule| self.obey(&rule));
        let by_rule_or_file = match self.site.manifest().facts().dialect {
            Dialect::Netlify => {
                let forced = redirects.find_forced(&self.asked.for_rules());
                forced
                    .and_then(|rule| self.obey(&rule))
                    .or_else(|| self.file().map(|answer| (answer, None)))
                    .or_else(unforced)
            }
            Dialect::Cloudflare => unforced().or_else(|| self.file().map(|answer| (answer, None))),
        };
        by_rule_or_file.unwrap_or_else(|| (self.not_found(self.asked.target.path()), None))
    }

    /// What the rule does. `None`: what it captured makes no URL, so it is as if it were not there.
    fn obey(self, rule: &RedirectMatch<'s>) -> Option<Ruled<'s>> {
        let source = &rule.rule().source;
        let answer = match &rule.rule().action {
            Action::Redirect { status, .. } => {
                Answer::Redirect { status: status.code(), location: rule.location(&self.asked.for_rules())? }
            }
            Action::Refuse { status } => Answer::Nothing(*status),
            Action::Rewrite { status, .. } => {
                let path = rule.rewritten_path()?;
                self.canonical_redirect().unwrap_or_else(|| self.rewritten(&path, *status))
            }
            // No site fetches from elsewhere (docs/BEHAVIOR.md, differences).
            Action::Proxy { .. } => return None,
        };
        Some((answer, Some(source)))
    }

    /// The content at another path: once, and without a redirect that would show that path.
    fn rewritten(self, path: &str, status: RewriteStatus) -> Answer<'s> {
        let mode = self.site.manifest().facts().html_handling;
        let found = match is_hidden(path) {
            true => None,
            false => html::resolve_silently(self.site.manifest(), mode, path),
        };
        match (found, status) {
            (Some(entry), RewriteStatus::Ok) => self.serve(entry, Role::Rewritten),
            (Some(entry), status) => self.stand_in(entry, status),
            (None, RewriteStatus::Ok) => self.not_found(path),
            (None, RewriteStatus::NotFound) => self.not_found_page(path),
            (None, status) => Answer::Nothing(status),
        }
    }

    /// The file of the path, or a redirect to the one URL of it.
    fn file(self) -> Option<Answer<'s>> {
        let (target, manifest) = (&self.asked.target, self.site.manifest());
        if target.is_hidden() {
            return None;
        }
        match html::resolve(manifest, manifest.facts().html_handling, target.path()) {
            Resolution::Redirect(place) => {
                Some(self.if_readable(|| self.redirect(&[place.base, place.slash])))
            }
            Resolution::File(entry) => {
                Some(self.if_readable(|| {
                    self.canonical_redirect().unwrap_or_else(|| self.serve(entry, Role::File))
                }))
            }
            Resolution::Nothing => {
                let (entry, retirement) = manifest.find_retired(target.path())?;
                Some(self.if_readable(|| {
                    let role = Role::Retired(retirement.deployment_id);
                    self.canonical_redirect().unwrap_or_else(|| self.serve(entry, role))
                }))
            }
        }
    }

    fn not_found(self, path: &str) -> Answer<'s> {
        let (manifest, settings) = (self.site.manifest(), self.policy.settings);
        if !self.is_read() || is_hidden(path) {
            return self.not_found_page(path);
        }
        if let Some(redirect) = self.canonical_redirect() {
            return redirect;
        }
        match not_found::substitute(manifest, settings, path, self.asked.head.headers) {
            Substitute::Shell(entry) => self.serve(entry, Role::Shell),
            Substitute::Page(entry) => self.stand_in(entry, RewriteStatus::NotFound),
            Substitute::Nothing => Answer::Nothing(RewriteStatus::NotFound),
        }
    }

    /// As [`Deciding::not_found`], where no application's shell will do.
    fn not_found_page(self, path: &str) -> Answer<'s> {
        let status = RewriteStatus::NotFound;
        let page = not_found::substitute_page(self.site.manifest(), self.policy.settings, path);
        page.map_or(Answer::Nothing(status), |entry| self.stand_in(entry, status))
    }

    fn serve(self, entry: Entry<'s>, role: Role) -> Answer<'s> {
        self.if_readable(|| content::choose(self.site.manifest(), entry, role, self.asked.head))
    }

    fn stand_in(self, entry: Entry<'s>, status: RewriteStatus) -> Answer<'s> {
        Answer::Content(content::whole(entry, Role::StandIn(status), self.asked.head))
    }

    fn is_read(self) -> bool {
        matches!(*self.asked.head.method, Method::GET | Method::HEAD)
    }

    fn if_readable(self, answer: impl FnOnce() -> Answer<'s>) -> Answer<'s> {
        if self.is_read() { answer() } else { Answer::MethodNotAllowed }
    }

    /// The redirect to the one spelling of the path that was asked for, if it was another one.
    fn canonical_redirect(self) -> Option<Answer<'s>> {
        let target = &self.asked.target;
        (!target.is_canonical()).then(|| self.redirect(&[target.path()]))
    }

    fn redirect(self, path: &[&str]) -> Answer<'s> {
        let status = if self.site.manifest().facts().permanent { 308 } else { 307 };
        Answer::Redirect { status, location: self.asked.target.location(path) }
    }
}

/// The only dot folder that is public (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// Names a file that is not public: `.git/config`, `.env`, `_headers`.
pub(crate) fn is_hidden(path: &str) -> bool {
    let mut at_start = true;
    let has_dot_name = path.bytes().any(|byte| {
        let is_dot_name = at_start && byte == b'.';
        at_start = byte == b'/';
        is_dot_name
    });
    let is_private = |segment: &str| segment.starts_with('.') && segment != WELL_KNOWN;
    (has_dot_name && path.split('/').any(is_private)) || is_configuration(path)
}

#[cfg(test)]
mod tests;
