//! The body of an HTTP/1 request, read whole before anything answers.
//!
//! A site takes no bodies. A small one is read all the same, because it keeps the connection, and because a body that
//! is left unread after an early answer would be the next request (CVE-2025-4366). Whoever stands behind gets the
//! request with its whole body and one plain Content-Length.

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;

use super::chunked::Chunks;
use super::client::Client;
use super::framing::Framing;
use super::head::Head;
use crate::request::Refusal;

/// What a stray form or JSON body has. Reading it keeps the connection; more is refused and the connection closed.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Data, and the lines between: one for every 16 bytes, say. Whoever sends single bytes gets less far.
const RAW_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;

const CUT: Refusal = Refusal::Malformed("it ended before its body did");

/// Fields that a request does not need once its body is there.
const ABOUT_THE_BODY: [&[u8]; 5] = [b"content-length", b"transfer-encoding", b"expect", b"trailer", b"te"];

/// Reads the body that belongs to a head. What follows it stays in `unread`.
pub(crate) async fn read(
    client: &mut Client,
    unread: &mut BytesMut,
    head: Head,
) -> Result<BytesMut, Refusal> {
    let mut body = BytesMut::new();
    let mut framed = Framed::of(head.framing)?;
    let mut raw = 0;
    let mut may_wait = head.expects_continue;
    loop {
        let before = unread.len();
        if framed.take(unread, &mut body)? {
            return Ok(body);
        }
        raw += before - unread.len();
        if raw > RAW_BYTES_MAX {
            return Err(Refusal::BodyTooLarge);
        }
        if std::mem::take(&mut may_wait) && unread.is_empty() && body.is_empty() {
            let written = client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            written.and(client.flush().await).map_err(|_| CUT)?;
        }
        if !matches!(client.read_more(unread).await, Ok(1..)) {
            return Err(CUT);
        }
    }
}

#[derive(Debug)]
enum Framed {
    Length(usize),
    Chunked(Chunks),
}

impl Framed {
    fn of(framing: Framing) -> Result<Self, Refusal> {
        match framing {
            Framing::Nothing => Ok(Self::Length(0)),
            Framing::Length(bytes) => match usize::try_from(bytes) {
                Ok(bytes) if bytes <= BODY_BYTES_MAX => Ok(Self::Length(bytes)),
                _ => Err(Refusal::BodyTooLarge),
            },
            Framing::Chunked => Ok(Self::Chunked(Chunks::new())),
        }
    }

    /// Takes what is there. Whether the body has ended.
    fn take(&mut self, unread: &mut BytesMut, body: &mut BytesMut) -> Result<bool, Refusal> {
        match self {
            Self::Length(length) => {
                let piece = unread.split_to(unread.len().min(*length - body.len()));
                body.extend_from_slice(&piece);
                Ok(body.len() == *length)
            }
            Self::Chunked(chunks) => chunks.take(unread, body, BODY_BYTES_MAX),
        }
    }
}

/// The request with its body, as somebody would send it who knew the length from the start.
pub(crate) fn with_length(head: &[u8], body: &[u8]) -> BytesMut {
    let mut request = BytesMut::with_capacity(head.len() + body.len() + 32);
    let mut rest = head;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..=end];
        rest.advance(end + 1);
        if line == b"\r\n" {
            break;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or(line);
        if !ABOUT_THE_BODY.iter().any(|about| name.eq_ignore_ascii_case(about)) {
            request.extend_from_slice(line);
        }
    }
    request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_rewritten_to_one_plain_length() {
        let head = b"POST /a:b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nEXPECT: 100-continue\r\nX: y\r\n\r\n";
        let expected = "POST /a:b HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(String::from_utf8_lossy(&with_length(head, b"hi")), expected);
    }
}
