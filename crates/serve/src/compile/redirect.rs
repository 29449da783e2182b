//! One redirect rule, from the words of any of the files to what a manifest carries.

use loggia_types::rules::{Action, Dialect, RedirectRule, RedirectStatus, RewriteStatus, RuleSource};

use super::destination::Target;
use super::pattern::{self, Pattern};
use super::problems::shown;
use super::url_text::UrlText;
use super::{Fault, Mode, conditions};

const NETLIFY_STATUSES: [u16; 9] = [200, 301, 302, 303, 307, 308, 404, 410, 451];
const CLOUDFLARE_STATUSES: [u16; 6] = [200, 301, 302, 303, 307, 308];

/// A rule as it was written.
#[derive(Debug, Default)]
pub(super) struct RedirectDraft<'a> {
    pub(super) from: &'a str,
    pub(super) query: Vec<(&'a str, &'a str)>,
    pub(super) to: Option<&'a str>,
    pub(super) status: Option<u16>,
    pub(super) forced: bool,
    pub(super) conditions: Vec<(&'a str, Vec<&'a str>)>,
}

/// The rule, and what is worth saying though it is used.
pub(super) fn compile(
    draft: &RedirectDraft<'_>,
    source: RuleSource,
    mode: Mode,
) -> Result<(RedirectRule, Vec<String>), Fault> {
    check_dialect(draft, mode.dialect)?;
    let status = status(draft, mode.dialect)?;
    let pattern = pattern::of_redirect(draft.from, &draft.query, mode.dialect)?;
    let action = match draft.to {
        Some(to) => targeted(&Target::read(to)?, status, &pattern, mode)?,
        None => untargeted(draft, status, &pattern, mode)?,
    };
    let mut conditions = Vec::with_capacity(draft.conditions.len());
    for (name, values) in &draft.conditions {
        conditions.push(conditions::compile(name, values)?);
    }
    conditions::check_together(&conditions)?;
    let notes = notes(draft, &pattern);
    let Pattern { url, query, .. } = pattern;
    Ok((RedirectRule { source, from: url, query, conditions, forced: draft.forced, action }, notes))
}

fn check_dialect(draft: &RedirectDraft<'_>, dialect: Dialect) -> Result<(), String> {
    if dialect == Dialect::Netlify {
        return Ok(());
    }
    if draft.forced {
        return Err(
            "`!` is not known in this dialect, whose rules come before files anyway: remove it".into()
        );
    }
    if !draft.conditions.is_empty() || !draft.query.is_empty() {
        return Err(
            "conditions and query tests exist only with `dialect = \"netlify\"` in loggia.toml".into()
        );
    }
    Ok(())
}

fn status(draft: &RedirectDraft<'_>, dialect: Dialect) -> Result<u16, String> {
    let (known, default) = match dialect {
        Dialect::Netlify => (&NETLIFY_STATUSES[..], 301),
        Dialect::Cloudflare => (&CLOUDFLARE_STATUSES[..], 302),
    };
    match draft.status {
        None => Ok(default),
        Some(status) if known.contains(&status) => Ok(status),
        Some(status) => Err(unknown_status(&status.to_string(), dialect)),
    }
}

pub(super) fn unknown_status(text: &str, dialect: Dialect) -> String {
    let known = match dialect {
        Dialect::Netlify => "200, 301, 302, 303, 307, 308, 404, 410 or 451",
        Dialect::Cloudflare => "200, 301, 302, 303, 307 or 308",
    };
    format!("{} is no status of a rule: write {known}", shown(text))
}

fn targeted(target: &Target<'_>, status: u16, pattern: &Pattern, mode: Mode) -> Result<Action, Fault> {
    if let Ok(status) = RedirectStatus::try_from(status) {
        return Ok(Action::Redirect { status, to: target.destination(&pattern.captures)? });
    }
    let status = rewrite_status(status)?;
    if !target.is_elsewhere() {
        return Ok(Action::Rewrite { status, path: target.site_path(&pattern.captures)? });
    }
    check_proxy(target, status, mode)?;
    Ok(Action::Proxy { to: target.destination(&pattern.captures)? })
}

fn rewrite_status(status: u16) -> Result<RewriteStatus, String> {
    RewriteStatus::try_from(status).map_err(|error| error.to_string())
}

fn check_proxy(target: &Target<'_>, status: RewriteStatus, mode: Mode) -> Result<(), String> {
    let text = shown(target.text());
    if mode.dialect == Dialect::Cloudflare {
        return Err(format!("a 200 rule leads to a path of this site, not to {text}: redirect with 302"));
    }
    if status != RewriteStatus::Ok {
        let code = status.code();
        return Err(format!("a {code} rule sends a page of this site, not {text}: write a path"));
    }
    if !mode.allow_proxy {
        return Err(format!(
            "{text} is another site, and nothing is fetched from other sites on a visitor's behalf: redirect there \
             with 302"
        ));
    }
    Ok(())
}

fn untargeted(
    draft: &RedirectDraft<'_>,
    status: u16,
    pattern: &Pattern,
    mode: Mode,
) -> Result<Action, Fault> {
    let example = if mode.dialect == Dialect::Netlify { 301 } else { 302 };
    let missing = |code: u16| {
        let from = shown(draft.from);
        let rule = shown(&format!("{} /new {code}", draft.from));
        Fault::Mistake(format!("{from} has no target: write {rule}"))
    };
    if draft.status.is_none() || mode.dialect == Dialect::Cloudflare {
        return Err(missing(draft.status.unwrap_or(example)));
    }
    match rewrite_status(status) {
        Err(_) => Err(missing(status)),
        Ok(RewriteStatus::Ok) => forward(draft.from, pattern, mode).ok_or_else(|| missing(200)),
        Ok(status) => Ok(Action::Refuse { status }),
    }
}

/// `/api/* 200`: the path stays what it is, and the rule comes where it stands.
fn forward(from: &str, pattern: &Pattern, mode: Mode) -> Option<Action> {
    let path = UrlText::split(from, "the source").ok()?.path.strip_suffix("/*")?;
    let to = format!("{path}/:splat");
    targeted(&Target::read(&to).ok()?, 200, pattern, mode).ok()
}

fn notes(draft: &RedirectDraft<'_>, pattern: &Pattern) -> Vec<String> {
    let mut notes = pattern.notes.clone();
    let Some(to) = draft.to else { return notes };
    if to.contains(":splat") && !pattern.captures.splat && !pattern.captures.has("splat") {
        notes.push(format!(
            "`:splat` in {} stands for itself, since {} has no `*`",
            shown(to),
            shown(draft.from)
        ));
    }
    if to.ends_with("/*") && pattern.captures.splat {
        let meant = format!("{}:splat", &to[..to.len() - 1]);
        notes.push(format!("the `*` in {} stands for itself: write {}", shown(to), shown(&meant)));
    }
    notes
}
