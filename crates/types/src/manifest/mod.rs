//! The file table of a deployment: what exists, what it is, and in which folder its bytes lie.
//!
//! Written once, as the last object of a deployment; read by every edge. [`layout`] holds the bytes, this
//! module what they mean. Lookups allocate nothing.

mod layout;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::content_hash::ContentHash;
use crate::git::{BranchName, CommitSha};
use crate::object_key::{DeploymentRef, FolderRef, ObjectKey};
use crate::path::SitePath;
use crate::problem::Problem;
use crate::timestamp::Timestamp;

pub use layout::{FORMAT_VERSION, ManifestError};

/// 100,000 files a deployment (BEHAVIOR: direct upload), so that a manifest stays below 20 MB.
pub const MANIFEST_FILES_MAX: usize = 100_000;

/// How URLs and `.html` files correspond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HtmlHandling {
    /// `/file` for `file.html`, `/folder/` for `folder/index.html`; other spellings are redirected.
    #[default]
    AutoTrailingSlash,
}

/// What answers a path that no file answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotFound {
    /// `404-page` if the site has a `404.html`, else `single-page-application` if it has an `index.html`, else `none`.
    #[default]
    Auto,
    #[serde(rename = "404-page")]
    Page,
    SinglePageApplication,
    None,
}

impl NotFound {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Page => "404-page",
            Self::SinglePageApplication => "single-page-application",
            Self::None => "none",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not_found is auto, 404-page, single-page-application or none, not {0:?}")]
pub struct InvalidNotFound(String);

impl FromStr for NotFound {
    type Err = InvalidNotFound;
    fn from_str(text: &str) -> Result<Self, InvalidNotFound> {
        [Self::Auto, Self::Page, Self::SinglePageApplication, Self::None]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| InvalidNotFound(text.chars().take(80).collect()))
    }
}

/// What a manifest says about its deployment as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub deployment: DeploymentRef,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    #[serde(default)]
    pub html_handling: HtmlHandling,
    #[serde(default)]
    pub not_found: NotFound,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// One file, as it goes into a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    pub path: SitePath,
    pub hash: ContentHash,
    pub size: u64,
    /// The folder whose object holds the bytes, under this same path.
    pub folder: FolderRef,
    pub content_type: String,
    /// The name carries a content hash.
    pub fingerprinted: bool,
    /// The name may be cached for good: fingerprinted, and never seen with other content.
    pub immutable: bool,
}

/// A parsed manifest. Cheap to share behind an `Arc`, never changed.
#[derive(Debug)]
pub struct Manifest {
    facts: Facts,
    content_types: Vec<Box<str>>,
    folders: Vec<FolderRef>,
    /// Sorted by path.
    records: Box<[layout::Record]>,
    paths: Box<str>,
    has_404_page: bool,
}

/// One file of a manifest.
#[derive(Clone, Copy)]
pub struct Entry<'m> {
    manifest: &'m Manifest,
    record: &'m layout::Record,
}

impl Manifest {
    /// Encodes a manifest. Refuses two entries with one path and more than [`MANIFEST_FILES_MAX`] files.
    pub fn encode(facts: &Facts, entries: Vec<NewEntry>) -> Result<Vec<u8>, ManifestError> {
        layout::encode(facts, entries)
    }

    /// Opens an encoded manifest; every bound and reference is checked here, once.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        layout::parse(bytes)
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether any folder has a `404.html`.
    pub fn has_404_page(&self) -> bool {
        self.has_404_page
    }

    /// The file with exactly this path, without a leading slash.
    pub fn find(&self, path: &str) -> Option<Entry<'_>> {
        let at = self.records.binary_search_by(|record| self.path_of(record).cmp(path)).ok()?;
        Some(Entry { manifest: self, record: &self.records[at] })
    }

    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.records.iter().map(|record| Entry { manifest: self, record })
    }

    /// Bytes on the heap, for cache budgets.
    pub fn heap_bytes(&self) -> usize {
        self.paths.len() + self.records.len() * size_of::<layout::Record>() + 1024
    }

    fn path_of(&self, record: &layout::Record) -> &str {
        let start = record.path_start as usize;
        &self.paths[start..start + usize::from(record.path_len)]
    }
}

impl<'m> Entry<'m> {
    pub fn path(&self) -> &'m str {
        self.manifest.path_of(self.record)
    }

    pub fn hash(&self) -> ContentHash {
        ContentHash::from_bytes(self.record.hash)
    }

    pub fn size(&self) -> u64 {
        self.record.size
    }

    pub fn content_type(&self) -> &'m str {
        &self.manifest.content_types[usize::from(self.record.content_type)]
    }

    pub fn folder(&self) -> FolderRef {
        self.manifest.folders[usize::from(self.record.folder)]
    }

    pub fn is_fingerprinted(&self) -> bool {
        self.record.flags & layout::FLAG_FINGERPRINTED != 0
    }

    pub fn is_immutable(&self) -> bool {
        self.record.flags & layout::FLAG_IMMUTABLE != 0
    }

    /// Where the bytes lie.
    pub fn object_key(&self) -> ObjectKey {
        ObjectKey::stored_file(self.manifest.facts.deployment.project_id, self.folder(), self.path())
    }
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({} {} bytes in {})", self.path(), self.size(), self.folder())
    }
}

#[cfg(test)]
mod tests;
