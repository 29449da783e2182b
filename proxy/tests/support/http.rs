//! A client that sends exactly the bytes it is given.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// As many bytes came as `Content-Length` said.
    pub is_whole: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// `200 body`, for comparisons.
    pub fn summary(&self) -> String {
        format!("{} {}", self.status, self.text())
    }

    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Self { status, head, body: Vec::new(), is_whole: true };
        let declared = answer.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        let body = &bytes[end..bytes.len().min(end + declared)];
        answer.body = body.to_vec();
        answer.is_whole = body.len() == declared;
        let len = end + body.len();
        Some((answer, len))
    }

    /// Every answer in what came on a connection.
    fn parse_all(mut bytes: &[u8]) -> Vec<Self> {
        let mut answers = Vec::new();
        while let Some((answer, len)) = Self::parse(bytes) {
            answers.push(answer);
            bytes = &bytes[len..];
        }
        answers
    }
}

/// Sends and reads until the server closes, or is silent for long.
pub async fn ask_all(addr: SocketAddr, request: &[u8]) -> Vec<Answer> {
    Answer::parse_all(&exchange(addr, request).await)
}

pub async fn ask(addr: SocketAddr, request: &[u8]) -> Answer {
    let bytes = exchange(addr, request).await;
    let parsed = Answer::parse(&bytes);
    parsed.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&bytes))).0
}

pub async fn exchange(addr: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    // An error is an abrupt end, which some tests are about.
    let read = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "the connection stays open after {:?}", String::from_utf8_lossy(&bytes));
    bytes
}

/// A connection for several requests.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub async fn open(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), read: Vec::new() }
    }

    /// With a small window, so that little is under way when the client stops to read.
    pub async fn open_narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        Self { stream: socket.connect(addr).await.unwrap(), read: Vec::new() }
    }

    pub async fn send(&mut self, request: &str) {
        self.send_bytes(request.as_bytes()).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Whether the server still takes anything.
    pub async fn try_send(&mut self, request: &str) -> bool {
        self.try_send_bytes(request.as_bytes()).await
    }

    pub async fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// One byte in each interval, until all are sent or the server has had enough.
    pub async fn drip(&mut self, bytes: &[u8], interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        for byte in bytes {
            ticks.tick().await;
            if self.stream.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    }

    /// Nothing more will be sent.
    pub async fn finish(&mut self) {
        // The server may have closed first.
        let _ = self.stream.shutdown().await;
    }

    /// Some of what comes; nothing at the end.
    pub async fn some(&mut self, bytes_max: usize) -> Vec<u8> {
        let mut buffer = vec![0; bytes_max];
        let read = tokio::time::timeout(Duration::from_secs(15), self.stream.read(&mut buffer)).await;
        let bytes = read.unwrap().unwrap_or(0);
        buffer.truncate(bytes);
        buffer
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.read);
        let read = tokio::time::timeout(Duration::from_secs(15), self.stream.read_to_end(&mut bytes)).await;
        assert!(read.is_ok(), "the connection stays open after {:?}", String::from_utf8_lossy(&bytes));
        bytes
    }

    /// Every answer up to the end of the connection.
    pub async fn answers(&mut self) -> Vec<Answer> {
        Answer::parse_all(&self.rest().await)
    }

    /// The next whole answer; `None` when the connection ends first.
    pub async fn answer(&mut self) -> Option<Answer> {
        let read = async {
            loop {
                if let Some((answer, len)) = Answer::parse(&self.read).filter(|(answer, _)| answer.is_whole) {
                    self.read.drain(..len);
                    return Some(answer);
                }
                let mut buffer = [0; 4096];
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(n) => self.read.extend(&buffer[..n]),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(15), read).await.unwrap()
    }
}
