//! The binary is replaced again and again under visitors of whom some stay and some come and go, and under one long
//! download, which the first process has to finish.

use std::sync::Arc;
use std::time::Instant;

use super::super::crowd::{Counts, Crowd, Pace, p99};
use super::super::edges::Plan;
use super::super::findings::Findings;
use super::super::generations::Generations;
use super::super::site::{self, Page};
use super::super::stage::Stage;
use super::super::visitor::{Lost, Visitor};

const HOST: &str = "shop.localhost";
const PAGES: usize = 20;
const PAGE_BYTES: usize = 20 * 1024;

/// More than the buffers between two processes hold: most of it is sent by whoever began it.
const DOWNLOAD_BYTES: usize = 48 << 20;
const RECEIVE_BUFFER: u32 = 64 * 1024;

pub(in super::super) async fn play(stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let reloads = stage.lengths.reloads;
    let world = stage.world().await?;
    let pages: Vec<Page> =
        (0..PAGES).map(|n| Page::noise(HOST, &format!("/page-{n}.woff2"), PAGE_BYTES)).collect();
    let large = Page::noise(HOST, "/large.bin", DOWNLOAD_BYTES);
    site::deploy(stage, &world, 1, &[pages.as_slice(), std::slice::from_ref(&large)].concat()).await?;
    let notify = stage.dir().join("notify");
    let mut generations = Generations::listen(&notify)?;
    let plan = Plan::new(stage, "edge", &world)?.with("NOTIFY_SOCKET", notify.display());
    let first = plan.start().await?;
    generations.begin(first.id()).await?;

    let pages: Arc<[Page]> = pages.into();
    let stay = Crowd::start(plan.http(), &pages, Pace::STEADY);
    let come_and_go = Crowd::start(plan.http(), &pages, Pace::STEADY.with_new_connections());
    let mut download = Download::begin(&plan, &large).await?;
    let mut took_ms = Vec::new();
    for _ in 0..reloads {
        let asked = Instant::now();
        generations.advance().await?;
        took_ms.push(asked.elapsed().as_secs_f64() * 1e3);
        download.read_on(DOWNLOAD_BYTES / reloads / 2).await;
    }
    let alive = generations.alive();
    download.read_on(DOWNLOAD_BYTES).await;
    let stayed = stay.counts();
    let Counts { right, wrong, other, refused, cut, .. } = come_and_go.counts().and(&stayed);
    findings
        .after(format!(
            "{reloads} reloads (SIGUSR2) beside {:.0} requests/s, half of them over new connections, and a download",
            2.0 * Pace::STEADY.per_second()
        ))
        .none("refused", refused)
        .none("cut", cut)
        .none("failed otherwise, or wrong", other + wrong)
        .none("cut or wrong downloads", u64::from(!download.is_right()))
        .shown("right", right as f64, "")
        .shown("a reload, p99", p99(took_ms).unwrap_or(f64::NAN), "ms")
        .shown("processes alive after the last one, that of the download among them", alive as f64, "");
    let lost = download.lost.map(|lost| lost.to_string());
    for trouble in [stay.trouble(), come_and_go.trouble(), lost].into_iter().flatten() {
        findings.note(trouble);
    }
    Ok(())
}

/// It takes as long as is wanted.
struct Download<'p> {
    page: &'p Page,
    visitor: Visitor,
    read: usize,
    is_equal: bool,
    lost: Option<Lost>,
}

impl<'p> Download<'p> {
    async fn begin(plan: &Plan<'_>, page: &'p Page) -> anyhow::Result<Self> {
        let mut visitor = Visitor::new(plan.http()).with_receive_buffer(RECEIVE_BUFFER);
        let head = visitor.ask(&page.host, &page.path).await?;
        anyhow::ensure!(head.status == 200, "{head:?}");
        Ok(Self { page, visitor, read: 0, is_equal: true, lost: None })
    }

    async fn read_on(&mut self, bytes: usize) {
        let until = self.page.bytes.len().min(self.read + bytes);
        while self.read < until && self.lost.is_none() {
            match self.visitor.piece().await {
                Ok(Some(piece)) => {
                    let end = self.read + piece.len();
                    self.is_equal &= self.page.bytes.get(self.read..end) == Some(piece);
                    self.read = end;
                }
                Ok(None) => return,
                Err(lost) => self.lost = Some(lost),
            }
        }
    }

    fn is_right(&self) -> bool {
        self.is_equal && self.read == self.page.bytes.len()
    }
}
