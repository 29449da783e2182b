//! A folder at one time, as a deployment of it would be. Never changed: what is found out about its files later
//! makes another one.
//!
//! It goes through the steps of a deployment (`plan`, `complete`, the manifest), with one difference: a file's
//! content is looked at when an answer depends on it. Until then a name stands in for its hash, and nothing else in
//! a manifest comes from content.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use loggia_publish::complete::complete;
use loggia_publish::sources::{Rules, Sources};
use loggia_publish::upload::Findings;
use loggia_serve::Site;
use loggia_types::manifest::{Facts, NewEntry};
use loggia_types::publish::{SiteFile, plan};
use loggia_types::{
    ContentHash, DeploymentId, DeploymentRef, FolderRef, Manifest, Problem, ProjectId, SitePath, Timestamp,
};

use super::folder::{Folder, FoundFile};

#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) folder: Arc<Folder>,
    pub(super) rules: Arc<Rules>,
    pub(super) known: HashMap<SitePath, Known>,
    pub(super) site: Site,
}

/// What was found out about a file's content.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) hash: ContentHash,
    /// Of the first file with this content only, as in a deployment.
    pub(super) findings: Option<Findings>,
    /// The findings say which variants there are.
    pub(super) has_variants: bool,
}

impl Snapshot {
    pub(super) fn new(
        folder: Arc<Folder>,
        rules: Arc<Rules>,
        known: HashMap<SitePath, Known>,
    ) -> anyhow::Result<Self> {
        let mut entries = entries(&folder, &known)?;
        for entry in &mut entries {
            let findings = known.get(&entry.path).and_then(|known| known.findings.as_ref());
            if let Some(findings) = findings {
                entry.variants.clone_from(&findings.variants);
                entry.link.clone_from(&findings.link);
            }
        }
        let manifest = complete(facts(&folder), Rules::clone(&rules), entries, None, Timestamp::now());
        let manifest = Manifest::parse(Manifest::encode(manifest)?).context("reading our own manifest")?;
        Ok(Self { folder, rules, known, site: Site::open(manifest) })
    }

    /// What is known of files that did not change since.
    pub(super) fn known_of(&self, folder: &Folder) -> HashMap<SitePath, Known> {
        let before: HashMap<&SitePath, &FoundFile> =
            self.folder.files.iter().map(|file| (&file.path, file)).collect();
        let unchanged = folder.files.iter().filter(|file| before.get(&file.path) == Some(file));
        unchanged.filter_map(|file| Some((file.path.clone(), self.known.get(&file.path)?.clone()))).collect()
    }

    pub(super) fn file(&self, path: &str) -> Option<&FoundFile> {
        self.folder.files.iter().find(|file| file.path.as_str() == path)
    }

    /// The entry whose content would be sent for this path: the first one with it.
    pub(super) fn source_of(&self, path: &str, known: &HashMap<SitePath, Known>) -> Option<NewEntry> {
        let entries = entries(&self.folder, known).ok()?;
        let source = entries.iter().find(|entry| entry.path.as_str() == path)?.source_path.clone();
        entries.into_iter().find(|entry| entry.path == source)
    }

    /// Whether everything is known that an answer with this file depends on.
    pub(super) fn is_explored(&self, path: &str, with_variants: bool) -> bool {
        let Some(entry) = self.site.manifest().find(path) else { return true };
        let is_known = |path: &str| path.parse().ok().and_then(|path: SitePath| self.known.get(&path));
        is_known(path).is_some()
            && is_known(entry.source_path())
                .is_some_and(|source| source.findings.is_some() && (source.has_variants || !with_variants))
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let links = self.folder.links.iter().map(|link| {
            Problem::in_file(link.display().to_string(), "A link is not published; only regular files are.")
        });
        self.rules.problems.iter().cloned().chain(links).collect()
    }
}

/// Reads the rule files as a deployment does.
pub(super) fn read_rules(folder: &Folder, above: &[PathBuf]) -> anyhow::Result<Rules> {
    let above: Vec<_> = above.iter().map(PathBuf::as_path).collect();
    Ok(Sources::read(&folder.root, &above)?.compile()?)
}

fn entries(folder: &Folder, known: &HashMap<SitePath, Known>) -> anyhow::Result<Vec<NewEntry>> {
    let files = folder.files.iter().map(|file| SiteFile {
        path: file.path.clone(),
        hash: known.get(&file.path).map_or_else(|| stand_in(&file.path), |known| known.hash),
        size: file.stamp.size,
    });
    Ok(plan(files.collect(), FolderRef::of_attempt(deployment_id(), 1), None)?.entries)
}

/// For the hash of a content that was not looked at: no two files have the same.
fn stand_in(path: &SitePath) -> ContentHash {
    ContentHash::of(format!("not looked at: {path}").as_bytes())
}

/// Says nothing: there is no deployment.
fn deployment_id() -> DeploymentId {
    DeploymentId::from_parts(0, 0)
}

fn facts(folder: &Folder) -> Facts {
    let newest = folder.files.iter().map(|file| file.stamp.modified_secs).max();
    Facts {
        deployment: DeploymentRef { project_id: ProjectId::from_parts(0, 0), deployment_id: deployment_id() },
        // `Last-Modified`: a deployment made when the last file was.
        created_at: newest.and_then(Timestamp::from_unix_secs).unwrap_or_else(Timestamp::now),
        commit: None,
        branch: None,
        framework: None,
        // `complete` puts in what the rules say.
        dialect: Default::default(),
        html_handling: Default::default(),
        not_found: Default::default(),
        permanent: false,
        problems: Vec::new(),
    }
}
