//! Everything that was found out about a deployment, as its manifest. Pure.

use loggia_types::manifest::{Facts, NewEntry, NewManifest};
use loggia_types::publish::{retire, share_findings};
use loggia_types::{Manifest, Timestamp, media_type};

use crate::sources::{Rules, is_configuration};
use crate::upload::is_page;

/// `base`: the deployment that this one takes over from. `now`: when it does.
///
/// What the rules' compiler found is added to `facts.problems`.
pub fn complete(
    facts: Facts,
    rules: Rules,
    mut entries: Vec<NewEntry>,
    base: Option<&Manifest>,
    now: Timestamp,
) -> NewManifest {
    share_findings(&mut entries);
    entries.iter_mut().for_each(keep_what_suits);
    let retired = base.map(|base| retire(base, &entries, rules.skew_protection, now)).unwrap_or_default();
    let mut problems = facts.problems;
    problems.extend(rules.problems);
    let facts = Facts {
        dialect: rules.dialect,
        html_handling: rules.html_handling,
        not_found: rules.not_found,
        permanent: rules.permanent,
        problems,
        ..facts
    };
    NewManifest { facts, rules: rules.rules, entries, retired }
}

/// Equal contents can have names of different types, and the edge goes by the type.
fn keep_what_suits(entry: &mut NewEntry) {
    if !media_type::is_compressible(&entry.content_type) || is_configuration(entry.path.as_str()) {
        entry.variants.clear();
    }
    if !is_page(entry) {
        entry.link = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loggia_types::manifest::{Coding, HtmlHandling, NewVariant, NotFound};
    use loggia_types::publish::{SiteFile, plan};
    use loggia_types::rules::Dialect;
    use loggia_types::{ContentHash, DeploymentId, DeploymentRef, FolderRef, Problem, ProjectId};

    use crate::sources::Sources;

    const HASHED: &str = "assets/app-3f2a91bc.js";

    fn facts(n: u32) -> Facts {
        Facts {
            deployment: DeploymentRef {
                project_id: ProjectId::from_parts(1, 1),
                deployment_id: DeploymentId::from_parts(2, n),
            },
            created_at: at(0),
            commit: None,
            branch: None,
            framework: None,
            dialect: Dialect::default(),
            html_handling: HtmlHandling::default(),
            not_found: NotFound::default(),
            permanent: false,
            problems: vec![Problem::in_file("passwd", "A link is not published.")],
        }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_unix_secs(secs).expect("valid")
    }

    fn completed(paths: &[&str], settings: &str, n: u32, base: Option<&Manifest>) -> NewManifest {
        let file = |path: &&str| SiteFile {
            path: path.parse().expect("valid"),
            hash: ContentHash::of(b"same"),
            size: 4,
        };
        let folder = FolderRef::of_attempt(DeploymentId::from_parts(2, n), 1);
        let mut plan = plan(paths.iter().map(file).collect(), folder, base).expect("within limits");
        for at in plan.uploads.clone() {
            let hash = ContentHash::of(b"br");
            plan.entries[at].variants = vec![NewVariant { coding: Coding::Brotli, size: 2, hash }];
            plan.entries[at].link = Some("</a>; rel=preconnect".into());
        }
        let sources = Sources { loggia_toml: Some(settings.as_bytes().to_vec()), ..Sources::default() };
        complete(facts(n), sources.compile().expect("within limits"), plan.entries, base, at(10))
    }

    #[test]
    fn what_was_found_out_about_a_content_goes_to_the_names_that_it_suits() {
        let paths = ["a.html", "a.js", "a.png", "_headers", "netlify.toml"];
        let manifest = completed(&paths, "", 1, None);
        let found: Vec<_> =
            manifest.entries.iter().map(|entry| (entry.variants.len(), entry.link.is_some())).collect();
        assert_eq!(found, [(1, true), (1, false), (0, false), (0, false), (0, false)]);
    }

    #[test]
    fn the_project_s_own_settings_are_in_the_manifest_with_all_problems() {
        let settings = "[serve]\nnot_found = \"none\"\npermanent = true\nunknown = 1";
        let manifest = completed(&["a.html"], settings, 1, None);
        assert_eq!((manifest.facts.not_found, manifest.facts.permanent), (NotFound::None, true));
        let files: Vec<_> = manifest.facts.problems.iter().map(|problem| problem.file.as_str()).collect();
        assert_eq!(files, ["passwd", "loggia.toml"]);
    }

    #[test]
    fn the_files_of_the_deployment_before_retire_for_as_long_as_the_settings_say() {
        let first = Manifest::encode(completed(&[HASHED], "", 1, None)).expect("encodes");
        let first = Manifest::parse(first).expect("parses");
        let retired = |settings: &str| completed(&["a.js"], settings, 2, Some(&first)).retired.len();
        assert_eq!(retired(""), 1);
        assert_eq!(retired("[serve]\nskew_protection = { deployments = 0, days = 7 }"), 0);
    }
}
