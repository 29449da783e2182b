//! Thousands of clients who send or take as little as they can, beside visitors who do as one does, and beside one whose
//! line is merely slow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::crowd::{Compared, Crowd, Pace};
use super::super::edges::Plan;
use super::super::findings::Findings;
use super::super::site::{self, Page};
use super::super::stage::Stage;
use super::super::visitor::{Lost, Visitor};

const HOST: &str = "shop.localhost";
const LARGE: &str = "/large.bin";
/// What slow readers ask for: more than the system keeps for a connection, so that the edge has to wait for them.
const TAKEN: &str = "/taken.woff2";
const TAKEN_BYTES: usize = 8 << 20;
const PAGES: usize = 100;
const PAGE_BYTES: usize = 4096;

/// How often they come.
const ROUNDS: usize = 2;

/// Just often enough for a client that wants to look alive.
const DRIP: Duration = Duration::from_secs(3);

/// They come over so long a time.
const COME_WITHIN: Duration = Duration::from_secs(5);

const P99_MAX: f64 = 1.2;

/// Of each connection: what an idle one costs, twice, and what is being sent.
const GROWTH_MAX_KIB: f64 = 32.0;

/// Twice the least that an edge wants a client to take.
const SLOW_LINE_BYTES: usize = 2048;
const SLOW_LINE_RECEIVES: u32 = 16 * 1024;

#[derive(Debug, Clone, Copy)]
enum Slow {
    Head,
    Body,
    Read,
}

pub(in super::super) async fn play(stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let lengths = stage.lengths;
    let world = stage.world().await?;
    let pages: Vec<Page> =
        (0..PAGES).map(|n| Page::noise(HOST, &format!("/page-{n}.woff2"), PAGE_BYTES)).collect();
    let large = Page::noise(HOST, LARGE, usize::try_from(lengths.download_bytes)?);
    let taken = Page::noise(HOST, TAKEN, TAKEN_BYTES);
    site::deploy(stage, &world, 1, &[pages.as_slice(), &[large.clone(), taken.clone()]].concat()).await?;
    let plan = Plan::new(stage, "edge", &world)?;
    let edge = plan.start().await?;
    let mut visitor = Visitor::new(plan.http());
    for page in pages.iter().chain([&taken]) {
        anyhow::ensure!(visitor.sees(page).await, "{}{} is not shown", page.host, page.path);
    }
    drop(visitor);

    let crowd = Crowd::start(plan.http(), &pages.into(), Pace::STEADY);
    let mut compared = Compared::default();
    compared.around(crowd.watch(lengths.quiet).await);
    let memory_before = edge.memory_bytes();
    let before = crowd.counts();
    let download = tokio::spawn(download_slowly(plan.http(), large, lengths.quiet));
    let (mut halfway, mut memory_after, mut refused, mut ended) = (0, 0, 0, 0);
    for _ in 0..ROUNDS {
        let slow =
            SlowClients::gather(plan.http(), lengths.slow_heads, lengths.slow_bodies, lengths.slow_reads);
        sleep(COME_WITHIN).await;
        compared.during(crowd.watch(lengths.quiet).await);
        halfway = edge.memory_bytes().max(halfway);
        compared.during(crowd.watch(lengths.quiet).await);
        memory_after = edge.memory_bytes().max(memory_after);
        (refused, ended) = (refused + slow.refused(), ended + slow.ended());
        drop(slow);
        // Until the edge has seen that they have gone.
        sleep(COME_WITHIN).await;
        compared.around(crowd.watch(lengths.quiet).await);
    }
    let counts = crowd.counts().since(&before);
    let count = lengths.slow_heads + lengths.slow_bodies + lengths.slow_reads;
    let downloaded = download.await?;

    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let growth_kib = |bytes: u64| bytes.saturating_sub(memory_before) as f64 / 1024.0 / count as f64;
    let (during, around) = compared.p99_ms();
    findings
        .after(format!(
            "{} slow heads, {} slow bodies and {} slow readers at the same time, {ROUNDS} times; {:.0} requests/s of others",
            lengths.slow_heads,
            lengths.slow_bodies,
            lengths.slow_reads,
            Pace::STEADY.per_second()
        ))
        .none("others: failed or wrong", counts.failed() + counts.wrong)
        .at_most("p99 of the others by the p99 around it", P99_MAX, compared.ratio(), "×")
        .shown("p99", during, "ms")
        .shown("p99 around it", around, "ms")
        .at_most(
            "memory that came, of each slow client",
            GROWTH_MAX_KIB,
            growth_kib(halfway.max(memory_after)),
            "KiB",
        )
        .shown("memory before", mib(memory_before), "MiB")
        .shown("memory at half of the time", mib(halfway), "MiB")
        .shown("memory at the end", mib(memory_after), "MiB")
        .shown("slow clients that the edge ended; others came instead", ended as f64, "")
        .shown("slow clients that were not let in", refused as f64, "");
    findings
        .after(format!(
            "meanwhile a download of {:.0} MiB, {} s of it at {SLOW_LINE_BYTES} bytes/s",
            mib(lengths.download_bytes),
            lengths.quiet.as_secs()
        ))
        .none("cut or wrong", u64::from(downloaded != Ok(true)));
    if let Some(trouble) = crowd.trouble() {
        findings.note(trouble);
    }
    Ok(())
}

/// Slowly for a while, and then the rest. Gives whether every byte was right.
async fn download_slowly(edge: SocketAddr, page: Page, slow: Duration) -> Result<bool, Lost> {
    let mut visitor = Visitor::new(edge).with_receive_buffer(SLOW_LINE_RECEIVES);
    let head = visitor.ask(&page.host, &page.path).await?;
    let mut is_right = head.status == 200;
    let mut rest = page.bytes;
    let begun = Instant::now();
    let mut taken = 0;
    while let Some(piece) = visitor.piece().await? {
        let expected = rest.split_to(piece.len().min(rest.len()));
        is_right &= piece == &expected[..];
        taken += piece.len();
        // What was taken up to now is due at this time.
        let due = Duration::from_secs_f64(taken as f64 / SLOW_LINE_BYTES as f64);
        if due < slow {
            sleep(due.saturating_sub(begun.elapsed())).await;
        }
    }
    Ok(is_right && rest.is_empty())
}

/// One that is ended is followed by another. They leave when this is dropped.
struct SlowClients {
    seen: Arc<Seen>,
    _clients: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    refused: AtomicU64,
    ended: AtomicU64,
}

impl SlowClients {
    fn gather(edge: SocketAddr, heads: usize, bodies: usize, reads: usize) -> Self {
        let seen = Arc::<Seen>::default();
        let mut clients = JoinSet::new();
        let count = heads + bodies + reads;
        for number in 0..count {
            let slow = match number {
                head if head < heads => Slow::Head,
                body if body < heads + bodies => Slow::Body,
                _ => Slow::Read,
            };
            let seen = Arc::clone(&seen);
            clients.spawn(async move {
                sleep(COME_WITHIN.mul_f64(number as f64 / count as f64)).await;
                loop {
                    match slow.hold(edge).await {
                        Ok(()) => seen.ended.fetch_add(1, Ordering::Relaxed),
                        Err(_) => seen.refused.fetch_add(1, Ordering::Relaxed),
                    };
                    sleep(DRIP).await;
                }
            });
        }
        Self { seen, _clients: clients }
    }

    fn refused(&self) -> u64 {
        self.seen.refused.load(Ordering::Relaxed)
    }

    fn ended(&self) -> u64 {
        self.seen.ended.load(Ordering::Relaxed)
    }
}

impl Slow {
    fn begin(self) -> String {
        match self {
            Self::Head => format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: "),
            Self::Body => format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000\r\n\r\n"),
            Self::Read => format!("GET {TAKEN} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        }
    }

    /// Until the edge ends it. An error says that it was not let in.
    async fn hold(self, edge: SocketAddr) -> std::io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let mut stream = socket.connect(edge).await?;
        stream.write_all(self.begin().as_bytes()).await?;
        let mut taken = [0; 64];
        loop {
            sleep(DRIP).await;
            let is_over = match self {
                Self::Head | Self::Body => stream.write_all(b"x").await.is_err() || is_answered(&stream),
                Self::Read => !matches!(stream.read(&mut taken).await, Ok(1..)),
            };
            if is_over {
                return Ok(());
            }
        }
    }
}

/// Whoever has not finished a request gets an answer only with the end of the connection.
fn is_answered(stream: &tokio::net::TcpStream) -> bool {
    !matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
