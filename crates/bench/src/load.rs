//! A client that asks a given number of times, each path once if it shall, and tells how long each answer took.
//! `wrk` does the rest: it is faster, but only stops by the clock.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

/// No head that is answered here is longer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LoadOptions {
    #[arg(long)]
    pub addr: SocketAddr,
    /// `{}` in it and in the path is the number of the request.
    #[arg(long)]
    pub host: String,
    #[arg(long)]
    pub path: String,
    /// Numbers begin anew after so many.
    #[arg(long, default_value_t = u64::MAX)]
    pub cycle: u64,
    /// The number of the first one.
    #[arg(long, default_value_t = 0)]
    pub first: u64,
    #[arg(long)]
    pub count: u64,
    #[arg(long, default_value_t = 1)]
    pub connections: u32,
}

impl LoadOptions {
    /// The same address each time, unless there is a `{}` in it. How often is still to be said.
    pub(crate) fn fixed(addr: SocketAddr, host: &str, path: &str) -> Self {
        let (host, path) = (host.to_owned(), path.to_owned());
        Self { addr, host, path, cycle: u64::MAX, first: 0, count: 0, connections: 1 }
    }
}

/// What it prints, as JSON.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub requests: u64,
    pub secs: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

struct Shared {
    options: LoadOptions,
    next: u64,
    latencies_us: Vec<f64>,
}

pub(crate) async fn run(options: LoadOptions) -> anyhow::Result<()> {
    let connections = options.connections;
    let shared = Rc::new(RefCell::new(Shared { next: 0, latencies_us: Vec::new(), options }));
    let started_at = Instant::now();
    let local = LocalSet::new();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn_local_on(ask_in_turn(Rc::clone(&shared)), &local);
    }
    local
        .run_until(async {
            while let Some(done) = tasks.join_next().await {
                done??;
            }
            anyhow::Ok(())
        })
        .await?;
    let secs = started_at.elapsed().as_secs_f64();
    let mut latencies_us = std::mem::take(&mut shared.borrow_mut().latencies_us);
    latencies_us.sort_by(f64::total_cmp);
    ensure!(!latencies_us.is_empty(), "nothing was asked");
    let at = |share: usize| latencies_us[(latencies_us.len() - 1) * share / 100];
    let requests = latencies_us.len() as u64;
    println!("{}", serde_json::to_string(&Loaded { requests, secs, p50_us: at(50), p99_us: at(99) })?);
    Ok(())
}

async fn ask_in_turn(shared: Rc<RefCell<Shared>>) -> anyhow::Result<()> {
    let addr = shared.borrow().options.addr;
    let mut connection = Connection::open(addr).await?;
    loop {
        let Some(head) = shared.borrow_mut().next_head() else { return Ok(()) };
        let asked_at = Instant::now();
        connection.ask(&head).await.with_context(|| format!("asking {head:?}"))?;
        let took_us = asked_at.elapsed().as_secs_f64() * 1e6;
        shared.borrow_mut().latencies_us.push(took_us);
    }
}

impl Shared {
    fn next_head(&mut self) -> Option<String> {
        let options = &self.options;
        if self.next == options.count {
            return None;
        }
        let number = ((options.first + self.next) % options.cycle).to_string();
        let fill = |template: &str| template.replace("{}", &number);
        self.next += 1;
        Some(format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", fill(&options.path), fill(&options.host)))
    }
}

/// One that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// How long an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnswerBytes {
    pub head: usize,
    pub body: usize,
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr).await.with_context(|| format!("connecting to {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    /// Reads a whole answer, which has to be a good one.
    pub(crate) async fn ask(&mut self, head: &str) -> anyhow::Result<AnswerBytes> {
        self.stream.write_all(head.as_bytes()).await?;
        let mut filled = 0;
        let end = loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            ensure!(read > 0, "the connection was closed");
            filled += read;
            match self.buffer[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => ensure!(filled < HEAD_BYTES_MAX, "the head has no end"),
            }
        };
        let body = body_bytes(&self.buffer[..end])?;
        let mut left = (end + body).checked_sub(filled).context("more than one answer")?;
        while left > 0 {
            let read = self.stream.read(&mut self.buffer).await?;
            ensure!(read > 0, "the body was cut");
            left = left.checked_sub(read).context("more than one answer")?;
        }
        Ok(AnswerBytes { head: end, body })
    }
}

fn body_bytes(head: &[u8]) -> anyhow::Result<usize> {
    let head = str::from_utf8(head)?;
    if !head.starts_with("HTTP/1.1 20") && !head.starts_with("HTTP/1.1 30") {
        bail!("not the answer that was expected: {head}");
    }
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    Ok(value.context("an answer without a length")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_good_answers_with_a_length_are_counted() {
        assert_eq!(body_bytes(b"HTTP/1.1 200 OK\r\ncontent-Length: 12\r\n\r\n").expect("good"), 12);
        for bad in ["HTTP/1.1 503 No\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            assert!(body_bytes(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
