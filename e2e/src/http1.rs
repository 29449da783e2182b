//! A client that sends a request as it is written, and changes nothing about the answer.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct RawAnswer {
    pub status: u16,
    /// Names in lower case; lines of one name are joined by commas.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// One request on a connection of its own. `headers` have to name the host.
pub async fn ask(port: u16, method: &str, target: &str, headers: &[(String, String)]) -> RawAnswer {
    exchange(port, method, target, headers, "Connection: close\r\n").await
}

/// As [`ask`], by a client that says nothing of its connection, and just sends no more.
pub async fn ask_plainly(port: u16, method: &str, target: &str, headers: &[(String, String)]) -> RawAnswer {
    exchange(port, method, target, headers, "").await
}

async fn exchange(
    port: u16,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    last: &str,
) -> RawAnswer {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {target} HTTP/1.1\r\n{lines}{last}\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        if last.is_empty() {
            stream.shutdown().await.unwrap();
        }
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    };
    let bytes = tokio::time::timeout(WITHIN, exchange).await.unwrap();
    parse(&bytes).unwrap_or_else(|| panic!("{head}: {}", String::from_utf8_lossy(&bytes)))
}

fn parse(bytes: &[u8]) -> Option<RawAnswer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let (first, lines) = head.split_once("\r\n")?;
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for line in lines.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        let joined = headers.entry(name.to_ascii_lowercase()).or_default();
        *joined = [joined.as_str(), value.trim()].join(if joined.is_empty() { "" } else { ", " });
    }
    let body = bytes[end + 4..].to_vec();
    Some(RawAnswer { status: first.split(' ').nth(1)?.parse().ok()?, headers, body })
}

impl RawAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The body without its coding.
    pub fn decoded(&self) -> Vec<u8> {
        let mut content = Vec::new();
        let read = match self.header("content-encoding") {
            Some("br") => brotli::Decompressor::new(&*self.body, 4096).read_to_end(&mut content),
            Some("zstd") => zstd::Decoder::new(&*self.body).unwrap().read_to_end(&mut content),
            Some("gzip") => flate2::read::GzDecoder::new(&*self.body).read_to_end(&mut content),
            Some(coding) => panic!("an unknown coding: {coding}"),
            None => return self.body.clone(),
        };
        read.unwrap();
        content
    }
}
