//! Frames of HTTP/2 that cost their sender nothing and us work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::crowd::{Compared, Crowd, Pace};
use super::super::edges::Plan;
use super::super::findings::Findings;
use super::super::frames::{self, Flood};
use super::super::site::{self, Page};
use super::super::stage::Stage;
use super::super::visitor::Visitor;

const HOST: &str = "shop.localhost";
const PAGES: usize = 100;
const PAGE_BYTES: usize = 4096;

const ATTACKERS: usize = 20;

/// From one connection of an attacker to the next: a flood of handshakes would be another one.
const COME_AGAIN: Duration = Duration::from_millis(250);

/// What an attacker sends on one connection, if the edge lets it.
const FRAMES_MAX: usize = 100_000;
const FRAMES_AT_ONCE: usize = 100;

/// An edge that has not ended a flood by then does not.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// For each attacker: the largest head, the windows of 100 streams, and TLS.
const GROWTH_MAX_MIB: f64 = 2.0 * ATTACKERS as f64;

pub(in super::super) async fn play(stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let lengths = stage.lengths;
    let world = stage.world().await?;
    let pages: Arc<[Page]> =
        (0..PAGES).map(|n| Page::noise(HOST, &format!("/page-{n}.woff2"), PAGE_BYTES)).collect();
    site::deploy(stage, &world, 1, &pages).await?;
    let plan = Plan::new(stage, "edge", &world)?;
    let edge = plan.start().await?;
    let mut visitor = Visitor::new(plan.http());
    for page in pages.iter() {
        anyhow::ensure!(visitor.sees(page).await, "{}{} is not shown", page.host, page.path);
    }
    let connector = connector(stage)?;
    let crowd = Crowd::start(plan.http(), &pages, Pace::STEADY);
    for flood in Flood::ALL {
        let mut compared = Compared::default();
        compared.around(crowd.watch(lengths.flood).await);
        let (memory_before, before) = (edge.memory_bytes(), crowd.counts());
        let attack = Attack::begin(plan.https(), &connector, flood);
        compared.during(crowd.watch(lengths.flood).await);
        let memory_after = edge.memory_bytes();
        let counts = crowd.counts().since(&before);
        let seen = attack.end().await;
        let growth = memory_after.saturating_sub(memory_before) as f64 / f64::from(1 << 20);
        findings
            .after(format!(
                "{}, over {ATTACKERS} connections at a time for {} s",
                flood.text(),
                lengths.flood.as_secs()
            ))
            .none("others: failed or wrong", counts.failed() + counts.wrong)
            .at_most("memory that came", GROWTH_MAX_MIB, growth, "MiB")
            .none("connections that were not ended", seen.not_ended)
            .at_least("connections that were ended with GOAWAY", 1.0, seen.goaway as f64, "")
            .shown("connections that ended without", seen.ended as f64, "")
            .shown("p99 of the others by the p99 around it", compared.ratio(), "×");
    }
    if let Some(trouble) = crowd.trouble() {
        findings.note(trouble);
    }
    Ok(())
}

/// It trusts the stage's certificate and speaks HTTP/2 alone.
fn connector(stage: &Stage) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&stage.certificate.cert)?)?;
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(client)))
}

#[derive(Default)]
struct Endings {
    goaway: AtomicU64,
    ended: AtomicU64,
    not_ended: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    goaway: u64,
    ended: u64,
    not_ended: u64,
}

struct Attack {
    endings: Arc<Endings>,
    attackers: JoinSet<()>,
}

impl Attack {
    fn begin(edge: SocketAddr, connector: &TlsConnector, flood: Flood) -> Self {
        let endings = Arc::<Endings>::default();
        let mut attackers = JoinSet::new();
        for _ in 0..ATTACKERS {
            let (endings, connector) = (Arc::clone(&endings), connector.clone());
            attackers.spawn(async move {
                loop {
                    let counter = match attack(edge, &connector, flood).await {
                        Ok(Ending::Goaway) => &endings.goaway,
                        Ok(Ending::Closed) | Err(_) => &endings.ended,
                        Ok(Ending::None) => &endings.not_ended,
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                    sleep(COME_AGAIN).await;
                }
            });
        }
        Self { endings, attackers }
    }

    async fn end(mut self) -> Seen {
        // Those whose connection is still open have not been ended yet, and are not counted.
        self.attackers.shutdown().await;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Endings { goaway, ended, not_ended } = &*self.endings;
        Seen { goaway: load(goaway), ended: load(ended), not_ended: load(not_ended) }
    }
}

enum Ending {
    Goaway,
    Closed,
    /// All was sent, and the edge goes on.
    None,
}

async fn attack(edge: SocketAddr, connector: &TlsConnector, flood: Flood) -> anyhow::Result<Ending> {
    let stream = TcpStream::connect(edge).await?;
    let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
    let (reading, mut writing) = tokio::io::split(stream);
    let watching = tokio::spawn(ending(reading));
    writing.write_all(frames::BEGIN).await?;
    let mut sent = 0;
    while sent < FRAMES_MAX && !watching.is_finished() {
        let batch: Vec<u8> = (sent..sent + FRAMES_AT_ONCE).flat_map(|at| flood.frame(HOST, at)).collect();
        if writing.write_all(&batch).await.is_err() {
            break;
        }
        sent += FRAMES_AT_ONCE;
        tokio::task::yield_now().await;
    }
    timeout(ENDED_WITHIN, watching).await.map_or(Ok(Ending::None), |ended| ended.context("watching"))
}

/// Reads until the edge says goodbye because of an error, or closes.
async fn ending(mut stream: tokio::io::ReadHalf<TlsStream<TcpStream>>) -> Ending {
    loop {
        let mut head = [0; frames::HEAD_BYTES];
        if stream.read_exact(&mut head).await.is_err() {
            return Ending::Closed;
        }
        let mut payload = vec![0; frames::payload_bytes(&head)];
        if stream.read_exact(&mut payload).await.is_err() {
            return Ending::Closed;
        }
        if frames::is_goaway(&head) {
            return Ending::Goaway;
        }
    }
}
