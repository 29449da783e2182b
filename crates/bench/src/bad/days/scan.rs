//! A crawler reads files that nobody else wants, several times as many as fit into memory, beside visitors of a few.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;

use super::super::crowd::{Crowd, Pace};
use super::super::edges::Plan;
use super::super::findings::Findings;
use super::super::site::{self, Page};
use super::super::stage::Stage;
use super::super::visitor::Visitor;

const HOT_HOST: &str = "hot.localhost";
const SCANNED_HOST: &str = "archive.localhost";
const PAGE_BYTES: usize = 2048;

/// The cache holds a tenth of what is scanned: of 100,000 files of 2 KiB, 19.5 MiB.
const SCAN_BY_CACHE: usize = 10;

/// A tenth of the cache is hot.
const CACHE_BY_HOT: usize = 10;

const CRAWLERS: usize = 8;
const HITS_MIN: f64 = 99.0;

pub(in super::super) async fn play(stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let scanned = stage.lengths.scanned;
    let cache_bytes = scanned * PAGE_BYTES / SCAN_BY_CACHE;
    let hot = scanned / SCAN_BY_CACHE / CACHE_BY_HOT;
    let pages = |host: &str, count: usize| -> Arc<[Page]> {
        (0..count).map(|n| Page::noise(host, &format!("/{}/page-{n}.woff2", n % 100), PAGE_BYTES)).collect()
    };
    let (hot_pages, cold_pages) = (pages(HOT_HOST, hot), pages(SCANNED_HOST, scanned));
    let world = stage.world().await?;
    site::deploy(stage, &world, 1, &hot_pages).await?;
    site::deploy(stage, &world, 2, &cold_pages).await?;
    let plan = Plan::new(stage, "edge", &world)?.with("LOGGIA_PROXY_CACHE_BYTES", cache_bytes);
    let _edge = plan.start().await?;
    let mut visitor = Visitor::new(plan.http());
    for page in hot_pages.iter() {
        anyhow::ensure!(visitor.sees(page).await, "{}{} is not shown", page.host, page.path);
    }
    let crowd = Crowd::start(plan.http(), &hot_pages, Pace::STEADY);
    crowd.watch(stage.lengths.quiet).await;
    let before = crowd.counts();
    let begun = Instant::now();
    let failed = crawl(plan.http(), &cold_pages).await;
    let (counts, secs) = (crowd.counts().since(&before), begun.elapsed().as_secs_f64());
    findings
        .after(format!(
            "{scanned} cold files of 2 KiB are read once, {} times the cache of {:.1} MiB, beside {hot} hot ones in {:.0} \
             requests/s",
            SCAN_BY_CACHE,
            cache_bytes as f64 / f64::from(1 << 20),
            Pace::STEADY.per_second()
        ))
        .at_least("hits of the hot files", HITS_MIN, 100.0 * counts.hits as f64 / counts.right as f64, "%")
        .none("hot files: failed or wrong", counts.failed() + counts.wrong)
        .none("cold files: failed or wrong", failed)
        .shown("cold files", scanned as f64 / secs, "/s");
    if let Some(trouble) = crowd.trouble() {
        findings.note(trouble);
    }
    Ok(())
}

/// Each page once. Gives how many were not right.
async fn crawl(edge: SocketAddr, pages: &Arc<[Page]>) -> u64 {
    let next = Arc::new(AtomicUsize::new(0));
    let mut crawlers = JoinSet::new();
    for _ in 0..CRAWLERS {
        let (next, pages) = (Arc::clone(&next), Arc::clone(pages));
        crawlers.spawn(async move {
            let (mut visitor, mut failed) = (Visitor::new(edge), 0);
            while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                failed += u64::from(!visitor.sees(page).await);
            }
            failed
        });
    }
    crawlers.join_all().await.into_iter().sum()
}
