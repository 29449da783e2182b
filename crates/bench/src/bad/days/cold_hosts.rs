//! The api comes back, and everybody asks for another host: for one that the edge has never heard of, or for one that it
//! has to check again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use loggia_types::{DeploymentId, DeploymentRef, ProjectId};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::edges::Plan;
use super::super::findings::Findings;
use super::super::relay::{Fault, Relay, most_in_a_second};
use super::super::site::{self, Page};
use super::super::stage::Stage;
use super::super::visitor::{Lost, Seen, Visitor};
use crate::sites::route;
use crate::world::World;

const PROJECT: u64 = 1;
const PATH: &str = "/page.woff2";

/// At most so many lookups in any second.
const LOOKUPS_MAX: f64 = 200.0;

/// Who ask at the same time; each for one host after the other.
const VISITORS: usize = 500;

/// Who are told to come again later do.
const COME_AGAIN: Duration = Duration::from_secs(1);

const AWAY: Duration = Duration::from_secs(3);

pub(in super::super) async fn play(stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let hosts = stage.lengths.cold_hosts;
    let world = stage.world().await?;
    let page = Page::noise("first.localhost", PATH, 2048);
    site::deploy(stage, &world, PROJECT, std::slice::from_ref(&page)).await?;
    let pages: Arc<[Page]> =
        (0..hosts).map(|n| Page { host: format!("host-{n}.localhost").into(), ..page.clone() }).collect();
    make_known(&world, &pages).await?;
    let relay = Relay::start(world.api).await?;
    let plan = Plan::new(stage, "edge", &world)?.with_api(relay.addr);
    let _edge = plan.start().await?;
    anyhow::ensure!(Visitor::new(plan.http()).sees(&page).await, "the edge does not show the site");

    let rounds = [
        format!(
            "the api is away for {} s; then {hosts} hosts are asked for that the edge has never seen",
            AWAY.as_secs()
        ),
        format!("the same with the {hosts} hosts that it knows now"),
    ];
    for (done, is_known) in rounds.into_iter().zip([false, true]) {
        relay.set(Fault::Down);
        sleep(AWAY).await;
        relay.set(Fault::None);
        relay.forget();
        let asked = ask_for_all(plan.http(), &pages).await;
        // What is asked for in the background comes after the answers.
        sleep(COME_AGAIN).await;
        let passed = relay.passed();
        let lookups: Vec<Instant> =
            passed.iter().filter(|passed| passed.path.contains("/routes/")).map(|passed| passed.at).collect();
        let later = asked.later.load(Ordering::Relaxed);
        let after = findings
            .after(done)
            .at_most(
                "most lookups at the api in a second",
                LOOKUPS_MAX,
                most_in_a_second(&lookups) as f64,
                "",
            )
            .none("failed or wrong", asked.not_right.load(Ordering::Relaxed))
            .shown("lookups", lookups.len() as f64, "")
            .shown("all are shown after", asked.took.as_secs_f64(), "s");
        if is_known {
            after.none("told to come again (503)", later);
        } else {
            after.shown("told to come again (503)", later as f64, "");
        }
    }
    Ok(())
}

#[derive(Default)]
struct Asked {
    not_right: AtomicU64,
    later: AtomicU64,
    took: Duration,
}

/// Each host once, until it is shown.
async fn ask_for_all(edge: std::net::SocketAddr, pages: &Arc<[Page]>) -> Asked {
    let begun = Instant::now();
    let (asked, next) = (Arc::new(Asked::default()), Arc::new(AtomicUsize::new(0)));
    let mut visitors = JoinSet::new();
    for _ in 0..VISITORS {
        let (asked, next, pages) = (Arc::clone(&asked), Arc::clone(&next), Arc::clone(pages));
        visitors.spawn(async move {
            let mut visitor = Visitor::new(edge);
            while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                let seen = until_shown(&mut visitor, page, &asked.later).await;
                if !matches!(seen, Ok(Seen::Right(_))) {
                    asked.not_right.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    visitors.join_all().await;
    let count = |counter: &AtomicU64| AtomicU64::new(counter.load(Ordering::Relaxed));
    Asked { not_right: count(&asked.not_right), later: count(&asked.later), took: begun.elapsed() }
}

async fn until_shown(visitor: &mut Visitor, page: &Page, later: &AtomicU64) -> Result<Seen, Lost> {
    loop {
        let seen = visitor.look_at(page).await;
        match &seen {
            Ok(Seen::Other(head)) if head.status == 503 && head.header("retry-after").is_some() => {
                later.fetch_add(1, Ordering::Relaxed);
                sleep(COME_AGAIN).await;
            }
            _ => return seen,
        }
    }
}

/// All show one deployment: what is asked of the api is what matters here.
async fn make_known(world: &World, pages: &[Page]) -> anyhow::Result<()> {
    let deployment = DeploymentRef {
        project_id: ProjectId::from_parts(PROJECT, 1),
        deployment_id: DeploymentId::from_parts(PROJECT, 1),
    };
    let told = stream::iter(pages)
        .map(|page| async move { world.set_route(&route(&page.host, deployment)?).await })
        .buffer_unordered(16);
    told.try_collect().await
}
