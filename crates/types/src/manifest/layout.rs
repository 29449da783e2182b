//! The bytes of a manifest.
//!
//! ```text
//!  0  8  magic "LOGGIAMF"
//!  8  4  version
//! 12  4  CRC-32 of everything after it
//! 16  4  length of the header
//! 20  4  number of records
//! 24     header: JSON, the facts and the tables that records point into
//!        records: 52 bytes each, sorted by path
//!        paths: UTF-8, one after another
//! ```
//! Numbers are little-endian. The few things that change between versions are JSON, the many are records:
//! 100,000 files open in milliseconds and need no allocation each (docs/decisions/0003-manifest-encoding.md).

use serde::{Deserialize, Serialize};

use super::{Facts, MANIFEST_FILES_MAX, Manifest, NewEntry};
use crate::object_key::FolderRef;

const MAGIC: &[u8; 8] = b"LOGGIAMF";
pub const FORMAT_VERSION: u32 = 1;
const PREAMBLE_LEN: usize = 24;
const RECORD_LEN: usize = 52;

pub(super) const FLAG_FINGERPRINTED: u16 = 1;
pub(super) const FLAG_IMMUTABLE: u16 = 2;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("this is not a manifest")]
    NotAManifest,
    #[error("the manifest has version {0}, this program reads up to {FORMAT_VERSION}: update it")]
    NewerVersion(u32),
    #[error("the manifest is damaged: {0}")]
    Damaged(&'static str),
    #[error("two files have the path {0:?}")]
    DuplicatePath(String),
    #[error("a deployment has at most {MANIFEST_FILES_MAX} files, this one has {0}")]
    TooManyFiles(usize),
    #[error("a deployment names at most 65,535 {0}")]
    TableFull(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Header {
    facts: Facts,
    content_types: Vec<Box<str>>,
    folders: Vec<FolderRef>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) path_start: u32,
    pub(super) path_len: u16,
    pub(super) content_type: u16,
    pub(super) folder: u16,
    pub(super) flags: u16,
    pub(super) size: u64,
    pub(super) hash: [u8; 32],
}

/// Values in order of first appearance, each once.
struct Table<T> {
    values: Vec<T>,
    name: &'static str,
}

impl<T: PartialEq> Table<T> {
    /// Linear: sites have a few dozen types and folders. Looks from the back, where neighbours were added.
    fn index_of(&mut self, value: T) -> Result<u16, ManifestError> {
        let at = match self.values.iter().rposition(|known| *known == value) {
            Some(at) => at,
            None => {
                self.values.push(value);
                self.values.len() - 1
            }
        };
        u16::try_from(at).map_err(|_| ManifestError::TableFull(self.name))
    }
}

pub(super) fn encode(facts: &Facts, mut entries: Vec<NewEntry>) -> Result<Vec<u8>, ManifestError> {
    if entries.len() > MANIFEST_FILES_MAX {
        return Err(ManifestError::TooManyFiles(entries.len()));
    }
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(ManifestError::DuplicatePath(pair[0].path.to_string()));
    }

    let mut content_types = Table { values: Vec::new(), name: "content types" };
    let mut folders = Table { values: Vec::new(), name: "folders" };
    let mut records = Vec::with_capacity(entries.len() * RECORD_LEN);
    let mut paths = String::new();
    let count = entries.len();
    for entry in entries {
        let path = entry.path.as_str();
        let flags = if entry.fingerprinted { FLAG_FINGERPRINTED } else { 0 }
            | if entry.immutable { FLAG_IMMUTABLE } else { 0 };
        records.extend(len_u32(paths.len()).to_le_bytes());
        records.extend(u16::try_from(path.len()).expect("SitePath is shorter than 64 KiB").to_le_bytes());
        records.extend(content_types.index_of(entry.content_type.into_boxed_str())?.to_le_bytes());
        records.extend(folders.index_of(entry.folder)?.to_le_bytes());
        records.extend(flags.to_le_bytes());
        records.extend(entry.size.to_le_bytes());
        records.extend(entry.hash.as_bytes());
        paths.push_str(path);
    }

    let header =
        Header { facts: facts.clone(), content_types: content_types.values, folders: folders.values };
    let header = serde_json::to_vec(&header).expect("a header has only string keys");
    let mut bytes = Vec::with_capacity(PREAMBLE_LEN + header.len() + records.len() + paths.len());
    bytes.extend(MAGIC);
    bytes.extend(FORMAT_VERSION.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(len_u32(header.len()).to_le_bytes());
    bytes.extend(len_u32(count).to_le_bytes());
    bytes.extend(header);
    bytes.extend(records);
    bytes.extend(paths.as_bytes());
    let crc = crc32fast::hash(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// Within bounds: 100,000 paths of at most 960 bytes are 96 MB.
fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("MANIFEST_FILES_MAX keeps every section below 4 GiB")
}

pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let mut reader = Reader { bytes };
    if reader.take(8).ok() != Some(MAGIC.as_slice()) {
        return Err(ManifestError::NotAManifest);
    }
    let version = reader.u32()?;
    if version > FORMAT_VERSION {
        return Err(ManifestError::NewerVersion(version));
    }
    let crc = reader.u32()?;
    if crc32fast::hash(reader.bytes) != crc {
        return Err(ManifestError::Damaged("the checksum differs"));
    }
    let header_len = reader.u32()? as usize;
    let count = reader.u32()? as usize;
    if count > MANIFEST_FILES_MAX {
        return Err(ManifestError::TooManyFiles(count));
    }
    let header: Header = serde_json::from_slice(reader.take(header_len)?)
        .map_err(|_| ManifestError::Damaged("the header does not parse"))?;
    let mut rows = Reader { bytes: reader.take(count * RECORD_LEN)? };
    let records = (0..count).map(|_| rows.record()).collect::<Result<Box<[_]>, _>>()?;
    let paths: Box<str> =
        std::str::from_utf8(reader.bytes).map_err(|_| ManifestError::Damaged("paths are not UTF-8"))?.into();

    let manifest = Manifest {
        has_404_page: false,
        facts: header.facts,
        content_types: header.content_types,
        folders: header.folders,
        records,
        paths,
    };
    check(manifest)
}

/// Checks every reference, so that lookups can index without a thought.
fn check(mut manifest: Manifest) -> Result<Manifest, ManifestError> {
    let mut previous: Option<&str> = None;
    let mut has_404_page = false;
    for record in &manifest.records {
        let start = record.path_start as usize;
        let path = manifest
            .paths
            .get(start..start + usize::from(record.path_len))
            .ok_or(ManifestError::Damaged("a path lies outside the table"))?;
        if previous.is_some_and(|previous| previous >= path) {
            return Err(ManifestError::Damaged("paths are not sorted"));
        }
        if usize::from(record.content_type) >= manifest.content_types.len()
            || usize::from(record.folder) >= manifest.folders.len()
        {
            return Err(ManifestError::Damaged("a record points outside a table"));
        }
        has_404_page |= path == "404.html" || path.ends_with("/404.html");
        previous = Some(path);
    }
    manifest.has_404_page = has_404_page;
    Ok(manifest)
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], ManifestError> {
        let (head, rest) =
            self.bytes.split_at_checked(len).ok_or(ManifestError::Damaged("it is cut short"))?;
        self.bytes = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ManifestError> {
        Ok(self.take(N)?.try_into().expect("take returns N bytes"))
    }

    fn u16(&mut self) -> Result<u16, ManifestError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, ManifestError> {
        self.array().map(u32::from_le_bytes)
    }

    fn record(&mut self) -> Result<Record, ManifestError> {
        Ok(Record {
            path_start: self.u32()?,
            path_len: self.u16()?,
            content_type: self.u16()?,
            folder: self.u16()?,
            flags: self.u16()?,
            size: self.array().map(u64::from_le_bytes)?,
            hash: self.array()?,
        })
    }
}
