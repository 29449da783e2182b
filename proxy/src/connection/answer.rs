//! Answers to what never becomes a request, and the end of a connection.

use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use http::header::{ACCEPT, CONNECTION, DATE};
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::Client;
use crate::request::Refusal;

/// Closing a socket with unread bytes resets it, and a reset may overtake the answer (RFC 9112 §9.6). So we read on
/// for as long as an answer needs to arrive, and as much as was probably on its way.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Answers a request that was refused and ends the connection. `seen` is what came of it.
pub(crate) async fn refuse(mut client: Client, refusal: Refusal, seen: &[u8]) {
    let answer = answer(refusal, seen);
    if client.write_all(&answer).await.is_ok() {
        close(client).await;
    }
}

fn answer(refusal: Refusal, seen: &[u8]) -> Vec<u8> {
    let (mut parts, body) = refusal.page().into_answer(&accept(seen));
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())) {
        parts.headers.insert(DATE, date);
    }
    let reason = parts.status.canonical_reason().unwrap_or_default();
    let mut answer = format!("HTTP/1.1 {} {reason}\r\n", parts.status.as_u16()).into_bytes();
    for (name, value) in &parts.headers {
        answer.extend_from_slice(name.as_str().as_bytes());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    if !seen.starts_with(b"HEAD ") {
        answer.extend_from_slice(&body);
    }
    answer
}

/// What the client would like to get, as far as that can be told of a request that may be no request.
fn accept(seen: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in seen.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (true, Ok(value)) = (line[..colon].eq_ignore_ascii_case(b"accept"), value) {
            headers.append(ACCEPT, value);
        }
    }
    headers
}

/// Ends a connection on which nothing is under way.
pub(crate) async fn leave(mut client: Client) {
    // A client that does not even take our goodbye loses nothing.
    let _ = tokio::time::timeout(LINGER, client.shutdown()).await;
}

/// Says that nothing more comes, and drops what the client still sends.
pub(crate) async fn close(mut client: Client) {
    let end = async {
        client.shutdown().await?;
        let mut dropped = BytesMut::with_capacity(16 * 1024);
        let mut total = 0;
        loop {
            dropped.clear();
            match client.read_buf(&mut dropped).await? {
                0 => return std::io::Result::Ok(()),
                bytes => total += bytes,
            }
            if total > LINGER_BYTES_MAX {
                return Ok(());
            }
        }
    };
    // Whether the client listens to the end is its own affair.
    let _ = tokio::time::timeout(LINGER, end).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_speaks_the_language_that_was_asked_for() {
        let text = |seen: &str| String::from_utf8_lossy(&answer(Refusal::Host, seen.as_bytes())).into_owned();
        let html = text("\u{0}garbage");
        assert!(html.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{html}");
        assert!(html.contains("connection: close\r\n") && html.contains("date: "), "{html}");
        assert!(html.contains("<!doctype html>"), "{html}");
        let json = text("GET / HTTP/1.1\r\naccept : x\r\nAccept: application/json\r\n\r\n");
        assert!(json.contains("\r\n\r\n{\"code\""), "{json}");
        assert!(text("HEAD / HTTP/1.1\r\n").ends_with("\r\n\r\n"));
    }
}
