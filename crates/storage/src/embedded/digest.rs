//! Hashes over a body as it passes: MD5 for the ETag, and whatever checksum the client announced.
//!
//! The hash functions are those that `s3s` brings for its own signatures; nothing of the protocol is used.

use std::collections::BTreeMap;

use data_encoding::{BASE64, HEXLOWER};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(super) const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64nvme, Self::Sha1, Self::Sha256];

    /// Header or trailer that carries it, base64.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }
}

/// Base64, as clients send them.
pub(super) type Checksums = BTreeMap<Algorithm, String>;

/// Hashes in progress.
pub(super) struct Digests {
    md5: Md5,
    others: ChecksumHasher,
}

pub(super) struct Digested {
    pub(super) md5: [u8; 16],
    pub(super) checksums: Checksums,
}

impl Digests {
    pub(super) fn new(algorithms: &[Algorithm]) -> Self {
        let mut others = ChecksumHasher::default();
        for algorithm in algorithms {
            match algorithm {
                Algorithm::Crc32 => others.crc32 = Some(Crc32::new()),
                Algorithm::Crc32c => others.crc32c = Some(Crc32c::new()),
                Algorithm::Crc64nvme => others.crc64nvme = Some(Crc64Nvme::new()),
                Algorithm::Sha1 => others.sha1 = Some(Sha1::new()),
                Algorithm::Sha256 => others.sha256 = Some(Sha256::new()),
            }
        }
        Self { md5: Md5::new(), others }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.others.update(bytes);
    }

    pub(super) fn finish(self) -> Digested {
        let others = self.others.finalize();
        let checksums = [
            (Algorithm::Crc32, others.checksum_crc32),
            (Algorithm::Crc32c, others.checksum_crc32c),
            (Algorithm::Crc64nvme, others.checksum_crc64nvme),
            (Algorithm::Sha1, others.checksum_sha1),
            (Algorithm::Sha256, others.checksum_sha256),
        ];
        Digested {
            md5: self.md5.finalize(),
            checksums: checksums.into_iter().filter_map(|(name, sum)| Some((name, sum?))).collect(),
        }
    }
}

pub(super) fn etag_of(md5: &[u8; 16]) -> String {
    HEXLOWER.encode(md5)
}

/// S3's ETag of a multipart object: the MD5 of the parts' MD5s, and their number.
pub(super) fn multipart_etag(part_etags: &[String]) -> Option<String> {
    let mut md5 = Md5::new();
    for etag in part_etags {
        md5.update(&HEXLOWER.decode(etag.as_bytes()).ok()?);
    }
    Some(format!("{}-{}", etag_of(&md5.finalize()), part_etags.len()))
}

/// S3's composite checksum: the checksum of the parts' checksums, and their number.
pub(super) fn composite_checksum(algorithm: Algorithm, parts: &[&str]) -> Option<String> {
    let mut digests = Digests::new(&[algorithm]);
    for part in parts {
        digests.update(&BASE64.decode(part.as_bytes()).ok()?);
    }
    let sum = digests.finish().checksums.remove(&algorithm)?;
    Some(format!("{sum}-{}", parts.len()))
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    Crc32::checksum_u32(bytes)
}
