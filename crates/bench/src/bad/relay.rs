//! Between an edge and what it asks: passes on and counts, until it is told to break.
//!
//! It understands as much of HTTP/1.1 as the edge uses towards api and store: requests without a body, one after the
//! other on a connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::process::free_addr;

const HEAD_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Every connection is closed, new ones at once.
    Down,
    /// Nothing comes any more, also of what is under way, and nothing is closed.
    Silent,
    /// Answers with this status and no body.
    Status(u16),
    /// Closes after half of a body.
    Cut,
    /// Changes a byte in the middle of a body.
    Wrong,
    /// Of the next answer, half comes, and then the connection ends; the others are good.
    CutOnce,
    /// Of the next answer, half comes, and then nothing; the others are good.
    StallOnce,
}

impl Fault {
    /// Whether it ends what is under way.
    fn breaks_streams(self) -> bool {
        matches!(self, Self::Down | Self::Silent)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub at: Instant,
    pub path: String,
}

#[derive(Debug)]
pub(super) struct Relay {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    fault: watch::Sender<Fault>,
    passed: Mutex<Vec<Passed>>,
    /// When a fault for one answer only happened.
    broke_at: Mutex<Option<Instant>>,
}

impl Relay {
    pub(super) async fn start(upstream: SocketAddr) -> anyhow::Result<Self> {
        let addr = free_addr()?;
        let listener = TcpListener::bind(addr).await?;
        let (fault, _) = watch::channel(Fault::None);
        let shared =
            Arc::new(Shared { upstream, fault, passed: Mutex::default(), broke_at: Mutex::default() });
        let mut accepting = JoinSet::new();
        let server = Arc::clone(&shared);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let server = Arc::clone(&server);
                // Whatever ends a connection, the edge sees it and the relay goes on.
                connections.spawn(async move { drop(server.serve(client).await) });
            }
        });
        Ok(Self { addr, shared, _accepting: accepting })
    }

    pub(super) fn set(&self, fault: Fault) {
        self.shared.fault.send_replace(fault);
    }

    /// All that was asked, in order.
    pub(super) fn passed(&self) -> Vec<Passed> {
        self.shared.passed().clone()
    }

    pub(super) fn forget(&self) {
        self.shared.passed().clear();
        self.shared.broke_at().take();
    }

    /// When the one answer broke.
    pub(super) fn broke_at(&self) -> Option<Instant> {
        *self.shared.broke_at()
    }
}

/// The most requests within any second, of times in order.
pub(super) fn most_in_a_second(times: &[Instant]) -> usize {
    let mut most = 0;
    let mut begin = 0;
    for (at, time) in times.iter().enumerate() {
        while time.duration_since(times[begin]) >= Duration::from_secs(1) {
            begin += 1;
        }
        most = most.max(at + 1 - begin);
    }
    most
}

enum Goes {
    On,
    Away,
}

impl Shared {
    fn passed(&self) -> MutexGuard<'_, Vec<Passed>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broke_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.broke_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault for one request.
    fn take_fault(&self) -> Fault {
        let mut taken = Fault::None;
        self.fault.send_if_modified(|fault| {
            taken = *fault;
            if matches!(taken, Fault::CutOnce | Fault::StallOnce) {
                *fault = Fault::None;
            }
            false
        });
        taken
    }

    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let mut upstream = None;
        loop {
            tokio::select! {
                went = self.pass_one(&mut client, &mut upstream) => match went? {
                    Goes::On => {}
                    Goes::Away => return Ok(()),
                },
                fault = self.broken() => return self.endure(fault).await,
            }
        }
    }

    async fn broken(&self) -> Fault {
        let mut fault = self.fault.subscribe();
        let found = fault.wait_for(|fault| fault.breaks_streams()).await.map(|fault| *fault);
        // The sender lives as long as this does.
        found.unwrap_or(Fault::Down)
    }

    async fn endure(&self, fault: Fault) -> std::io::Result<()> {
        if fault == Fault::Silent {
            let mut fault = self.fault.subscribe();
            let _ = fault.wait_for(|fault| *fault != Fault::Silent).await;
        }
        Ok(())
    }

    async fn pass_one(&self, client: &mut TcpStream, kept: &mut Option<TcpStream>) -> std::io::Result<Goes> {
        let Some(request) = read_head(client).await? else { return Ok(Goes::Away) };
        let path = String::from_utf8_lossy(&request.0).split(' ').nth(1).unwrap_or_default().to_owned();
        self.passed().push(Passed { at: Instant::now(), path });
        let fault = self.take_fault();
        if let Fault::Status(status) = fault {
            let answer = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\n\r\n");
            client.write_all(answer.as_bytes()).await?;
            return Ok(Goes::On);
        }
        let mut upstream = match kept.take() {
            Some(upstream) => upstream,
            None => TcpStream::connect(self.upstream).await?,
        };
        upstream.set_nodelay(true)?;
        upstream.write_all(&request.0).await?;
        let Some(head) = read_head(&mut upstream).await? else { return Ok(Goes::Away) };
        client.write_all(&head.0).await?;
        let Some(length) = head.length() else {
            // An answer that goes on for as long as both want.
            copy_bidirectional(client, &mut upstream).await?;
            return Ok(Goes::Away);
        };
        let goes = self.pass_body(client, &mut upstream, length, fault).await?;
        if !head.is_last() {
            *kept = Some(upstream);
        }
        Ok(goes)
    }

    async fn pass_body(
        &self,
        client: &mut TcpStream,
        upstream: &mut TcpStream,
        length: usize,
        fault: Fault,
    ) -> std::io::Result<Goes> {
        let mut piece = vec![0; 64 * 1024];
        let half = length / 2;
        let mut passed = 0;
        while passed < length {
            let until = if passed < half { half } else { length };
            let wanted = piece.len().min(until - passed);
            let read = upstream.read(&mut piece[..wanted]).await?;
            if read == 0 {
                return Ok(Goes::Away);
            }
            if passed == half {
                match fault {
                    Fault::Wrong => piece[0] ^= 1,
                    Fault::Cut => return Ok(Goes::Away),
                    Fault::CutOnce => {
                        self.broke_at().replace(Instant::now());
                        return Ok(Goes::Away);
                    }
                    Fault::StallOnce => {
                        self.broke_at().replace(Instant::now());
                        return std::future::pending().await;
                    }
                    Fault::None | Fault::Down | Fault::Silent | Fault::Status(_) => {}
                }
            }
            client.write_all(&piece[..read]).await?;
            passed += read;
        }
        Ok(Goes::On)
    }
}

/// Of a request or of an answer, to its empty line.
struct RawHead(Vec<u8>);

impl RawHead {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).to_ascii_lowercase()
    }

    fn field(&self, name: &str) -> Option<String> {
        let text = self.text();
        text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    }

    /// `None`: it goes on until the connection ends, or in chunks.
    fn length(&self) -> Option<usize> {
        if self.text().starts_with("http/1.1 304") {
            return Some(0);
        }
        self.field("content-length")?.parse().ok()
    }

    fn is_last(&self) -> bool {
        self.field("connection").as_deref() == Some("close")
    }
}

/// `None`: the other side has gone.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<RawHead>> {
    let mut head = Vec::with_capacity(1024);
    // Byte by byte would be a system call each; what was looked at stays in the socket until it is known to belong here.
    let mut seen = vec![0; 4096];
    loop {
        let peeked = stream.peek(&mut seen).await?;
        if peeked == 0 {
            return Ok(None);
        }
        let before = head.len();
        head.extend_from_slice(&seen[..peeked]);
        let from = before.saturating_sub(3);
        let end = head[from..].windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| from + at + 4);
        let taken = end.map_or(peeked, |end| end - before);
        stream.read_exact(&mut seen[..taken]).await?;
        if let Some(end) = end {
            head.truncate(end);
            return Ok(Some(RawHead(head)));
        }
        if head.len() > HEAD_BYTES_MAX {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::visitor::Visitor;
    use super::*;

    #[test]
    fn the_busiest_second_is_found_wherever_it_begins() {
        let begin = Instant::now();
        let at = |times: &[u64]| -> Vec<Instant> {
            times.iter().map(|ms| begin + Duration::from_millis(*ms)).collect()
        };
        assert_eq!(most_in_a_second(&at(&[])), 0);
        assert_eq!(most_in_a_second(&at(&[0, 999, 1000, 1500, 1998, 3000])), 4);
        assert_eq!(most_in_a_second(&at(&[0, 1000, 2000])), 1);
    }

    /// Answers each request with the same ten bytes.
    async fn store() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(Some(_)) = read_head(&mut client).await {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
                        client.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        addr
    }

    #[tokio::test]
    async fn it_passes_on_counts_and_breaks_as_it_is_told() {
        let relay = Relay::start(store().await).await.unwrap();
        let cases = [
            (Fault::None, "200 0123456789"),
            (Fault::Wrong, "200 0123446789"),
            (Fault::Cut, "cut: 5 bytes before the end"),
            (Fault::CutOnce, "cut: 5 bytes before the end"),
            (Fault::Status(403), "403 "),
            (Fault::None, "200 0123456789"),
        ];
        let mut visitor = Visitor::new(relay.addr);
        for (fault, expected) in cases {
            relay.set(fault);
            let seen = match visitor.get("a.localhost", "/Key").await {
                Ok((head, body)) => format!("{} {}", head.status, String::from_utf8_lossy(&body)),
                Err(lost) => lost.to_string(),
            };
            assert_eq!(seen, expected, "{fault:?}");
        }
        assert_eq!(relay.passed().len(), cases.len());
        assert!(relay.passed().iter().all(|passed| passed.path == "/Key") && relay.broke_at().is_some());
        relay.set(Fault::Down);
        assert!(visitor.get("a.localhost", "/Key").await.is_err());
    }
}
