//! What a deployment brings that is new: the pure half of publishing.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::content_hash::ContentHash;
use crate::manifest::{
    Entry, MANIFEST_FILES_MAX, Manifest, NewEntry, NewRetired, NewVariant, Retirement, Variant,
};
use crate::object_key::FolderRef;
use crate::path::SitePath;
use crate::timestamp::Timestamp;
use crate::{fingerprint, media_type};

/// 5 GiB: the largest object that one S3 PUT takes.
pub const FILE_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// 20 GiB a deployment.
pub const DEPLOYMENT_BYTES_MAX: u64 = 20 * 1024 * 1024 * 1024;

/// A file that a deployment shall have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SiteFile {
    pub path: SitePath,
    #[serde(rename = "sha256")]
    pub hash: ContentHash,
    #[serde(rename = "size")]
    pub size: u64,
}

/// The manifest's entries, and which of the files have to be uploaded.
#[derive(Debug)]
pub struct Plan {
    pub entries: Vec<NewEntry>,
    /// Indexes into `entries`.
    pub uploads: Vec<usize>,
}

/// How much a deployment brought, and how much was there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PublishCounts {
    pub files: u64,
    pub bytes: u64,
    pub uploaded: u64,
    pub uploaded_bytes: u64,
    pub reused: u64,
}

impl PublishCounts {
    /// Counts a file that this deployment brought, or that an earlier one did.
    pub fn add(&mut self, size: u64, is_new: bool) {
        self.files += 1;
        self.bytes += size;
        if is_new {
            self.uploaded += 1;
            self.uploaded_bytes += size;
        } else {
            self.reused += 1;
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitExceeded {
    #[error("{path} has {size} bytes; a file has at most {FILE_BYTES_MAX}")]
    File { path: SitePath, size: u64 },
    #[error("the deployment has {0} bytes; at most {DEPLOYMENT_BYTES_MAX} are allowed")]
    Total(u64),
    #[error("the deployment has {0} files; at most {MANIFEST_FILES_MAX} are allowed")]
    Files(usize),
    #[error("the path {0} is given twice")]
    Duplicate(SitePath),
}

/// How long the chunks of earlier deployments stay reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkewProtection {
    pub deployments: u16,
    /// Counted from when a newer deployment took the place.
    pub days: u16,
}

impl Default for SkewProtection {
    /// A tab that was left open over a week's holiday, in a team that deploys ten times meanwhile.
    fn default() -> Self {
        Self { deployments: 10, days: 7 }
    }
}

/// Compares files with the deployment before (`base`, of the same project): content that is there already keeps
/// its object, whatever its path, everything else goes into `folder`, each content once.
pub fn plan(files: Vec<SiteFile>, folder: FolderRef, base: Option<&Manifest>) -> Result<Plan, LimitExceeded> {
    check_limits(&files)?;
    let known = base.map(known_contents).unwrap_or_default();
    let mut entries: Vec<NewEntry> = Vec::with_capacity(files.len());
    let mut uploads = Vec::new();
    let mut new: HashMap<ContentHash, usize> = HashMap::new();
    for file in files {
        let before = base.and_then(|base| base.find(file.path.as_str()));
        let same =
            before.filter(|entry| entry.hash() == file.hash).or_else(|| known.get(&file.hash).copied());
        let immutable = is_immutable(&file, base);
        let mut entry = NewEntry {
            content_type: media_type::for_path(file.path.as_str()),
            folder,
            source_path: file.path.clone(),
            fingerprinted: fingerprint::is_fingerprinted(file.path.as_str()),
            immutable,
            hash: file.hash,
            size: file.size,
            path: file.path,
            variants: Vec::new(),
            link: None,
        };
        match same {
            Some(same) => reuse(&mut entry, same),
            None => match new.entry(entry.hash) {
                Slot::Occupied(first) => entry.source_path = entries[*first.get()].path.clone(),
                Slot::Vacant(slot) => {
                    slot.insert(entries.len());
                    uploads.push(entries.len());
                }
            },
        }
        entries.push(entry);
    }
    Ok(Plan { entries, uploads })
}

fn known_contents(base: &Manifest) -> HashMap<ContentHash, Entry<'_>> {
    let retired = base.retired().map(|(entry, _)| entry);
    retired.chain(base.entries()).map(|entry| (entry.hash(), entry)).collect()
}

fn reuse(entry: &mut NewEntry, same: Entry<'_>) {
    // A path of a manifest was a `SitePath` when it was written.
    let Ok(source_path) = same.source_path().parse() else { return };
    entry.source_path = source_path;
    entry.folder = same.folder();
    let variant = |variant: Variant| {
        let size = u32::try_from(variant.size).ok()?;
        Some(NewVariant { coding: variant.coding, size, hash: variant.hash })
    };
    entry.variants = same.variants().filter_map(variant).collect();
    entry.link = same.link().map(Into::into);
}

/// A name that once held other content does not carry its hash, whatever it looks like, and stays doubtful for as
/// long as it exists.
fn is_immutable(file: &SiteFile, base: Option<&Manifest>) -> bool {
    let path = file.path.as_str();
    let is_constant = |entry: Entry<'_>| entry.hash() == file.hash && entry.is_immutable();
    let live = base.and_then(|base| base.find(path));
    let retired = base.and_then(|base| base.find_retired(path)).map(|(entry, _)| entry);
    fingerprint::is_fingerprinted(path)
        && !fingerprint::is_revalidated(path)
        && live.or(retired).is_none_or(is_constant)
}

/// The fingerprinted files that earlier deployments had and `entries` do not: pages that were opened before still
/// ask for them. Pages themselves never stay.
pub fn retire(
    base: &Manifest,
    entries: &[NewEntry],
    skew: SkewProtection,
    now: Timestamp,
) -> Vec<NewRetired> {
    let kept: HashSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    let just_now =
        Retirement { deployment_id: base.facts().deployment.deployment_id, retired_at: now, age: 1 };
    let live = base.entries().filter(Entry::is_fingerprinted).map(|entry| (entry, just_now));
    let before = base.retired().map(|(entry, retirement)| {
        (entry, Retirement { age: retirement.age.saturating_add(1), ..*retirement })
    });
    let oldest = now.unix_secs() - i64::from(skew.days) * 24 * 60 * 60;
    let mut retired: Vec<NewRetired> = live
        .chain(before)
        .filter(|(entry, retirement)| {
            !kept.contains(entry.path())
                && retirement.age <= skew.deployments
                && retirement.retired_at.unix_secs() > oldest
        })
        .filter_map(|(entry, retirement)| Some(NewRetired { entry: copy(entry)?, retirement }))
        .collect();
    retired.sort_by_key(|retired| retired.retirement.age);
    retired.truncate(MANIFEST_FILES_MAX);
    retired
}

fn copy(of: Entry<'_>) -> Option<NewEntry> {
    let mut entry = NewEntry {
        path: of.path().parse().ok()?,
        hash: of.hash(),
        size: of.size(),
        folder: of.folder(),
        source_path: of.source_path().parse().ok()?,
        content_type: of.content_type().to_owned(),
        fingerprinted: of.is_fingerprinted(),
        immutable: of.is_immutable(),
        variants: Vec::new(),
        link: None,
    };
    reuse(&mut entry, of);
    Some(entry)
}

/// Gives each file whose content is another file's of the same deployment what was found out about that content.
pub fn share_findings(entries: &mut [NewEntry]) {
    let is_source = |entry: &&NewEntry| {
        entry.source_path == entry.path && (!entry.variants.is_empty() || entry.link.is_some())
    };
    let sources: HashMap<SitePath, NewEntry> =
        entries.iter().filter(is_source).map(|entry| (entry.path.clone(), entry.clone())).collect();
    for entry in entries.iter_mut().filter(|entry| entry.source_path != entry.path) {
        if let Some(source) = sources.get(&entry.source_path).filter(|source| source.folder == entry.folder) {
            entry.variants.clone_from(&source.variants);
            entry.link.clone_from(&source.link);
        }
    }
}

fn check_limits(files: &[SiteFile]) -> Result<(), LimitExceeded> {
    if files.len() > MANIFEST_FILES_MAX {
        return Err(LimitExceeded::Files(files.len()));
    }
    if let Some(file) = files.iter().find(|file| file.size > FILE_BYTES_MAX) {
        return Err(LimitExceeded::File { path: file.path.clone(), size: file.size });
    }
    let total = files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size));
    if total > DEPLOYMENT_BYTES_MAX {
        return Err(LimitExceeded::Total(total));
    }
    let mut seen = HashSet::with_capacity(files.len());
    match files.iter().find(|file| !seen.insert(&file.path)) {
        Some(file) => Err(LimitExceeded::Duplicate(file.path.clone())),
        None => Ok(()),
    }
}

impl Plan {
    /// What is new counts as uploaded, also where one upload serves several files.
    pub fn counts(&self) -> PublishCounts {
        let folder = self.uploads.first().map(|at| self.entries[*at].folder);
        let mut counts = PublishCounts::default();
        for entry in &self.entries {
            counts.add(entry.size, Some(entry.folder) == folder);
        }
        counts
    }

    /// The contents that have to be uploaded.
    pub fn missing(&self) -> BTreeSet<ContentHash> {
        self.uploads.iter().map(|at| self.entries[*at].hash).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DeploymentId, ProjectId};
    use crate::manifest::{Coding, Facts, HtmlHandling, NewManifest, NotFound};
    use crate::object_key::DeploymentRef;
    use crate::rules::{Dialect, Rules};

    fn files(list: &[(&str, &str)]) -> Vec<SiteFile> {
        list.iter()
            .map(|(path, content)| SiteFile {
                path: path.parse().expect("valid"),
                hash: ContentHash::of(content.as_bytes()),
                size: content.len() as u64,
            })
            .collect()
    }

    fn folder(n: u32) -> FolderRef {
        FolderRef::of_attempt(DeploymentId::from_parts(5, n), 1)
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_unix_secs(secs).expect("valid")
    }

    fn manifest(entries: Vec<NewEntry>, retired: Vec<NewRetired>, n: u32) -> Manifest {
        let facts = Facts {
            deployment: DeploymentRef {
                project_id: ProjectId::from_parts(1, 1),
                deployment_id: DeploymentId::from_parts(5, n),
            },
            created_at: at(0),
            commit: None,
            branch: None,
            framework: None,
            dialect: Dialect::default(),
            html_handling: HtmlHandling::default(),
            not_found: NotFound::default(),
            permanent: false,
            problems: Vec::new(),
        };
        let new = NewManifest { facts, rules: Rules::default(), entries, retired };
        Manifest::parse(Manifest::encode(new).expect("encodes")).expect("parses")
    }

    fn published(list: &[(&str, &str)], n: u32, base: Option<&Manifest>) -> (Plan, Manifest) {
        let done = plan(files(list), folder(n), base).expect("within limits");
        let manifest = manifest(done.entries.clone(), Vec::new(), n);
        (done, manifest)
    }

    #[test]
    fn only_what_changed_is_uploaded_and_the_rest_stays_where_it_is() {
        let (first, one) = published(&[("index.html", "1"), ("a.css", "a"), ("b.css", "b")], 1, None);
        assert_eq!(
            first.counts(),
            PublishCounts { files: 3, bytes: 3, uploaded: 3, uploaded_bytes: 3, reused: 0 }
        );
        let (second, two) =
            published(&[("index.html", "2"), ("a.css", "a"), ("moved.css", "b")], 2, Some(&one));
        assert_eq!(
            second.counts(),
            PublishCounts { files: 3, bytes: 3, uploaded: 1, uploaded_bytes: 1, reused: 2 }
        );
        let place = |manifest: &Manifest, path| {
            let entry = manifest.find(path).expect("is there");
            (entry.folder(), entry.source_path().to_owned())
        };
        let (_, three) =
            published(&[("a.css", "a"), ("index.html", "2"), ("again/moved.css", "b")], 3, Some(&two));
        assert_eq!(place(&three, "a.css"), (folder(1), "a.css".into()));
        assert_eq!(place(&three, "index.html"), (folder(2), "index.html".into()));
        assert_eq!(place(&three, "again/moved.css"), (folder(1), "b.css".into()));
    }

    #[test]
    fn what_was_found_out_about_a_content_goes_with_it() {
        let (mut first, _) = published(&[("a.css", "a"), ("copy.css", "a")], 1, None);
        let br = NewVariant { coding: Coding::Brotli, size: 1, hash: ContentHash::of(b"br") };
        first.entries[first.uploads[0]].variants = vec![br];
        share_findings(&mut first.entries);
        assert!(first.entries.iter().all(|entry| entry.variants == [br]), "{:?}", first.entries);
        let one = manifest(first.entries, Vec::new(), 1);
        let (second, _) = published(&[("moved.css", "a")], 2, Some(&one));
        assert_eq!(second.entries[0].variants, [br]);
        assert_eq!(second.entries[0].source_path.as_str(), "a.css");
    }

    #[test]
    fn files_with_a_hash_in_their_name_retire_for_ten_deployments_or_seven_days() {
        const DAY: i64 = 24 * 60 * 60;
        let name = |n: u32| format!("assets/app-3f2a91b{n}.js");
        let next = |base: Option<&Manifest>, n: u32, now: i64| {
            let (name, page) = (name(n), format!("<p>{n}"));
            let (done, _) = published(&[(&name, &name), ("index.html", &page)], n, base);
            let skew = SkewProtection { deployments: 2, days: 7 };
            let retired = base.map(|base| retire(base, &done.entries, skew, at(now))).unwrap_or_default();
            manifest(done.entries, retired, n)
        };
        let list = |manifest: &Manifest| -> Vec<(String, u16)> {
            manifest.retired().map(|(entry, retirement)| (entry.path().to_owned(), retirement.age)).collect()
        };
        let one = next(None, 1, 0);
        let two = next(Some(&one), 2, DAY);
        assert_eq!(list(&two), [(name(1), 1)], "pages and live files do not retire");
        let three = next(Some(&two), 3, 2 * DAY);
        assert_eq!(list(&three), [(name(1), 2), (name(2), 1)]);
        assert_eq!(
            three.find_retired(&name(1)).map(|(entry, gone)| (entry.folder(), gone.deployment_id)),
            Some((folder(1), DeploymentId::from_parts(5, 1)))
        );
        assert_eq!(
            list(&next(Some(&three), 4, 3 * DAY)),
            [(name(2), 2), (name(3), 1)],
            "too many deployments"
        );
        assert_eq!(list(&next(Some(&three), 4, 9 * DAY)), [(name(3), 1)], "too many days");
    }

    #[test]
    fn a_hashed_name_whose_content_changed_is_never_immutable_again() {
        let name = "assets/app-3f2a91bc.js";
        let (_, one) = published(&[(name, "1")], 1, None);
        assert!(one.find(name).is_some_and(|e| e.is_immutable()));
        let (_, two) = published(&[(name, "2")], 2, Some(&one));
        assert!(two.find(name).is_some_and(|e| e.is_fingerprinted() && !e.is_immutable()));
        let (_, three) = published(&[(name, "2")], 3, Some(&two));
        assert!(three.find(name).is_some_and(|e| !e.is_immutable()));
    }

    #[test]
    fn data_with_a_hash_in_its_name_retires_but_is_never_immutable() {
        let (_, one) = published(&[("assets/data-3f2a91bc.json", "1"), ("sw-3f2a91bc.js", "1")], 1, None);
        assert!(one.entries().all(|entry| entry.is_fingerprinted() && !entry.is_immutable()));
    }

    #[test]
    fn one_content_at_two_paths_is_uploaded_once() {
        let (done, manifest) = published(&[("a.txt", "same"), ("b.txt", "same")], 1, None);
        assert_eq!((done.uploads.len(), done.missing().len()), (1, 1));
        assert_eq!((done.counts().uploaded, done.counts().reused), (2, 0), "both are new");
        let keys: Vec<_> = manifest.entries().map(|entry| entry.object_key()).collect();
        assert_eq!(keys[0], keys[1]);
    }

    #[test]
    fn limits_name_the_file() {
        let mut list = files(&[("a", "x"), ("a", "y")]);
        assert_eq!(
            plan(list.clone(), folder(1), None).expect_err("twice"),
            LimitExceeded::Duplicate("a".parse().expect("valid"))
        );
        list.pop();
        list[0].size = FILE_BYTES_MAX + 1;
        assert!(plan(list.clone(), folder(1), None).expect_err("too large").to_string().starts_with("a has"));
    }
}
