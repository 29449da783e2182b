//! A site of two deployments, of which one is live, and visitors who know which one it may be.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use loggia_types::api::Promote;
use loggia_types::{ContentHash, DeploymentId, ProjectSlug};
use rand::RngExt as _;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::control::Control;
use super::site::Page;
use super::visitor::{Head, Visitor};

const SLUG: &str = "shop";
const HOST: &str = "shop.localhost";
const PAGE_BYTES: usize = 4096;

/// Of each edge.
const VISITORS: usize = 3;
const PAUSE: Duration = Duration::from_millis(20);

/// From one look at an edge to the next, of somebody who waits for a promote.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Shop {
    slug: ProjectSlug,
    versions: [Version; 2],
    /// Promotes that were begun. Version `n % 2` is live after promote `n`; nobody has promoted before the first.
    begun: AtomicUsize,
    answers: AtomicU64,
    mixed: AtomicU64,
    failed: AtomicU64,
    backwards: AtomicU64,
    trouble: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Version {
    deployment_id: DeploymentId,
    /// Each with its entity tag.
    pages: Vec<(Page, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub answers: u64,
    /// Other bytes than those of either version, or bytes of one under the hash of the other.
    pub mixed: u64,
    pub failed: u64,
    /// Of a version that had been followed by another, as this edge had shown already.
    pub backwards: u64,
}

impl Shop {
    pub(super) const PAGES: usize = 50;

    pub(super) async fn open(control: &Control<'_>) -> anyhow::Result<Self> {
        let slug: ProjectSlug = SLUG.parse()?;
        control.create_project(&slug).await?;
        // The one that is deployed last is live first.
        let second = Version::deploy(control, &slug, 1).await?;
        let first = Version::deploy(control, &slug, 0).await?;
        Ok(Self {
            slug,
            versions: [first, second],
            begun: AtomicUsize::new(0),
            answers: AtomicU64::new(0),
            mixed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            backwards: AtomicU64::new(0),
            trouble: Mutex::default(),
        })
    }

    /// The `number`-th promote, which is the one after the last.
    pub(super) async fn promote(&self, control: &Control<'_>, number: usize) -> anyhow::Result<()> {
        self.begun.store(number, Ordering::SeqCst);
        let deployment_id = self.versions[number % 2].deployment_id;
        control.client.promote(&self.slug, &Promote { deployment_id, alias: None }).await?;
        Ok(())
    }

    pub(super) fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            answers: load(&self.answers),
            mixed: load(&self.mixed),
            failed: load(&self.failed),
            backwards: load(&self.backwards),
        }
    }

    /// The first thing that was not right.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn trouble_is(&self, counter: &AtomicU64, what: impl FnOnce() -> String) {
        counter.fetch_add(1, Ordering::Relaxed);
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(what);
    }

    /// Which version an answer is of. `None`: of neither.
    fn version(&self, page: usize, head: &Head, body: &[u8]) -> Option<usize> {
        let is_whole = |version: &Version| {
            let (page, tag) = &version.pages[page];
            page.bytes == body && head.header("etag") == Some(tag)
        };
        self.versions.iter().position(is_whole).filter(|_| head.status == 200)
    }
}

impl Version {
    async fn deploy(control: &Control<'_>, slug: &ProjectSlug, version: u8) -> anyhow::Result<Self> {
        let page = |n: usize| Page::version(HOST, &format!("/page-{n}.woff2"), PAGE_BYTES, version);
        let pages: Vec<Page> = (0..Shop::PAGES).map(page).collect();
        let deployment_id = control.deploy(slug, &pages).await?;
        // Half of the hash.
        let tag = |page: &Page| format!("\"{:.32}\"", ContentHash::of(&page.bytes).to_string());
        let pages = pages.into_iter().map(|page| (page.clone(), tag(&page))).collect();
        Ok(Self { deployment_id, pages })
    }
}

/// Visitors of one edge. They leave when this is dropped.
#[derive(Debug)]
pub(super) struct Audience {
    edge: Arc<Edge>,
    _visitors: JoinSet<()>,
}

#[derive(Debug)]
struct Edge {
    shop: Arc<Shop>,
    addr: SocketAddr,
    /// The last promote of which an answer of this edge told.
    shown: AtomicUsize,
}

impl Audience {
    pub(super) fn gather(shop: &Arc<Shop>, addr: SocketAddr) -> Self {
        let edge = Arc::new(Edge { shop: Arc::clone(shop), addr, shown: AtomicUsize::new(0) });
        let mut visitors = JoinSet::new();
        for _ in 0..VISITORS {
            let edge = Arc::clone(&edge);
            visitors.spawn(async move {
                let mut visitor = Visitor::new(edge.addr);
                let mut ticks = interval(PAUSE);
                loop {
                    ticks.tick().await;
                    edge.look(&mut visitor).await;
                }
            });
        }
        Self { edge, _visitors: visitors }
    }

    /// Waits until the edge shows what the `number`-th promote, the last one, made live.
    pub(super) async fn sees(&self, number: usize) {
        let mut visitor = Visitor::new(self.edge.addr);
        // A promote is shown when an answer tells so that was asked for after it had begun.
        while self.edge.look(&mut visitor).await != Some(number % 2)
            || self.edge.shown.load(Ordering::SeqCst) != number
        {
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl Audience {
    /// After which time the edge shows nothing else any more than what the `number`-th promote, the last one, made live.
    /// `None`: it still does at the end of `watched`. What it shows meanwhile may be of any promote that was begun.
    pub(super) async fn settles(&self, number: usize, watched: Duration) -> Option<Duration> {
        let begun = Instant::now();
        let mut visitor = Visitor::new(self.edge.addr);
        let (mut settled, mut was_other) = (Duration::ZERO, true);
        while begun.elapsed() < watched {
            let is_other = self.edge.look(&mut visitor).await != Some(number % 2);
            if was_other || is_other {
                settled = begun.elapsed();
            }
            was_other = is_other;
            sleep(LOOK_AGAIN).await;
        }
        if was_other {
            return None;
        }
        self.edge.shown.fetch_max(number, Ordering::SeqCst);
        Some(settled)
    }
}

impl Edge {
    /// Asks for any page and holds the answer against what is possible. Gives its version.
    async fn look(&self, visitor: &mut Visitor) -> Option<usize> {
        let shop = &self.shop;
        let page = rand::rng().random_range(0..Shop::PAGES);
        let shown_before = self.shown.load(Ordering::SeqCst);
        let answer = visitor.get(HOST, &shop.versions[0].pages[page].0.path).await;
        let begun = shop.begun.load(Ordering::SeqCst);
        shop.answers.fetch_add(1, Ordering::Relaxed);
        let (head, body) = match answer {
            Ok((head, body)) if head.status < 500 => (head, body),
            Ok((head, _)) => {
                shop.trouble_is(&shop.failed, || format!("{head:?}"));
                return None;
            }
            Err(lost) => {
                shop.trouble_is(&shop.failed, || lost.to_string());
                return None;
            }
        };
        let Some(version) = shop.version(page, &head, &body) else {
            shop.trouble_is(&shop.mixed, || format!("{head:?}"));
            return None;
        };
        match (shown_before..=begun).find(|number| number % 2 == version) {
            Some(number) => drop(self.shown.fetch_max(number, Ordering::SeqCst)),
            None => shop.trouble_is(&shop.backwards, || {
                format!("version {version} after promote {shown_before} was shown, {begun} begun")
            }),
        }
        Some(version)
    }
}
