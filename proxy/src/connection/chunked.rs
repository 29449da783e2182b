//! The chunked coding (RFC 9112 §7.1), read strictly: every line ends with CR LF, sizes are plain hex digits,
//! extensions follow their grammar, trailers are header lines.

use bytes::{Buf, BytesMut};

use super::head::{field_line, is_token};
use crate::request::Refusal;

const SIZE: Refusal = Refusal::Malformed("a chunk does not begin with its size");
const END: Refusal = Refusal::Malformed("a chunk does not end where its size says");
const LINE: Refusal = Refusal::Malformed("a line of its chunked body is malformed");

/// Eight hex digits are 4 GiB, far more than any body here.
const SIZE_DIGITS_MAX: usize = 8;
/// A size and extensions. Nobody sends any; signatures of some upload protocols take about 90 bytes.
const SIZE_LINE_BYTES_MAX: usize = 256;
const TRAILER_BYTES_MAX: usize = 4 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data(usize),
    DataEnd,
    Trailers { bytes: usize },
}

#[derive(Debug)]
pub(crate) struct Chunks {
    state: State,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self { state: State::Size }
    }

    /// Takes what is there from the front of `unread`, and adds the data to `body`. Whether the body has ended.
    pub(crate) fn take(
        &mut self,
        unread: &mut BytesMut,
        body: &mut BytesMut,
        bytes_max: usize,
    ) -> Result<bool, Refusal> {
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = take_line(unread, SIZE_LINE_BYTES_MAX)? else { return Ok(false) };
                    self.state = match chunk_size(&line)? {
                        0 => State::Trailers { bytes: 0 },
                        size if size > bytes_max - body.len() => return Err(Refusal::BodyTooLarge),
                        size => State::Data(size),
                    };
                }
                State::Data(left) => {
                    let piece = unread.split_to(left.min(unread.len()));
                    body.extend_from_slice(&piece);
                    if piece.len() < left {
                        self.state = State::Data(left - piece.len());
                        return Ok(false);
                    }
                    self.state = State::DataEnd;
                }
                State::DataEnd => {
                    let there = &unread[..unread.len().min(2)];
                    if !b"\r\n".starts_with(there) {
                        return Err(END);
                    }
                    if there.len() < 2 {
                        return Ok(false);
                    }
                    unread.advance(2);
                    self.state = State::Size;
                }
                State::Trailers { bytes } => {
                    let Some(line) = take_line(unread, TRAILER_BYTES_MAX - bytes)? else { return Ok(false) };
                    if line.is_empty() {
                        return Ok(true);
                    }
                    field_line(&line)?;
                    self.state = State::Trailers { bytes: (bytes + line.len() + 2).min(TRAILER_BYTES_MAX) };
                }
            }
        }
    }
}

/// A line without its CR LF, once it is whole.
fn take_line(unread: &mut BytesMut, bytes_max: usize) -> Result<Option<BytesMut>, Refusal> {
    for (at, byte) in unread.iter().enumerate() {
        match byte {
            _ if at > bytes_max => return Err(LINE),
            b'\r' => match unread.get(at + 1) {
                Some(b'\n') => {
                    let line = unread.split_to(at);
                    unread.advance(2);
                    return Ok(Some(line));
                }
                Some(_) => return Err(LINE),
                None => return Ok(None),
            },
            b'\t' => {}
            byte if byte.is_ascii_control() => return Err(LINE),
            _ => {}
        }
    }
    Ok(None)
}

fn chunk_size(line: &[u8]) -> Result<usize, Refusal> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    let (digits, extensions) = line.split_at(end);
    if digits.is_empty() || digits.len() > SIZE_DIGITS_MAX || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(SIZE);
    }
    check_extensions(extensions)?;
    let digits = std::str::from_utf8(digits).map_err(|_| SIZE)?;
    usize::from_str_radix(digits, 16).map_err(|_| SIZE)
}

/// `;name`, `;name=token` or `;name="text"`, any number of them. Spaces around them are «bad whitespace» of old.
fn check_extensions(mut rest: &[u8]) -> Result<(), Refusal> {
    while let Some((b';', after)) = rest.split_first() {
        let end = after.iter().position(|byte| matches!(byte, b';' | b'=')).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        if !is_token(name) {
            return Err(SIZE);
        }
        rest = match after.split_first() {
            Some((b'=', value)) => behind_value(value).ok_or(SIZE)?,
            _ => after,
        };
    }
    if rest.is_empty() { Ok(()) } else { Err(SIZE) }
}

fn behind_value(value: &[u8]) -> Option<&[u8]> {
    let Some((b'"', mut text)) = value.split_first() else {
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        return is_token(&value[..end]).then(|| &value[end..]);
    };
    loop {
        match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] | [_, rest @ ..] => text = rest,
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, or what was read and what is left, both for all bytes at once and one by one.
    fn read(bytes: &[u8]) -> String {
        let summary = |pieces: Vec<&[u8]>| {
            let (mut chunks, mut unread, mut body) = (Chunks::new(), BytesMut::new(), BytesMut::new());
            let mut ended = false;
            for piece in pieces {
                unread.extend_from_slice(piece);
                if !ended {
                    match chunks.take(&mut unread, &mut body, 1000) {
                        Ok(end) => ended = end,
                        Err(refusal) => return refusal.status().as_u16().to_string(),
                    }
                }
            }
            let (body, unread) = (String::from_utf8_lossy(&body), String::from_utf8_lossy(&unread));
            if ended { format!("{body}|{unread}") } else { "more".to_owned() }
        };
        let whole = summary(vec![bytes]);
        assert_eq!(summary(bytes.chunks(1).collect()), whole, "{:?}", String::from_utf8_lossy(bytes));
        whole
    }

    #[test]
    fn a_chunked_body_is_read_in_one_way() {
        let cases: &[(&str, &str)] = &[
            ("5\r\nhello\r\n0\r\n\r\n", "hello|"),
            ("5\r\nhello\r\n0\r\n\r\nGET /", "hello|GET /"),
            ("1\r\na\r\nA\r\n0123456789\r\n000\r\n\r\n", "a0123456789|"),
            ("0\r\n\r\n", "|"),
            ("0\r\nX-Sum: 1\r\nY:\r\n\r\n", "|"),
            ("5;a;b=c;d=\"e;\\\"\"\r\nhello\r\n0\r\n\r\n", "hello|"),
            ("5\r\nhel", "more"),
            ("5\r\nhello\r\n0\r\n", "more"),
            ("", "more"),
            ("5\nhello\r\n0\r\n\r\n", "400"),
            ("5\r\nhello\n0\r\n\r\n", "400"),
            ("5\r\nhello\r\n0\r\n\n", "400"),
            ("5\rXhello", "400"),
            ("5\r\nhelloX\r\n", "400"),
            ("5\r\nhello!0\r\n\r\n", "400"),
            ("5;\nGET / HTTP/1.1\r\n", "400"),
            ("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", "400"),
            ("5;\r\nhello\r\n0\r\n\r\n", "400"),
            ("5;a=\r\nhello\r\n0\r\n\r\n", "400"),
            ("5;a=\"b\r\nhello\r\n0\r\n\r\n", "400"),
            ("5 ;a\r\nhello\r\n0\r\n\r\n", "400"),
            ("5 \r\nhello\r\n0\r\n\r\n", "400"),
            (" 5\r\nhello\r\n0\r\n\r\n", "400"),
            ("0x5\r\nhello\r\n0\r\n\r\n", "400"),
            ("+5\r\nhello\r\n0\r\n\r\n", "400"),
            ("-1\r\n", "400"),
            ("\r\n", "400"),
            ("g\r\n", "400"),
            ("100000005\r\nhello\r\n", "400"),
            ("FFFFFFFFFFFFFFFFF\r\n", "400"),
            ("0\r\n X: y\r\n\r\n", "400"),
            ("0\r\nX : y\r\n\r\n", "400"),
            ("0\r\nGET / HTTP/1.1\r\n\r\n", "400"),
            ("3e9\r\n", "413"),
            ("FFFFFFFF\r\n", "413"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read(bytes.as_bytes()), *expected, "{bytes:?}");
        }
        assert_eq!(read(format!("5;{}", "a".repeat(SIZE_LINE_BYTES_MAX)).as_bytes()), "400");
        assert_eq!(read(format!("0\r\nX: {}\r\n", "a".repeat(TRAILER_BYTES_MAX)).as_bytes()), "400");
        assert_eq!(read(format!("0\r\n{}", "X: y\r\n".repeat(TRAILER_BYTES_MAX)).as_bytes()), "400");
    }
}
