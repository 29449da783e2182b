//! Several ranges in one body: `multipart/byteranges` (RFC 9110 §14.6).

use http::HeaderValue;
use loggia_types::manifest::Entry;

use crate::decide::{ByteRange, Ranges};

/// Where the parts of a body begin and end. The bytes between come from the store.
#[derive(Debug, Clone)]
pub struct Multipart {
    boundary: String,
    /// Of each part.
    content_type: Option<HeaderValue>,
    ranges: Ranges,
    file_bytes: u64,
}

impl Multipart {
    pub(crate) fn new(entry: &Entry<'_>, ranges: Ranges, content_type: Option<&HeaderValue>) -> Self {
        // No file holds its own SHA-256, so this line is in none of its ranges.
        let boundary = format!("loggia-{}", &entry.hash().to_hex()[..40]);
        Self { boundary, content_type: content_type.cloned(), ranges, file_bytes: entry.size() }
    }

    /// The `Content-Type` of the whole.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    pub fn ranges(&self) -> &[ByteRange] {
        self.ranges.as_slice()
    }

    /// What stands before the bytes of a range.
    pub fn part_head(&self, range: ByteRange) -> Vec<u8> {
        let is_first = self.ranges().first() == Some(&range);
        let mut head = Vec::with_capacity(160);
        head.extend(if is_first { &b"--"[..] } else { b"\r\n--" });
        head.extend(self.boundary.as_bytes());
        if let Some(content_type) = &self.content_type {
            head.extend(b"\r\nContent-Type: ");
            head.extend(content_type.as_bytes());
        }
        let ByteRange { first, last } = range;
        head.extend(
            format!("\r\nContent-Range: bytes {first}-{last}/{}\r\n\r\n", self.file_bytes).as_bytes(),
        );
        head
    }

    /// What stands behind the last range.
    pub fn end(&self) -> Vec<u8> {
        format!("\r\n--{}--\r\n", self.boundary).into_bytes()
    }

    /// Of the whole body.
    pub fn size_bytes(&self) -> u64 {
        let part = |range: &ByteRange| self.part_head(*range).len() as u64 + range.size_bytes();
        self.ranges().iter().map(part).sum::<u64>() + self.end().len() as u64
    }
}
