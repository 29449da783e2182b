//! The file table of a deployment: what exists, what it is, and in which folder its bytes lie.
//!
//! Written once, as the last object of a deployment; read by every edge. [`layout`] holds the bytes, this
//! module what they mean. Lookups allocate nothing.

mod coding;
mod encode;
mod index;
mod layout;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::content_hash::ContentHash;
use crate::git::{BranchName, CommitSha};
use crate::id::{DeploymentId, ProjectId};
use crate::object_key::{DeploymentRef, FolderRef, ObjectKey};
use crate::path::SitePath;
use crate::problem::Problem;
use crate::rules::{Dialect, Rules};
use crate::timestamp::Timestamp;

pub use coding::{Coding, NewVariant, Variant};
pub use layout::{FORMAT_VERSION, ManifestError};

/// 100,000 files a deployment (BEHAVIOR: direct upload), so that a manifest stays below 20 MB.
pub const MANIFEST_FILES_MAX: usize = 100_000;

/// How URLs and `.html` files correspond (docs/BEHAVIOR.md, HTML handling).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HtmlHandling {
    /// `/file` for `file.html`, `/folder/` for `folder/index.html`; other spellings are redirected.
    #[default]
    AutoTrailingSlash,
    /// `/file/` for `file.html`, `/folder/` for `folder/index.html`.
    ForceTrailingSlash,
    /// `/file` for `file.html`, `/folder` for `folder/index.html`.
    DropTrailingSlash,
    /// Exact names only.
    None,
}

impl HtmlHandling {
    pub const ALL: [Self; 4] =
        [Self::AutoTrailingSlash, Self::ForceTrailingSlash, Self::DropTrailingSlash, Self::None];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AutoTrailingSlash => "auto-trailing-slash",
            Self::ForceTrailingSlash => "force-trailing-slash",
            Self::DropTrailingSlash => "drop-trailing-slash",
            Self::None => "none",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("html_handling is auto-trailing-slash, force-trailing-slash, drop-trailing-slash or none, not {0:?}")]
pub struct InvalidHtmlHandling(String);

impl FromStr for HtmlHandling {
    type Err = InvalidHtmlHandling;
    fn from_str(text: &str) -> Result<Self, InvalidHtmlHandling> {
        let known = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        known.ok_or_else(|| InvalidHtmlHandling(text.chars().take(80).collect()))
    }
}

/// What answers a path that no file answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    pub dialect: Dialect,
    #[serde(default)]
    pub html_handling: HtmlHandling,
    #[serde(default)]
    pub not_found: NotFound,
    /// Redirects to a page's one URL are 308 instead of 307.
    #[serde(default)]
    pub permanent: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// Everything that [`Manifest::encode`] needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewManifest {
    pub facts: Facts,
    pub rules: Rules,
    pub entries: Vec<NewEntry>,
    pub retired: Vec<NewRetired>,
}

/// One file, as it goes into a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    pub path: SitePath,
    pub hash: ContentHash,
    pub size: u64,
    /// The folder whose object holds the bytes.
    pub folder: FolderRef,
    /// The path under which they lie there: another one than `path` when the same content was there already.
    pub source_path: SitePath,
    pub content_type: String,
    /// The name carries a content hash.
    pub fingerprinted: bool,
    /// The name may be cached for good: fingerprinted, and never seen with other content.
    pub immutable: bool,
    /// In the order of [`Coding`].
    pub variants: Vec<NewVariant>,
    /// What a browser can begin to load before it has read the page: the value of a `Link` header.
    pub link: Option<Box<str>>,
}

/// A deployment that had files which the one of this manifest no longer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// The last one that had them.
    pub deployment_id: DeploymentId,
    /// When the next one took its place.
    pub retired_at: Timestamp,
    /// How many deployments ago: 1 is the one before this.
    pub age: u16,
}

/// A fingerprinted file of an earlier deployment, kept for pages that were opened before (skew protection).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRetired {
    pub entry: NewEntry,
    pub retirement: Retirement,
}

/// A parsed manifest. Cheap to share behind an `Arc`, never changed.
#[derive(Debug)]
pub struct Manifest {
    facts: Facts,
    rules: Rules,
    tables: layout::Tables,
    sections: layout::Sections,
    bytes: Box<[u8]>,
    has_404_page: bool,
}

/// One file of a manifest.
#[derive(Clone, Copy)]
pub struct Entry<'m> {
    manifest: &'m Manifest,
    record: layout::Record,
}

impl Manifest {
    /// Encodes a manifest. Refuses two entries with one path and more than [`MANIFEST_FILES_MAX`] files.
    pub fn encode(new: NewManifest) -> Result<Vec<u8>, ManifestError> {
        encode::encode(new)
    }

    /// Opens an encoded manifest; every bound and reference is checked here, once.
    pub fn parse(bytes: impl Into<Box<[u8]>>) -> Result<Self, ManifestError> {
        layout::parse(bytes.into())
    }

    /// As [`Manifest::parse`] got it, with its checksum.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Redirect and header rules, as they were written.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Hands the rules to whoever executes them, so that they are not kept twice.
    pub fn take_rules(&mut self) -> Rules {
        std::mem::take(&mut self.rules)
    }

    pub fn len(&self) -> usize {
        self.sections.files
    }

    pub fn is_empty(&self) -> bool {
        self.sections.files == 0
    }

    /// Whether any folder has a `404.html`.
    pub fn has_404_page(&self) -> bool {
        self.has_404_page
    }

    /// The file with exactly this path, without a leading slash.
    pub fn find(&self, path: &str) -> Option<Entry<'_>> {
        self.search(self.slots(), path, 0)
    }

    /// A file of an earlier deployment, for a path that [`Manifest::find`] does not know.
    pub fn find_retired(&self, path: &str) -> Option<(Entry<'_>, &Retirement)> {
        let entry = self.search(self.retired_slots(), path, self.sections.files)?;
        Some((entry, entry.record.retirement(self)?))
    }

    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.sections.files).map(|at| self.entry(at))
    }

    pub fn retired(&self) -> impl Iterator<Item = (Entry<'_>, &Retirement)> {
        let all = self.sections.files..self.sections.files + self.sections.retired;
        all.map(|at| self.entry(at)).filter_map(|entry| Some((entry, entry.record.retirement(self)?)))
    }

    /// Bytes on the heap, for cache budgets.
    pub fn heap_bytes(&self) -> usize {
        // The JSON header is also held decoded, which takes about twice its size.
        let header: usize = self.sections.header_len();
        self.bytes.len() + 2 * header + 1024
    }

    fn search(&self, table: &[u8], path: &str, first: usize) -> Option<Entry<'_>> {
        let at = index::find(table, path, |at| self.path_at(first + at) == path.as_bytes())?;
        Some(self.entry(first + at))
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        Entry { manifest: self, record: self.record(at) }
    }
}

impl<'m> Entry<'m> {
    pub fn path(&self) -> &'m str {
        self.record.path(self.manifest)
    }

    pub fn hash(&self) -> ContentHash {
        ContentHash::from_bytes(self.record.hash)
    }

    pub fn size(&self) -> u64 {
        self.record.size
    }

    pub fn content_type(&self) -> &'m str {
        self.record.content_type(self.manifest)
    }

    pub fn folder(&self) -> FolderRef {
        self.record.folder(self.manifest)
    }

    /// The path under which the bytes lie in [`Entry::folder`].
    pub fn source_path(&self) -> &'m str {
        self.record.source(self.manifest)
    }

    pub fn is_fingerprinted(&self) -> bool {
        self.record.is_fingerprinted()
    }

    pub fn is_immutable(&self) -> bool {
        self.record.is_immutable()
    }

    /// Its type is one that compression makes smaller, so answers vary by `Accept-Encoding` even when this very
    /// file has no variant.
    pub fn is_compressible(&self) -> bool {
        self.record.is_compressible()
    }

    /// In the order of [`Coding`].
    pub fn variants(&self) -> impl Iterator<Item = Variant> + use<'m> {
        self.record.variants(self.manifest)
    }

    pub fn link(&self) -> Option<&'m str> {
        self.record.link(self.manifest)
    }

    /// Where the bytes lie.
    pub fn object_key(&self) -> ObjectKey {
        ObjectKey::stored_file(self.project_id(), self.folder(), self.source_path())
    }

    /// Where the bytes of a variant lie.
    pub fn variant_key(&self, coding: Coding) -> ObjectKey {
        ObjectKey::stored_variant(self.project_id(), self.folder(), coding, self.source_path())
    }

    fn project_id(&self) -> ProjectId {
        self.manifest.facts.deployment.project_id
    }
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({} {} bytes in {})", self.path(), self.size(), self.folder())
    }
}

#[cfg(test)]
mod tests;
