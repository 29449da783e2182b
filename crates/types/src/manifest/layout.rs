//! The bytes of a manifest.
//!
//! ```text
//!  0  8  magic "LOGGIAMF"
//!  8  4  version
//! 12  4  CRC-32 of everything after it
//! 16  4  length of the header
//! 20  4  number of files
//! 24  4  number of retired files
//! 28  4  number of variants
//! 32     header: JSON, the facts, the rules and the tables that records point into
//!        records: 72 bytes each, the files sorted by path, then the retired files sorted by path
//!        variants: 37 bytes each
//!        two hash tables, of the files and of the retired files: 4 bytes a slot, see [`index`](super::index)
//!        paths: UTF-8, one after another
//! ```
//! Numbers are little-endian. The few things that change between versions are JSON, the many are records, which
//! are read where they lie: 100,000 files open in milliseconds and need no allocation each
//! (docs/decisions/0003-manifest-encoding.md).

use serde::{Deserialize, Serialize};

use super::coding::{Coding, Variant};
use super::index;
use super::{Facts, MANIFEST_FILES_MAX, Manifest, Retirement};
use crate::content_hash::ContentHash;
use crate::object_key::FolderRef;
use crate::path::{SITE_PATH_LEN_MAX, is_site_path};
use crate::rules::Rules;

pub(super) const MAGIC: &[u8; 8] = b"LOGGIAMF";
pub const FORMAT_VERSION: u32 = 2;
pub(super) const PREAMBLE_LEN: usize = 32;
pub(super) const RECORD_LEN: usize = 72;
pub(super) const VARIANT_LEN: usize = 37;

/// An index into a table that points nowhere.
pub(super) const NONE: u16 = u16::MAX;

pub(super) const FLAG_FINGERPRINTED: u16 = 1;
pub(super) const FLAG_IMMUTABLE: u16 = 2;
pub(super) const FLAG_COMPRESSIBLE: u16 = 4;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("this is not a manifest")]
    NotAManifest,
    #[error("the manifest has version {0}, this program reads version {FORMAT_VERSION}: update it")]
    NewerVersion(u32),
    #[error("the manifest has version {0}, from before the first release: deploy again")]
    OlderVersion(u32),
    #[error("the manifest is damaged: {0}")]
    Damaged(&'static str),
    #[error("two files have the path {0:?}")]
    DuplicatePath(String),
    #[error("a deployment has at most {MANIFEST_FILES_MAX} files, this one has {0}")]
    TooManyFiles(usize),
    #[error("a deployment names at most 65,534 {0}")]
    TableFull(&'static str),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) facts: Facts,
    #[serde(default)]
    pub(super) rules: Rules,
    pub(super) content_types: Vec<Box<str>>,
    pub(super) folders: Vec<FolderRef>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) retirements: Vec<Retirement>,
}

/// The tables of a parsed header, apart from the rules.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) content_types: Vec<Box<str>>,
    pub(super) folders: Vec<FolderRef>,
    pub(super) links: Vec<Box<str>>,
    pub(super) retirements: Vec<Retirement>,
}

/// One file, decoded from its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    path: (u32, u16),
    source: (u32, u16),
    content_type: u16,
    folder: u16,
    flags: u16,
    link: u16,
    retirement: u16,
    variants: (u32, u16),
    pub(super) size: u64,
    pub(super) hash: [u8; 32],
}

/// Where the sections of a manifest lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sections {
    records: usize,
    variants: usize,
    slots: usize,
    retired_slots: usize,
    paths: usize,
    pub(super) files: usize,
    pub(super) retired: usize,
}

impl Sections {
    pub(super) fn header_len(self) -> usize {
        self.records - PREAMBLE_LEN
    }
}

pub(super) fn parse(bytes: Box<[u8]>) -> Result<Manifest, ManifestError> {
    let mut reader = Reader { bytes: &bytes };
    if reader.take(8).ok() != Some(MAGIC.as_slice()) {
        return Err(ManifestError::NotAManifest);
    }
    match reader.u32()? {
        FORMAT_VERSION => {}
        version if version > FORMAT_VERSION => return Err(ManifestError::NewerVersion(version)),
        version => return Err(ManifestError::OlderVersion(version)),
    }
    let crc = reader.u32()?;
    if crc32fast::hash(reader.bytes) != crc {
        return Err(ManifestError::Damaged("the checksum differs"));
    }
    let header_len = reader.u32()? as usize;
    let (files, retired) = (reader.u32()? as usize, reader.u32()? as usize);
    let variants = reader.u32()? as usize;
    if files.max(retired) > MANIFEST_FILES_MAX {
        return Err(ManifestError::TooManyFiles(files.max(retired)));
    }
    let header: Header = serde_json::from_slice(reader.take(header_len)?)
        .map_err(|_| ManifestError::Damaged("the header does not parse"))?;
    reader.take((files + retired) * RECORD_LEN)?;
    reader.take(variants.checked_mul(VARIANT_LEN).ok_or(ManifestError::Damaged("it is cut short"))?)?;
    reader.take(index::len_bytes(files) + index::len_bytes(retired))?;
    std::str::from_utf8(reader.bytes).map_err(|_| ManifestError::Damaged("paths are not UTF-8"))?;

    let records = PREAMBLE_LEN + header_len;
    let variants_at = records + (files + retired) * RECORD_LEN;
    let slots = variants_at + variants * VARIANT_LEN;
    let retired_slots = slots + index::len_bytes(files);
    let paths = retired_slots + index::len_bytes(retired);
    let sections = Sections { records, variants: variants_at, slots, retired_slots, paths, files, retired };
    let tables = Tables {
        content_types: header.content_types,
        folders: header.folders,
        links: header.links,
        retirements: header.retirements,
    };
    let mut manifest =
        Manifest { facts: header.facts, rules: header.rules, tables, sections, bytes, has_404_page: false };
    manifest.has_404_page = check(&manifest, variants)?;
    Ok(manifest)
}

/// Checks every reference, so that look-ups can index without a thought. Tells whether there is a `404.html`.
fn check(manifest: &Manifest, variants: usize) -> Result<bool, ManifestError> {
    let Sections { files, retired, .. } = manifest.sections;
    let mut has_404_page = false;
    let mut previous: Option<&str> = None;
    let is_path = path_check(&manifest.bytes[manifest.sections.paths..]);
    for at in 0..files + retired {
        let record = manifest.record(at);
        let path =
            manifest.text(record.path).ok_or(ManifestError::Damaged("a path lies outside the table"))?;
        if at == files {
            previous = None;
        }
        if previous.is_some_and(|previous| previous >= path) {
            return Err(ManifestError::Damaged("paths are not sorted"));
        }
        if !is_path(path) {
            return Err(ManifestError::Damaged("a path that no file can have"));
        }
        if record.source != record.path && !manifest.text(record.source).is_some_and(&is_path) {
            return Err(ManifestError::Damaged("a source that no file can have"));
        }
        check_record(manifest, &record, at >= files, variants)?;
        has_404_page |= at < files && (path == "404.html" || path.ends_with("/404.html"));
        previous = Some(path);
    }
    let paths = |first: usize, count: usize| (first..first + count).map(|at| manifest.path_at(at));
    if !index::is_sound(manifest.slots(), paths(0, files))
        || !index::is_sound(manifest.retired_slots(), paths(files, retired))
    {
        return Err(ManifestError::Damaged("a hash table does not lead to the records"));
    }
    for at in 0..variants {
        Coding::from_byte(manifest.variant_bytes(at)[0])
            .ok_or(ManifestError::Damaged("a variant has an unknown coding"))?;
    }
    Ok(has_404_page)
}

/// Tells which texts are paths of files, which keys of the bucket are then made of without another look.
///
/// One look at all paths, whose bytes lie side by side, spares nearly every one of them a look of its own.
fn path_check(paths: &[u8]) -> impl Fn(&str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'\\');
    // Where an empty segment or one that begins with a dot can begin.
    let is_doubtful = |(before, byte): (&u8, &u8)| (*before == b'/') & matches!(byte, b'/' | b'.');
    let has_odd_byte = paths.iter().fold(false, |has, byte| has | !is_plain(*byte));
    let pairs = paths.iter().zip(paths.get(1..).unwrap_or_default());
    let are_plain = !has_odd_byte & !pairs.fold(false, |has, pair| has | is_doubtful(pair));
    move |path| {
        let at_edges = path.starts_with(['/', '.']) || path.ends_with('/') || path.is_empty();
        (are_plain && !at_edges && path.len() <= SITE_PATH_LEN_MAX) || is_site_path(path)
    }
}

fn check_record(
    manifest: &Manifest,
    record: &Record,
    is_retired: bool,
    variants: usize,
) -> Result<(), ManifestError> {
    let tables = &manifest.tables;
    let inside = |at: u16, len: usize| usize::from(at) < len;
    let optional = |at: u16, len: usize| at == NONE || inside(at, len);
    if !inside(record.content_type, tables.content_types.len())
        || !inside(record.folder, tables.folders.len())
        || !optional(record.link, tables.links.len())
        || !optional(record.retirement, tables.retirements.len())
        || is_retired != (record.retirement != NONE)
    {
        return Err(ManifestError::Damaged("a record points outside a table"));
    }
    if record.variants.0 as usize + usize::from(record.variants.1) > variants {
        return Err(ManifestError::Damaged("a variant lies outside the table"));
    }
    let first = record.variants.0 as usize;
    let codings = (first..first + usize::from(record.variants.1)).map(|at| manifest.variant_bytes(at)[0]);
    if !codings.is_sorted_by(|one, next| one < next) {
        return Err(ManifestError::Damaged("the variants of a file are not in order"));
    }
    Ok(())
}

impl Manifest {
    /// The files, then the retired ones.
    pub(super) fn record(&self, at: usize) -> Record {
        let start = self.sections.records + at * RECORD_LEN;
        Record::read(&self.bytes[start..start + RECORD_LEN])
    }

    /// Only the path, for searching.
    pub(super) fn path_at(&self, at: usize) -> &[u8] {
        let start = self.sections.records + at * RECORD_LEN;
        self.text_bytes((u32_at(&self.bytes, start), u16_at(&self.bytes, start + 4))).unwrap_or_default()
    }

    pub(super) fn slots(&self) -> &[u8] {
        &self.bytes[self.sections.slots..self.sections.retired_slots]
    }

    pub(super) fn retired_slots(&self) -> &[u8] {
        &self.bytes[self.sections.retired_slots..self.sections.paths]
    }

    fn text_bytes(&self, (start, len): (u32, u16)) -> Option<&[u8]> {
        let start = self.sections.paths + start as usize;
        self.bytes.get(start..start + usize::from(len))
    }

    /// `None` outside of the section, or when a character is cut.
    fn text(&self, range: (u32, u16)) -> Option<&str> {
        std::str::from_utf8(self.text_bytes(range)?).ok()
    }

    fn variant_bytes(&self, at: usize) -> &[u8] {
        let start = self.sections.variants + at * VARIANT_LEN;
        &self.bytes[start..start + VARIANT_LEN]
    }
}

/// What a record says, looked up in the tables. Every index was checked when the manifest was opened.
impl Record {
    fn read(bytes: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(&bytes[40..72]);
        Self {
            path: (u32_at(bytes, 0), u16_at(bytes, 4)),
            source: (u32_at(bytes, 6), u16_at(bytes, 10)),
            content_type: u16_at(bytes, 12),
            folder: u16_at(bytes, 14),
            flags: u16_at(bytes, 16),
            link: u16_at(bytes, 18),
            retirement: u16_at(bytes, 20),
            variants: (u32_at(bytes, 24), u16_at(bytes, 22)),
            size: u64::from(u32_at(bytes, 32)) | u64::from(u32_at(bytes, 36)) << 32,
            hash,
        }
    }

    pub(super) fn path<'m>(&self, manifest: &'m Manifest) -> &'m str {
        manifest.text(self.path).unwrap_or_default()
    }

    pub(super) fn source<'m>(&self, manifest: &'m Manifest) -> &'m str {
        manifest.text(self.source).unwrap_or_default()
    }

    pub(super) fn content_type<'m>(&self, manifest: &'m Manifest) -> &'m str {
        &manifest.tables.content_types[usize::from(self.content_type)]
    }

    pub(super) fn folder(&self, manifest: &Manifest) -> FolderRef {
        manifest.tables.folders[usize::from(self.folder)]
    }

    pub(super) fn link<'m>(&self, manifest: &'m Manifest) -> Option<&'m str> {
        manifest.tables.links.get(usize::from(self.link)).map(|link| &**link)
    }

    pub(super) fn retirement<'m>(&self, manifest: &'m Manifest) -> Option<&'m Retirement> {
        manifest.tables.retirements.get(usize::from(self.retirement))
    }

    pub(super) fn variants<'m>(&self, manifest: &'m Manifest) -> impl Iterator<Item = Variant> + use<'m> {
        let first = self.variants.0 as usize;
        (first..first + usize::from(self.variants.1)).filter_map(|at| {
            let bytes = manifest.variant_bytes(at);
            let mut hash = [0; 32];
            hash.copy_from_slice(&bytes[5..]);
            let coding = Coding::from_byte(bytes[0])?;
            Some(Variant { coding, size: u32_at(bytes, 1).into(), hash: ContentHash::from_bytes(hash) })
        })
    }

    pub(super) fn is_fingerprinted(&self) -> bool {
        self.flags & FLAG_FINGERPRINTED != 0
    }

    pub(super) fn is_immutable(&self) -> bool {
        self.flags & FLAG_IMMUTABLE != 0
    }

    pub(super) fn is_compressible(&self) -> bool {
        self.flags & FLAG_COMPRESSIBLE != 0
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
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

    fn u32(&mut self) -> Result<u32, ManifestError> {
        self.take(4).map(|bytes| u32_at(bytes, 0))
    }
}
