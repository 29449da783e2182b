//! One visitor over HTTP/1.1, who reads every answer to its end and tries nothing again: what is refused or cut is seen.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::site::Page;

/// Nobody looks at a page that does not come for longer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// No head that is answered here is longer; pieces of bodies are at most as long.
const BUFFER_BYTES: usize = 16 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    #[error("the connection was refused: {0}")]
    Refused(String),
    #[error("cut: {0}")]
    Cut(String),
    #[error("no whole answer within {} s", ANSWER_MAX.as_secs())]
    Late,
    #[error("this is no answer: {0}")]
    Unreadable(String),
}

/// Status and fields of an answer.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub status: u16,
    text: String,
}

/// Its first line, which is what a note of something strange has room for.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.lines().next().unwrap_or_default())
    }
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, Lost> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        match status {
            Some(status) => Ok(Self { status, text }),
            None => Err(Lost::Unreadable(text)),
        }
    }

    pub(super) fn header(&self, wanted: &str) -> Option<&str> {
        self.text.lines().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then_some(value.trim())
        })
    }
}

/// What an answer was, seen against the page that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// 200 and every byte of it.
    Right(Head),
    /// 200 and other bytes, or not as many.
    Wrong(Head),
    /// Another status, read to its end.
    Other(Head),
}

#[derive(Debug)]
pub(super) struct Visitor {
    addr: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    /// Of the buffer, what was read and not yet taken.
    unread: std::ops::Range<usize>,
    /// Bytes of the body that have not been taken.
    left: u64,
    is_last: bool,
    receive_buffer: Option<u32>,
}

impl Visitor {
    pub(super) fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            stream: None,
            buffer: Vec::new(),
            unread: 0..0,
            left: 0,
            is_last: false,
            receive_buffer: None,
        }
    }

    /// One for whom little is on the way at a time.
    pub(super) fn with_receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    pub(super) async fn connect(&mut self) -> Result<(), Lost> {
        let refused = |error: std::io::Error| Lost::Refused(error.to_string());
        let socket = TcpSocket::new_v4().map_err(refused)?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes).map_err(refused)?;
        }
        let stream = socket.connect(self.addr).await.map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Asks for a page and compares every byte.
    pub(super) async fn look_at(&mut self, page: &Page) -> Result<Seen, Lost> {
        let looking = timeout(ANSWER_MAX, async {
            let head = self.ask(&page.host, &page.path).await?;
            let mut is_right = self.left == page.bytes.len() as u64;
            let mut rest = page.bytes.as_ref();
            while let Some(piece) = self.piece().await? {
                let expected = rest.split_off(..piece.len().min(rest.len())).unwrap_or_default();
                is_right &= piece == expected;
            }
            Ok(match (head.status, is_right) {
                (200, true) => Seen::Right(head),
                (200, false) => Seen::Wrong(head),
                _ => Seen::Other(head),
            })
        });
        let seen = looking.await.unwrap_or(Err(Lost::Late));
        if seen.is_err() {
            self.stream = None;
        }
        seen
    }

    pub(super) async fn sees(&mut self, page: &Page) -> bool {
        matches!(self.look_at(page).await, Ok(Seen::Right(_)))
    }

    /// Asks and takes the whole body, whatever it is.
    pub(super) async fn get(&mut self, host: &str, path: &str) -> Result<(Head, Vec<u8>), Lost> {
        let getting = timeout(ANSWER_MAX, async {
            let head = self.ask(host, path).await?;
            let mut body = Vec::new();
            while let Some(piece) = self.piece().await? {
                body.extend_from_slice(piece);
            }
            Ok((head, body))
        });
        let got = getting.await.unwrap_or(Err(Lost::Late));
        if got.is_err() {
            self.stream = None;
        }
        got
    }

    /// Asks and reads the head. The body comes with [`Visitor::piece`].
    pub(super) async fn ask(&mut self, host: &str, path: &str) -> Result<Head, Lost> {
        if self.stream.is_none() {
            self.connect().await?;
        }
        self.buffer.resize(BUFFER_BYTES, 0);
        self.unread = 0..0;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let stream = self.stream.as_mut().ok_or_else(closed)?;
        stream.write_all(request.as_bytes()).await.map_err(|error| cut(&error))?;
        let end = loop {
            let filled = self.unread.end;
            if filled == self.buffer.len() {
                return Err(Lost::Unreadable("the head has no end".to_owned()));
            }
            let read = stream.read(&mut self.buffer[filled..]).await.map_err(|error| cut(&error))?;
            if read == 0 {
                return Err(closed());
            }
            self.unread.end += read;
            let read = &self.buffer[..self.unread.end];
            if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = Head::parse(&self.buffer[..end])?;
        let length = head.header("content-length").and_then(|length| length.parse().ok());
        self.left = length.ok_or_else(|| Lost::Unreadable(format!("no length: {}", head.text)))?;
        self.is_last = head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.unread.start = end;
        Ok(head)
    }

    /// The next piece of the body. `None`: that was all.
    pub(super) async fn piece(&mut self) -> Result<Option<&[u8]>, Lost> {
        if self.left == 0 {
            if self.is_last {
                self.stream = None;
            }
            return Ok(None);
        }
        if self.unread.is_empty() {
            let stream = self.stream.as_mut().ok_or_else(closed)?;
            let read = stream.read(&mut self.buffer).await.map_err(|error| cut(&error))?;
            if read == 0 {
                return Err(Lost::Cut(format!("{} bytes before the end", self.left)));
            }
            self.unread = 0..read;
        }
        let piece = self.unread.clone();
        self.unread = 0..0;
        self.left = (self.left.checked_sub(piece.len() as u64))
            .ok_or_else(|| Lost::Unreadable("more than was announced".to_owned()))?;
        Ok(Some(&self.buffer[piece]))
    }
}

fn cut(error: &std::io::Error) -> Lost {
    Lost::Cut(error.to_string())
}

fn closed() -> Lost {
    Lost::Cut("closed before an answer".to_owned())
}
