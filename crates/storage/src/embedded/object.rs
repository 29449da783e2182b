//! One object = one file: the body, then a footer with everything else.
//!
//! ```text
//! body | footer as JSON | length of the JSON, u32 | CRC-32 of the JSON, u32 | magic, 8 bytes
//! ```
//!
//! One file, so that one rename switches body and metadata together and a reader with an open file has one
//! version of both. A footer and not a header, because the ETag is known only after the last byte, and because
//! a body that starts at offset 0 needs no arithmetic for ranges. A small object is read whole by one read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::digest::{self, Checksums};
use super::error::StoreError;

const MAGIC: &[u8; 8] = b"loggia1\n";

/// Length, CRC and magic.
const TAIL_LEN: usize = 4 + 4 + 8;

/// S3 allows 2 KiB of user metadata and 8 KiB of headers in all; in JSON that at most doubles.
const FOOTER_LEN_MAX: usize = 16 * 1024;

/// The first try at a footer: one page holds nearly all of them.
const FOOTER_READ_LEN: usize = 4096;

/// Files up to this size are read by one call, metadata and body, on one trip to a blocking thread. It covers
/// most files of a site; 64 concurrent reads hold at most 16 MiB.
const READ_WHOLE_MAX: usize = 256 * 1024;

/// Headers that the client gave and gets back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ObjectHeaders {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<String>,
    /// `x-amz-meta-*`, without that prefix.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) user: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ObjectMeta {
    pub(super) size_bytes: u64,
    /// Without quotes.
    pub(super) etag: String,
    /// Since the Unix epoch.
    pub(super) modified_ms: u64,
    pub(super) headers: ObjectHeaders,
    /// Those that the client sent, and that were found right.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) checksums: Checksums,
}

impl ObjectMeta {
    pub(super) fn encode_footer(&self) -> Result<Vec<u8>, StoreError> {
        let mut footer = serde_json::to_vec(self).map_err(io::Error::from)?;
        if footer.len() > FOOTER_LEN_MAX {
            return Err(StoreError::MetadataTooLarge);
        }
        let len = u32::try_from(footer.len()).map_err(|_| StoreError::MetadataTooLarge)?;
        let crc = digest::crc32(&footer);
        footer.extend_from_slice(&len.to_be_bytes());
        footer.extend_from_slice(&crc.to_be_bytes());
        footer.extend_from_slice(MAGIC);
        Ok(footer)
    }

    /// Decodes the footer at the end of `bytes`, which end where the file of `file_len` bytes ends.
    fn decode_footer(bytes: &[u8], file_len: u64) -> Result<Self, FooterError> {
        let (before, tail) = bytes.split_last_chunk::<TAIL_LEN>().ok_or(FooterError::Damaged)?;
        let [l0, l1, l2, l3, c0, c1, c2, c3, magic @ ..] = *tail;
        let json_len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if magic != *MAGIC || json_len > FOOTER_LEN_MAX {
            return Err(FooterError::Damaged);
        }
        let Some(start) = before.len().checked_sub(json_len) else {
            return Err(FooterError::NeedsBytes(json_len + TAIL_LEN));
        };
        let json = &before[start..];
        if digest::crc32(json) != u32::from_be_bytes([c0, c1, c2, c3]) {
            return Err(FooterError::Damaged);
        }
        let meta: Self = serde_json::from_slice(json).map_err(|_| FooterError::Damaged)?;
        if meta.size_bytes + (json_len + TAIL_LEN) as u64 != file_len {
            return Err(FooterError::Damaged);
        }
        Ok(meta)
    }
}

enum FooterError {
    NeedsBytes(usize),
    Damaged,
}

/// An object as it was when it was opened, whatever happens to its key afterwards.
#[derive(Debug)]
pub(super) struct OpenObject {
    pub(super) meta: ObjectMeta,
    pub(super) body: OpenBody,
}

#[derive(Debug)]
pub(super) enum OpenBody {
    Whole(Bytes),
    /// The body starts at offset 0.
    File(Arc<File>),
}

/// `None`: there is no such object.
pub(super) fn open(path: &Path) -> Result<Option<OpenObject>, StoreError> {
    let Some((file, file_len)) = open_file(path)? else {
        return Ok(None);
    };
    let file_size = usize::try_from(file_len).unwrap_or(usize::MAX);
    if file_size > READ_WHOLE_MAX {
        let meta = read_footer(&file, file_len, path)?;
        return Ok(Some(OpenObject { meta, body: OpenBody::File(Arc::new(file)) }));
    }
    let mut bytes = Vec::with_capacity(file_size);
    (&file).take(file_len).read_to_end(&mut bytes)?;
    let meta = ObjectMeta::decode_footer(&bytes, file_len).map_err(|_| damaged(path))?;
    // Cannot exceed the file's size, which the footer was checked against.
    bytes.truncate(usize::try_from(meta.size_bytes).unwrap_or(usize::MAX));
    Ok(Some(OpenObject { meta, body: OpenBody::Whole(Bytes::from(bytes)) }))
}

/// Only the metadata; the body of a large object is not touched.
pub(super) fn read_meta(path: &Path) -> Result<Option<ObjectMeta>, StoreError> {
    let Some((file, file_len)) = open_file(path)? else {
        return Ok(None);
    };
    read_footer(&file, file_len, path).map(Some)
}

/// Metadata, and the file to copy the body from.
pub(super) fn open_for_copy(path: &Path) -> Result<Option<(ObjectMeta, File)>, StoreError> {
    let Some((file, file_len)) = open_file(path)? else {
        return Ok(None);
    };
    let meta = read_footer(&file, file_len, path)?;
    Ok(Some((meta, file)))
}

fn open_file(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let len = file.metadata()?.len();
            Ok(Some((file, len)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_footer(file: &File, file_len: u64, path: &Path) -> Result<ObjectMeta, StoreError> {
    match ObjectMeta::decode_footer(&read_end(file, file_len, FOOTER_READ_LEN)?, file_len) {
        Err(FooterError::NeedsBytes(len)) => {
            let end = read_end(file, file_len, len)?;
            ObjectMeta::decode_footer(&end, file_len).map_err(|_| damaged(path))
        }
        decoded => decoded.map_err(|_| damaged(path)),
    }
}

fn read_end(file: &File, file_len: u64, len: usize) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file_len).unwrap_or(usize::MAX).min(len);
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, file_len - len as u64)?;
    Ok(bytes)
}

fn damaged(path: &Path) -> StoreError {
    StoreError::Damaged(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_an_error_and_never_another_body() {
        let meta = ObjectMeta {
            size_bytes: 5,
            etag: "e".to_owned(),
            modified_ms: 1,
            headers: ObjectHeaders::default(),
            checksums: Checksums::new(),
        };
        let mut good = b"hello".to_vec();
        good.extend(meta.encode_footer().expect("it is small"));

        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("object");
        let open_bytes = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("write");
            open(&path)
        };
        let object = open_bytes(&good).expect("not damaged").expect("present");
        assert_eq!(object.meta, meta);

        for cut in 0..good.len() {
            assert!(matches!(open_bytes(&good[..cut]), Err(StoreError::Damaged(_))), "cut to {cut}");
            assert!(
                matches!(open_bytes(&good[good.len() - cut..]), Err(StoreError::Damaged(_))),
                "last {cut}"
            );
        }
        for flipped in 5..good.len() {
            let mut bad = good.clone();
            bad[flipped] ^= 1;
            assert!(matches!(open_bytes(&bad), Err(StoreError::Damaged(_))), "byte {flipped}");
        }
    }
}
