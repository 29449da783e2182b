//! The head of an HTTP/1 request: where it ends, and whether every byte of it means one thing only (RFC 9112).
//!
//! Stricter than the parser behind it on purpose: what two parsers can read in two ways is refused here, before
//! anything looks at it. Pure: bytes in, a [`Head`] or a [`Refusal`] out.

use std::net::Ipv6Addr;
use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, Request, Status};
use memchr::{memchr, memrchr};
use pingora::http::RequestHeader;

use super::framing::{self, Framing};
use crate::answers::Fields;
use crate::at_hand::Plain;
use crate::request::{HEAD_BYTES_MAX, HEADERS_MAX, Refusal, TARGET_BYTES_MAX, agreed_host, lists};

/// The longest method in the IANA registry, UPDATEREDIRECTREF, has 17 letters.
const METHOD_BYTES_MAX: usize = 32;

/// A method, a target and a version, with the spaces between them.
const REQUEST_LINE_BYTES_MAX: usize = METHOD_BYTES_MAX + 1 + TARGET_BYTES_MAX + 1 + "HTTP/1.1".len();

/// What RFC 3986 §3.3 and §3.4 allow in a path and a query.
const PLAIN: &[u8] = b"-._~/%?!$&'()*+,;=:@";

const REQUEST_LINE: Refusal = Refusal::Malformed("its first line is not «method target HTTP/1.1»");
const LINE_END: Refusal = Refusal::Malformed("its lines must end with CR and LF");
const CONTROL: Refusal = Refusal::Malformed("it contains a control character");
const FIELD: Refusal = Refusal::Malformed("one of its header lines is not «name: value»");
const TARGET: Refusal = Refusal::Malformed("its address is neither a path nor a URL");

/// Looks for the end of a head while it arrives.
///
/// What can be refused is refused with the bytes that show it: a client that ends its lines with LF alone would
/// otherwise wait for an answer until the deadline.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Where the head starts: behind an empty line, which some clients send after a body (RFC 9112 §2.2).
    start: usize,
    line_start: usize,
    seen: usize,
    lines: usize,
}

impl Scan {
    /// The place of the whole head in `bytes`, once it is there. `bytes` only ever grows between calls.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Option<Range<usize>>, Refusal> {
        while let Some(at) = memchr(b'\n', &bytes[self.seen..]) {
            let end = self.seen + at;
            let line = bytes[self.line_start..end].strip_suffix(b"\r").ok_or(LINE_END)?;
            check_text(line)?;
            self.seen = end + 1;
            if self.end_line(line)? {
                return Ok(Some(self.start..self.seen));
            }
        }
        let line = &bytes[self.line_start..];
        // Whether its CR is a line's end, the next byte says.
        let text_end = bytes.len() - usize::from(line.ends_with(b"\r"));
        check_text(&bytes[self.seen..text_end])?;
        self.seen = text_end;
        self.check_size(line, bytes.len())?;
        Ok(None)
    }

    /// Whether this line is the empty one that ends a head.
    fn end_line(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        self.line_start = self.seen;
        match (self.lines, line) {
            (0, b"") if self.start == 0 => {
                self.start = self.seen;
                return Ok(false);
            }
            (0, line) => drop(request_line(line)?),
            (_, b"") => return self.check_size(line, self.seen).map(|()| true),
            (_, line) => drop(field_line(line)?),
        }
        self.lines += 1;
        self.check_size(line, self.seen)?;
        Ok(false)
    }

    fn check_size(&self, line: &[u8], seen: usize) -> Result<(), Refusal> {
        if self.lines == 0 && line.len() > REQUEST_LINE_BYTES_MAX {
            return Err(too_long(line));
        }
        if self.lines > HEADERS_MAX + 1 || seen - self.start > HEAD_BYTES_MAX {
            return Err(Refusal::HeadTooLarge);
        }
        Ok(())
    }
}

/// No control characters but tabs. Without a branch for each byte, so that many are looked at in one step.
fn check_text(line: &[u8]) -> Result<(), Refusal> {
    let is_text =
        line.iter().fold(true, |is_text, byte| is_text & (*byte >= b' ' || *byte == b'\t') & (*byte != 0x7f));
    match is_text {
        true => Ok(()),
        false if line.contains(&b'\r') => Err(LINE_END),
        false => Err(CONTROL),
    }
}

/// What is too long about a first line.
fn too_long(line: &[u8]) -> Refusal {
    let method = line.iter().position(|byte| *byte == b' ');
    if method.is_some_and(|at| at <= METHOD_BYTES_MAX) { Refusal::TargetTooLong } else { REQUEST_LINE }
}

/// What stands between exactly two spaces.
fn three_parts(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (first, last) = (memchr(b' ', line)?, memrchr(b' ', line)?);
    let target = line.get(first + 1..last)?;
    memchr(b' ', target).is_none().then(|| (&line[..first], target, &line[last + 1..]))
}

fn request_line(line: &[u8]) -> Result<(), Refusal> {
    let Some((method, target, version)) = three_parts(line) else {
        return Err(if line.len() > REQUEST_LINE_BYTES_MAX { too_long(line) } else { REQUEST_LINE });
    };
    let is_method = !method.is_empty() && method.len() <= METHOD_BYTES_MAX && is_token(method);
    // PRI is how HTTP/2 begins, which is only spoken over TLS here.
    if !is_method || method == b"PRI" || target.is_empty() || target.contains(&b'\t') {
        return Err(REQUEST_LINE);
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal::TargetTooLong);
    }
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Refusal::Version),
        _ => Err(REQUEST_LINE),
    }
}

/// Name and value of a header or trailer line. A line that begins with a space continues the one above it (obs-fold),
/// which no client needs and proxies disagree about.
pub(crate) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let (name, value) = name_and_value(line).ok_or(FIELD)?;
    if is_token(name) { Ok((name, value)) } else { Err(FIELD) }
}

fn name_and_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| IN_TOKEN[usize::from(*byte)])
}

const IN_TOKEN: [bool; 256] = {
    let mut is_in = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        is_in[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut others: &[u8] = b"!#$%&'*+-.^_`|~";
    while let [byte, rest @ ..] = others {
        is_in[*byte as usize] = true;
        others = rest;
    }
    is_in
};

/// What has to be known of a head to read what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub framing: Framing,
    /// The client waits for our word before it sends its body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
}

/// Reads a head that passed [`Scan`], if it is a plain GET: nothing in it asks for more than the answer to its address.
///
/// It refuses nothing. Whatever it does not understand is left to [`check`], which a request has passed before with the
/// very same host and address when there is an answer to this one.
pub(crate) fn plain(scanned: &[u8]) -> Option<Plain<'_>> {
    let line_end = memchr(b'\r', scanned)?;
    let (line, mut rest) = (&scanned[..line_end], &scanned[line_end..]);
    let target = line.strip_prefix(b"GET ")?.strip_suffix(b" HTTP/1.1")?;
    if !target.starts_with(b"/") {
        return None;
    }
    let mut host = None;
    let mut plain = Plain {
        protocol: "HTTP/1.1",
        host: b"",
        target,
        fields: Fields::default(),
        user_agent: None,
        referer: None,
        forwarded_for: None,
        forwarded_proto: None,
    };
    // A CR is nowhere but before an LF.
    while let Some(next) = rest.strip_prefix(b"\r\n") {
        let line_end = memchr(b'\r', next)?;
        let line = &next[..line_end];
        rest = &next[line_end..];
        if line.is_empty() {
            break;
        }
        let (name, value) = name_and_value(line)?;
        let once = match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => &mut host,
            7 if name.eq_ignore_ascii_case(b"referer") => &mut plain.referer,
            10 if name.eq_ignore_ascii_case(b"user-agent") => &mut plain.user_agent,
            15 if name.eq_ignore_ascii_case(b"x-forwarded-for") => &mut plain.forwarded_for,
            17 if name.eq_ignore_ascii_case(b"x-forwarded-proto") => &mut plain.forwarded_proto,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                if !value.eq_ignore_ascii_case(b"keep-alive") {
                    return None;
                }
                continue;
            }
            _ if NOT_PLAIN.iter().any(|other| name.eq_ignore_ascii_case(other)) => return None,
            _ => {
                plain.fields.note(name, value);
                continue;
            }
        };
        if once.replace(value).is_some() {
            return None;
        }
    }
    plain.host = host?;
    Some(plain)
}

/// A body, another protocol, or a person who looks behind the curtain.
const NOT_PLAIN: [&[u8]; 6] =
    [b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"http2-settings", b"fastly-debug"];

/// Checks a whole head, from its first byte to the empty line.
pub(crate) fn check(bytes: &[u8]) -> Result<Head, Refusal> {
    let mut fields = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(Status::Complete(len)) if len == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Ok(_) | Err(_) => return Err(FIELD),
    }
    let target = request.path.unwrap_or_default().as_bytes();
    let method = request.method.unwrap_or_default();
    let is_http_10 = request.version == Some(0);
    let fields: &[Header<'_>] = request.headers;

    let framing =
        framing::of(values(fields, "content-length"), values(fields, "transfer-encoding"), is_http_10)?;
    if matches!(method, "CONNECT" | "TRACE") {
        return Err(Refusal::Method);
    }
    check_target(method, target)?;
    check_host(target, fields, is_http_10)?;
    let upgrades = values(fields, "upgrade").chain(values(fields, "http2-settings")).next().is_some();
    if upgrades || values(fields, "connection").any(|line| lists(line, "upgrade")) {
        return Err(Refusal::Upgrade);
    }
    let expects_continue = expectation(values(fields, "expect"), is_http_10)?;
    Ok(Head { framing, expects_continue })
}

fn values<'h>(fields: &'h [Header<'h>], name: &'static str) -> impl Iterator<Item = &'h [u8]> + Clone {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value.trim_ascii())
}

/// RFC 9112 §3.2: a path, a URL, or `*` for OPTIONS (which is answered like OPTIONS of a path).
fn check_target(method: &str, target: &[u8]) -> Result<(), Refusal> {
    let is_url = ["http://", "https://"].iter().any(|scheme| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
    });
    let is_known = target.starts_with(b"/") || is_url || (target == b"*" && method == "OPTIONS");
    // Rare bytes are left to the judgement of the library, which has its own set and a bare page for the others.
    let is_plain = || target.iter().all(|byte| byte.is_ascii_alphanumeric() || PLAIN.contains(byte));
    let is_read = || is_plain() || RequestHeader::build_no_case(method, target, None).is_ok();
    // A fragment is never sent (RFC 9112 §3.2.1): some readers cut it off, others take it for a part of the path.
    if is_known && !target.contains(&b'#') && is_read() { Ok(()) } else { Err(TARGET) }
}

fn check_host(target: &[u8], fields: &[Header<'_>], is_http_10: bool) -> Result<(), Refusal> {
    let mut hosts = values(fields, "host");
    let (first, second) = (hosts.clone().next(), hosts.clone().nth(1));
    match (first, second) {
        // HTTP/1.0 did not know the field: a health check may come without.
        (None, _) if is_http_10 => Ok(()),
        (None, _) => Err(Refusal::Host),
        // No site lives there, but a load balancer asks for our health by address.
        (Some(host), None) if target.starts_with(b"/") && is_ipv6_literal(host) => Ok(()),
        _ => agreed_host(target, None, &mut hosts).map(drop),
    }
}

fn is_ipv6_literal(host: &[u8]) -> bool {
    let Some((address, port)) = std::str::from_utf8(host)
        .ok()
        .and_then(|host| host.strip_prefix('['))
        .and_then(|host| host.split_once(']'))
    else {
        return false;
    };
    let has_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(has_port))
}

/// HTTP/1.0 has no expectations; a server ignores them there (RFC 9110 §10.1.1).
fn expectation<'h>(mut lines: impl Iterator<Item = &'h [u8]>, is_http_10: bool) -> Result<bool, Refusal> {
    match (lines.next(), lines.next()) {
        _ if is_http_10 => Ok(false),
        (None, _) => Ok(false),
        (Some(line), None) if line.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Refusal::Expectation),
    }
}

#[cfg(test)]
mod tests;
