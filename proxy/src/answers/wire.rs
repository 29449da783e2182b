//! Heads as HTTP/1.1 sends them: a part that is the same each time, and a few lines that are not.

use std::io::Write as _;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pingora::protocols::http::date::get_cached_date;

use crate::record::RequestId;

/// Status line and headers, each with its line end; the empty line at the end is not there.
pub(super) fn head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut head = Vec::with_capacity(1024);
    // Writing into memory does not fail.
    let _ =
        write!(head, "HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.into()
}

/// What differs each time an answer is sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extra {
    pub age_secs: Option<u64>,
    /// How often this file was sent from memory, this time included.
    pub hits: Option<u64>,
}

/// The most that [`Extra::lines`] writes: four names, a date, an id, two numbers and line ends.
const LINES_BYTES_MAX: usize = 256;

impl Extra {
    /// The lines that differ, and the end of the head.
    pub(crate) fn lines(self, id: RequestId, into: &mut Vec<u8>) {
        into.reserve(LINES_BYTES_MAX);
        into.extend_from_slice(b"date: ");
        into.extend_from_slice(get_cached_date().as_bytes());
        into.extend_from_slice(b"\r\nx-request-id: ");
        into.extend_from_slice(&id.hex());
        for (name, number) in [(&b"\r\nage: "[..], self.age_secs), (b"\r\nx-cache-hits: ", self.hits)] {
            if let Some(number) = number {
                into.extend_from_slice(name);
                into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            }
        }
        into.extend_from_slice(b"\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::{ETAG, VARY};

    #[test]
    fn a_head_is_its_fixed_part_and_its_lines() {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::from_static("\"a\""));
        headers.append(VARY, HeaderValue::from_static("a"));
        headers.append(VARY, HeaderValue::from_static("b"));
        let mut bytes = head(StatusCode::OK, &headers).to_vec();
        let id = crate::record::Record::default().id;
        Extra { age_secs: Some(0), hits: Some(u64::MAX) }.lines(id, &mut bytes);
        let text = String::from_utf8(bytes).expect("ASCII");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\netag: \"a\"\r\nvary: a\r\nvary: b\r\ndate: "), "{text}");
        let end = format!("\r\nx-request-id: {id}\r\nage: 0\r\nx-cache-hits: {}\r\n\r\n", u64::MAX);
        assert!(text.ends_with(&end), "{text}");
    }
}
