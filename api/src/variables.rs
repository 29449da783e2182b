//! Which variables a build gets, out of all that are set for it. Pure.
//!
//! The platform's give way to the organization's, those to the project's; among one owner's those for all builds give way to
//! those for an environment, and those to the ones for a branch. So a project's own variable always wins over its
//! organization's, however narrow that one is.
//!
//! Code from outside, such as a fork's pull request, gets no secrets, not even a plain value that a secret hides. Nor does
//! it get variables of a branch: the name of its branch is its author's choice.

use std::cmp::Reverse;

use loggia_types::BranchName;
use loggia_types::VariableContext;
use loggia_types::api::VariableOrigin;
use loggia_types::build::Environment;

use crate::db::variables::VariableRow;

/// The build that asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) environment: Environment,
    pub(crate) branch: Option<&'a BranchName>,
    pub(crate) is_trusted: bool,
}

#[derive(Debug)]
pub(crate) struct Effective {
    pub(crate) row: VariableRow,
    /// What else there is under its name, nearest first.
    pub(crate) overrides: Vec<VariableOrigin>,
    pub(crate) is_withheld: bool,
}

/// One variable of each name, by name.
pub(crate) fn resolve(rows: Vec<VariableRow>, target: Target<'_>) -> Vec<Effective> {
    let mut rows: Vec<VariableRow> = rows.into_iter().filter(|row| applies(&row.context, target)).collect();
    rows.sort_by(|a, b| (&a.name, Reverse(rank(a))).cmp(&(&b.name, Reverse(rank(b)))));
    let mut effective: Vec<Effective> = Vec::new();
    for row in rows {
        match effective.last_mut().filter(|winner| winner.row.name == row.name) {
            Some(winner) => winner.overrides.push(origin(&row)),
            None => {
                let is_withheld = row.is_secret() && !target.is_trusted;
                effective.push(Effective { row, overrides: Vec::new(), is_withheld });
            }
        }
    }
    effective
}

pub(crate) fn origin(row: &VariableRow) -> VariableOrigin {
    VariableOrigin { scope: row.owner.scope(), context: row.context.clone() }
}

fn applies(context: &VariableContext, target: Target<'_>) -> bool {
    match context {
        VariableContext::All => true,
        VariableContext::Production => target.environment == Environment::Production,
        VariableContext::Preview => target.environment == Environment::Preview,
        VariableContext::Branch(name) => target.is_trusted && target.branch == Some(name),
    }
}

fn rank(row: &VariableRow) -> impl Ord + use<> {
    let narrowness = match row.context {
        VariableContext::All => 0,
        VariableContext::Production | VariableContext::Preview => 1,
        VariableContext::Branch(_) => 2,
    };
    (row.owner.scope(), narrowness)
}

#[cfg(test)]
mod tests {
    use loggia_types::api::VariableScope;
    use loggia_types::{OrganizationId, ProjectId, Timestamp};

    use super::*;
    use crate::db::variables::{Owner, Stored};
    use crate::vault::Sealed;

    /// `project production A=1`; a value `***` is a secret.
    fn row(text: &str) -> VariableRow {
        let mut words = text.split(' ');
        let mut next = || words.next().expect("three words");
        let owner = match next() {
            "platform" => Owner::Platform,
            "organization" => Owner::Organization(OrganizationId::from_parts(1, 1)),
            _ => Owner::Project(ProjectId::from_parts(1, 2)),
        };
        let context = next().parse().expect("a context");
        let (name, value) = next().split_once('=').expect("A=1");
        let stored = match value {
            "***" => Stored::Secret(Sealed { key_id: "k".to_owned(), bytes: Vec::new() }),
            plain => Stored::Plain(plain.parse().expect("a value")),
        };
        let updated_at = Timestamp::from_unix_secs(0).expect("a time");
        VariableRow {
            owner,
            context,
            name: name.parse().expect("a name"),
            stored,
            updated_at,
            updated_by: None,
        }
    }

    fn shown(rows: &[&str], (environment, branch, is_trusted): (Environment, &str, bool)) -> String {
        let branch = branch.parse().expect("a branch");
        let target = Target { environment, branch: Some(&branch), is_trusted };
        let effective = resolve(rows.iter().map(|text| row(text)).collect(), target);
        let show = |variable: &Effective| {
            let value = match &variable.row.stored {
                Stored::Plain(value) => value.as_str(),
                Stored::Secret(_) if variable.is_withheld => "withheld",
                Stored::Secret(_) => "***",
            };
            let origin =
                |VariableOrigin { scope, context }: &VariableOrigin| format!("{} {context}", scope.as_str());
            let over: Vec<String> = variable.overrides.iter().map(origin).collect();
            let over = if over.is_empty() { String::new() } else { format!(" over {}", over.join(", ")) };
            format!("{}={value}{over}", variable.row.name)
        };
        effective.iter().map(show).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn the_nearest_owner_and_then_the_narrowest_context_win() {
        const PRODUCTION: (Environment, &str, bool) = (Environment::Production, "main", true);
        const PREVIEW: (Environment, &str, bool) = (Environment::Preview, "next", true);
        const FORK: (Environment, &str, bool) = (Environment::Preview, "main", false);
        let cases: &[(&[&str], _, &str)] = &[
            (&[], PRODUCTION, ""),
            (&["project all B=1", "project all A=2"], PRODUCTION, "A=2; B=1"),
            (
                &["platform all A=1", "organization all A=2", "project all A=3"],
                PRODUCTION,
                "A=3 over organization all, platform all",
            ),
            // An owner's narrow variable does not beat a nearer owner's wide one.
            (
                &["organization branch:main A=1", "project all A=2"],
                PRODUCTION,
                "A=2 over organization branch:main",
            ),
            (
                &["platform production A=1", "organization all A=2"],
                PRODUCTION,
                "A=2 over platform production",
            ),
            (
                &["project branch:main A=1", "project all A=2", "project production A=3"],
                PRODUCTION,
                "A=1 over project production, project all",
            ),
            // What is for others is not even overridden.
            (&["project preview A=1", "project all A=2", "project branch:next A=3"], PRODUCTION, "A=2"),
            (&["project preview A=1", "project production A=2"], PREVIEW, "A=1"),
            (&["project branch:next A=1", "project preview A=2"], PREVIEW, "A=1 over project preview"),
            (&["project all a=1", "project all A=2"], PREVIEW, "A=2; a=1"),
            (&["project all A=***", "organization all A=1"], PREVIEW, "A=*** over organization all"),
            (&["project all A=***", "project all B=1"], FORK, "A=withheld; B=1"),
            // The plain value behind a secret is not what the project wants its builds to have.
            (&["project all A=***", "organization all A=1"], FORK, "A=withheld over organization all"),
            (&["project branch:main A=1", "project all A=2"], FORK, "A=2"),
            (&["project branch:main A=***", "project preview A=2"], FORK, "A=2"),
        ];
        for (rows, target, expected) in cases {
            assert_eq!(shown(rows, *target), *expected, "{rows:?}");
        }
        assert!(VariableScope::Platform < VariableScope::Organization);
        assert!(VariableScope::Organization < VariableScope::Project);
    }
}
