//! What a deployment brings that is new: the pure half of publishing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::content_hash::ContentHash;
use crate::manifest::{Manifest, NewEntry};
use crate::object_key::FolderRef;
use crate::path::SitePath;
use crate::{fingerprint, media_type};

/// 5 GiB: the largest object that one S3 PUT takes.
pub const FILE_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// 20 GiB a deployment.
pub const DEPLOYMENT_BYTES_MAX: u64 = 20 * 1024 * 1024 * 1024;

/// A file that a deployment shall have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct PublishCounts {
    pub files: u64,
    pub bytes: u64,
    pub uploaded: u64,
    pub uploaded_bytes: u64,
    pub reused: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitExceeded {
    #[error("{path} has {size} bytes; a file has at most {FILE_BYTES_MAX}")]
    File { path: SitePath, size: u64 },
    #[error("the deployment has {0} bytes; at most {DEPLOYMENT_BYTES_MAX} are allowed")]
    Total(u64),
    #[error("the deployment has {0} files; at most {max} are allowed", max = crate::manifest::MANIFEST_FILES_MAX)]
    Files(usize),
    #[error("the path {0} is given twice")]
    Duplicate(SitePath),
}

/// Compares files with the deployment before (`base`, of the same project): a file with the same path and
/// content keeps its object, everything else goes into `folder`.
pub fn plan(files: Vec<SiteFile>, folder: FolderRef, base: Option<&Manifest>) -> Result<Plan, LimitExceeded> {
    check_limits(&files)?;
    let mut entries = Vec::with_capacity(files.len());
    let mut uploads = Vec::new();
    for file in files {
        let before = base.and_then(|base| base.find(file.path.as_str()));
        let same = before.filter(|entry| entry.hash() == file.hash);
        if same.is_none() {
            uploads.push(entries.len());
        }
        let fingerprinted = fingerprint::is_fingerprinted(file.path.as_str());
        entries.push(NewEntry {
            content_type: media_type::for_path(file.path.as_str()),
            folder: same.map_or(folder, |entry| entry.folder()),
            fingerprinted,
            // A name that once held other content does not carry its hash, whatever it looks like, and
            // stays doubtful for as long as it exists.
            immutable: fingerprinted
                && before.is_none_or(|entry| entry.hash() == file.hash && entry.is_immutable()),
            hash: file.hash,
            size: file.size,
            path: file.path,
        });
    }
    Ok(Plan { entries, uploads })
}

fn check_limits(files: &[SiteFile]) -> Result<(), LimitExceeded> {
    if files.len() > crate::manifest::MANIFEST_FILES_MAX {
        return Err(LimitExceeded::Files(files.len()));
    }
    if let Some(file) = files.iter().find(|file| file.size > FILE_BYTES_MAX) {
        return Err(LimitExceeded::File { path: file.path.clone(), size: file.size });
    }
    let total = files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size));
    if total > DEPLOYMENT_BYTES_MAX {
        return Err(LimitExceeded::Total(total));
    }
    let mut seen = std::collections::HashSet::with_capacity(files.len());
    match files.iter().find(|file| !seen.insert(&file.path)) {
        Some(file) => Err(LimitExceeded::Duplicate(file.path.clone())),
        None => Ok(()),
    }
}

impl Plan {
    pub fn counts(&self) -> PublishCounts {
        let total = self.entries.iter().map(|entry| entry.size).sum();
        let uploaded_bytes = self.uploads.iter().map(|at| self.entries[*at].size).sum();
        PublishCounts {
            files: self.entries.len() as u64,
            bytes: total,
            uploaded: self.uploads.len() as u64,
            uploaded_bytes,
            reused: (self.entries.len() - self.uploads.len()) as u64,
        }
    }

    /// The contents that have to be uploaded, each with all the paths that want it.
    pub fn missing(&self) -> BTreeMap<ContentHash, Vec<&NewEntry>> {
        let mut missing: BTreeMap<ContentHash, Vec<&NewEntry>> = BTreeMap::new();
        for at in &self.uploads {
            let entry = &self.entries[*at];
            missing.entry(entry.hash).or_default().push(entry);
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DeploymentId, ProjectId};
    use crate::manifest::{Facts, HtmlHandling, NotFound};
    use crate::object_key::DeploymentRef;
    use crate::timestamp::Timestamp;

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

    fn published(list: &[(&str, &str)], n: u32, base: Option<&Manifest>) -> (Plan, Manifest) {
        let facts = Facts {
            deployment: DeploymentRef {
                project_id: ProjectId::from_parts(1, 1),
                deployment_id: DeploymentId::from_parts(5, n),
            },
            created_at: Timestamp::from_unix_secs(0).expect("valid"),
            commit: None,
            branch: None,
            framework: None,
            html_handling: HtmlHandling::default(),
            not_found: NotFound::default(),
            problems: Vec::new(),
        };
        let done = plan(files(list), folder(n), base).expect("within limits");
        let manifest = Manifest::parse(&Manifest::encode(&facts, done.entries.clone()).expect("encodes"));
        (done, manifest.expect("parses"))
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
            PublishCounts { files: 3, bytes: 3, uploaded: 2, uploaded_bytes: 2, reused: 1 }
        );
        let (_, three) = published(&[("a.css", "a"), ("index.html", "2")], 3, Some(&two));
        assert_eq!(three.find("a.css").map(|e| e.folder()), Some(folder(1)));
        assert_eq!(three.find("index.html").map(|e| e.folder()), Some(folder(2)));
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
    fn one_content_at_two_paths_is_asked_for_once() {
        let (done, _) = published(&[("a.txt", "same"), ("b.txt", "same")], 1, None);
        assert_eq!(done.missing().values().map(Vec::len).collect::<Vec<_>>(), [2]);
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
