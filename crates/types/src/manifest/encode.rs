//! Writes the bytes that [`layout`](super::layout) describes.

use super::coding::NewVariant;
use super::index;
use super::layout::{
    FLAG_COMPRESSIBLE, FLAG_FINGERPRINTED, FLAG_IMMUTABLE, FORMAT_VERSION, Header, MAGIC, ManifestError,
    NONE, PREAMBLE_LEN, RECORD_LEN, VARIANT_LEN,
};
use super::{Facts, MANIFEST_FILES_MAX, NewEntry, NewManifest, NewRetired, Retirement};
use crate::object_key::FolderRef;
use crate::rules::Rules;

/// Values in order of first appearance, each once.
struct Table<T> {
    values: Vec<T>,
    name: &'static str,
}

impl<T: PartialEq> Table<T> {
    fn new(name: &'static str) -> Self {
        Self { values: Vec::new(), name }
    }

    /// Linear: sites have a few dozen of each. Looks from the back, where neighbours were added.
    fn index_of(&mut self, value: T) -> Result<u16, ManifestError> {
        let at = match self.values.iter().rposition(|known| *known == value) {
            Some(at) => at,
            None => {
                self.values.push(value);
                self.values.len() - 1
            }
        };
        u16::try_from(at).ok().filter(|at| *at != NONE).ok_or(ManifestError::TableFull(self.name))
    }
}

struct Encoder {
    content_types: Table<Box<str>>,
    folders: Table<FolderRef>,
    links: Vec<Box<str>>,
    retirements: Table<Retirement>,
    records: Vec<u8>,
    variants: Vec<u8>,
    slots: Vec<u8>,
    paths: String,
}

pub(super) fn encode(new: NewManifest) -> Result<Vec<u8>, ManifestError> {
    let NewManifest { facts, rules, mut entries, mut retired } = new;
    let all = entries.len() + retired.len();
    if entries.len() > MANIFEST_FILES_MAX {
        return Err(ManifestError::TooManyFiles(entries.len()));
    }
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    retired.sort_unstable_by(|a, b| a.entry.path.cmp(&b.entry.path));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(ManifestError::DuplicatePath(pair[0].path.to_string()));
    }
    retired.dedup_by(|later, earlier| later.entry.path == earlier.entry.path);

    let (files, gone) = (len_u32(entries.len()), len_u32(retired.len()));
    let mut encoder = Encoder {
        content_types: Table::new("content types"),
        folders: Table::new("folders"),
        links: Vec::new(),
        retirements: Table::new("earlier deployments"),
        records: Vec::with_capacity(all * RECORD_LEN),
        variants: Vec::new(),
        slots: index::build(entries.iter().map(|entry| entry.path.as_str())),
        paths: String::new(),
    };
    encoder.slots.extend(index::build(retired.iter().map(|retired| retired.entry.path.as_str())));
    for entry in entries {
        encoder.add(entry, NONE)?;
    }
    for NewRetired { entry, retirement } in retired {
        let at = encoder.retirements.index_of(retirement)?;
        encoder.add(entry, at)?;
    }
    Ok(encoder.finish(facts, rules, files, gone))
}

impl Encoder {
    fn add(&mut self, mut entry: NewEntry, retirement: u16) -> Result<(), ManifestError> {
        entry.variants.sort_unstable_by_key(|variant| variant.coding);
        entry.variants.dedup_by_key(|variant| variant.coding);
        let path = self.add_path(entry.path.as_str());
        let source =
            if entry.source_path == entry.path { path } else { self.add_path(entry.source_path.as_str()) };
        let flags = if entry.fingerprinted { FLAG_FINGERPRINTED } else { 0 }
            | if entry.immutable { FLAG_IMMUTABLE } else { 0 }
            | if crate::media_type::is_compressible(&entry.content_type) { FLAG_COMPRESSIBLE } else { 0 };
        let first_variant = len_u32(self.variants.len() / VARIANT_LEN);
        let variants = u16::try_from(entry.variants.len())
            .map_err(|_| ManifestError::TableFull("variants of a file"))?;
        let record = [path, source].into_iter().flat_map(|(start, len)| {
            start.to_le_bytes().into_iter().chain(len.to_le_bytes()).collect::<Vec<_>>()
        });
        self.records.extend(record);
        self.records.extend(self.content_types.index_of(entry.content_type.into_boxed_str())?.to_le_bytes());
        self.records.extend(self.folders.index_of(entry.folder)?.to_le_bytes());
        self.records.extend(flags.to_le_bytes());
        let link = entry.link.map_or(NONE, |link| self.add_link(link));
        self.records.extend(link.to_le_bytes());
        self.records.extend(retirement.to_le_bytes());
        self.records.extend(variants.to_le_bytes());
        self.records.extend(first_variant.to_le_bytes());
        self.records.extend([0; 4]);
        self.records.extend(entry.size.to_le_bytes());
        self.records.extend(entry.hash.as_bytes());
        for NewVariant { coding, size, hash } in entry.variants {
            self.variants.push(coding as u8);
            self.variants.extend(size.to_le_bytes());
            self.variants.extend(hash.as_bytes());
        }
        Ok(())
    }

    fn add_path(&mut self, path: &str) -> (u32, u16) {
        let start = len_u32(self.paths.len());
        self.paths.push_str(path);
        (start, u16::try_from(path.len()).expect("SitePath is shorter than 64 KiB"))
    }

    /// Most pages of a site share their links; past the end of the table a page goes without, which costs a hint.
    fn add_link(&mut self, link: Box<str>) -> u16 {
        /// Far back enough for the layouts of a site, near enough that 100,000 pages are quick.
        const LOOK_BACK: usize = 64;
        let start = self.links.len().saturating_sub(LOOK_BACK);
        if let Some(at) = self.links[start..].iter().rposition(|known| *known == link) {
            return u16::try_from(start + at).unwrap_or(NONE);
        }
        match u16::try_from(self.links.len()) {
            Ok(at) if at != NONE => {
                self.links.push(link);
                at
            }
            _ => NONE,
        }
    }

    fn finish(self, facts: Facts, rules: Rules, files: u32, retired: u32) -> Vec<u8> {
        let header = Header {
            facts,
            rules,
            content_types: self.content_types.values,
            folders: self.folders.values,
            links: self.links,
            retirements: self.retirements.values,
        };
        let header = serde_json::to_vec(&header).expect("a header has only string keys");
        let sections = [&header, &self.records, &self.variants, &self.slots, self.paths.as_bytes()];
        let len: usize = sections.iter().map(|section| section.len()).sum();
        let mut bytes = Vec::with_capacity(PREAMBLE_LEN + len);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(len_u32(header.len()).to_le_bytes());
        bytes.extend(files.to_le_bytes());
        bytes.extend(retired.to_le_bytes());
        bytes.extend(len_u32(self.variants.len() / VARIANT_LEN).to_le_bytes());
        sections.iter().for_each(|section| bytes.extend_from_slice(section));
        let crc = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// Within bounds: 200,000 records with two paths of at most 960 bytes are 400 MB.
fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("MANIFEST_FILES_MAX keeps every section below 4 GiB")
}
