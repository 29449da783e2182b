//! All redirect rules of a project, in file order.

use std::collections::HashSet;

use loggia_types::rules::{Dialect, Part, RedirectRule, RuleSource};

use super::limits::{DYNAMIC_REDIRECTS_MAX, STATIC_REDIRECTS_MAX};
use super::redirect::{self, RedirectDraft};
use super::{Fault, Mode, Output, Refused, loops};

#[derive(Debug, Default)]
pub(super) struct RedirectList {
    rules: Vec<RedirectRule>,
    statics: usize,
    dynamics: usize,
    /// Sources of the rules so far, for the dialect in which the first of two equals wins.
    sources: HashSet<String>,
}

impl RedirectList {
    pub(super) fn into_rules(self) -> Vec<RedirectRule> {
        self.rules
    }

    fn push(&mut self, rule: RedirectRule, mode: Mode) -> Result<(), Fault> {
        let spelling = (mode.dialect == Dialect::Cloudflare).then(|| spelling(&rule.from.path.parts));
        if spelling.as_ref().is_some_and(|spelling| self.sources.contains(spelling)) {
            return Err("an earlier rule has the same source and wins: remove one of them".to_owned().into());
        }
        loops::check_alone(&rule, mode)?;
        self.count(&rule, mode)?;
        self.sources.extend(spelling);
        self.rules.push(rule);
        Ok(())
    }

    /// With Cloudflare's order, a static rule below a dynamic one is tried in turn like a dynamic one.
    fn count(&mut self, rule: &RedirectRule, mode: Mode) -> Result<(), Fault> {
        let is_static = rule.from.path.parts.iter().all(|part| matches!(part, Part::Text(_)));
        let after_dynamic = mode.dialect == Dialect::Cloudflare && self.dynamics > 0;
        let (count, max, kind) = match is_static && !after_dynamic {
            true => (&mut self.statics, STATIC_REDIRECTS_MAX, "static"),
            false => (&mut self.dynamics, DYNAMIC_REDIRECTS_MAX, "dynamic"),
        };
        *count += 1;
        if *count <= max {
            return Ok(());
        }
        let hint =
            if is_static && after_dynamic { " (static rules below a dynamic one count as such)" } else { "" };
        Err(Fault::Limit(format!("with this rule there are over {max} {kind} redirects{hint}")))
    }
}

/// One text for equal patterns. Texts hold no control character, so names can't be mistaken for them.
fn spelling(parts: &[Part]) -> String {
    let mut spelling = String::new();
    for part in parts {
        match part {
            Part::Text(text) => spelling.push_str(text),
            Part::Name(name) => spelling.extend(["\u{1}", name, "\u{1}"]),
            Part::Splat => spelling.push('\u{2}'),
        }
    }
    spelling
}

impl Output {
    /// Compiles a rule and keeps it, or says why not.
    pub(super) fn add_redirect(
        &mut self,
        file: &'static str,
        line: u32,
        draft: &RedirectDraft<'_>,
    ) -> Result<(), Refused> {
        let source = RuleSource { file: file.into(), line };
        let added = redirect::compile(draft, source, self.mode).and_then(|(rule, notes)| {
            self.redirects.push(rule, self.mode)?;
            Ok(notes)
        });
        match added {
            Ok(notes) => notes.into_iter().for_each(|note| self.problems.add(file, line, note)),
            Err(Fault::Mistake(message)) => self.problems.add(file, line, message),
            Err(Fault::Limit(message)) => return Err(Refused { file, line, message }),
        }
        Ok(())
    }
}
