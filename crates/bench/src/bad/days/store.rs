//! The store breaks in every way, while visitors ask for files that the edge has and for files that it has not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::super::crowd::{Crowd, Pace};
use super::super::edges::Plan;
use super::super::findings::Findings;
use super::super::relay::{Fault, Relay, most_in_a_second};
use super::super::site::{self, Page};
use super::super::stage::Stage;
use super::super::visitor::{Lost, Seen, Visitor};

const CACHED_HOST: &str = "cached.localhost";
const COLD_HOST: &str = "cold.localhost";
const CACHED: usize = 200;
const PAGE_BYTES: usize = 10 * 1024;

/// From one request for a file that nobody asked for before to the next.
const COLD_EVERY: Duration = Duration::from_millis(40);

/// The time in which recovery is looked at; a request of a visitor may wait for the store as long as this.
const RECOVERY: Duration = Duration::from_secs(8);

const NORMAL_WITHIN: Duration = Duration::from_secs(5);

/// The store's requests while all recover, by those of every day.
const RUSH_MAX: f64 = 2.0;

const FAULTS: [(Fault, &str); 6] = [
    (Fault::Down, "S3 is down: connections are closed"),
    (Fault::Silent, "S3 hangs"),
    (Fault::Status(403), "S3 answers 403"),
    (Fault::Status(503), "S3 answers 503"),
    (Fault::Cut, "S3's bodies end half-way"),
    (Fault::Wrong, "S3's bodies have a wrong byte"),
];

pub(in super::super) async fn play(stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let fault_time = stage.lengths.store_fault;
    let world = stage.world().await?;
    let pages = |host: &str, count: usize| -> Vec<Page> {
        (0..count).map(|n| Page::noise(host, &format!("/page-{n}.woff2"), PAGE_BYTES)).collect()
    };
    let played = fault_time + (fault_time + RECOVERY) * u32::try_from(FAULTS.len())?;
    // Half as many again: what was asked for while it was broken is asked for a second time, which takes its time too.
    let asked = played.as_millis() / COLD_EVERY.as_millis() * 3 / 2;
    let cached: Arc<[Page]> = pages(CACHED_HOST, CACHED).into();
    let cold: Arc<[Page]> = pages(COLD_HOST, usize::try_from(asked)? + 100).into();
    site::deploy(stage, &world, 1, &cached).await?;
    site::deploy(stage, &world, 2, &cold).await?;
    let relay = Relay::start(world.s3).await?;
    let plan = Plan::new(stage, "edge", &world)?.with_store(relay.addr);
    let _edge = plan.start().await?;
    let mut visitor = Visitor::new(plan.http());
    for page in cached.iter().chain(&cold[..1]) {
        anyhow::ensure!(visitor.sees(page).await, "{}{} is not shown", page.host, page.path);
    }

    let crowd = Crowd::start(plan.http(), &cached, Pace::STEADY);
    let explorers = Explorers::start(plan.http(), &cold);
    relay.forget();
    sleep(fault_time).await;
    let every_day = busiest_second(&relay);
    for (fault, what) in FAULTS {
        let (cached_before, first) = (crowd.counts(), explorers.seen().len());
        relay.set(fault);
        sleep(fault_time).await;
        let during = explorers.seen()[first..].to_vec();
        relay.set(Fault::None);
        let returned = Instant::now();
        relay.forget();
        sleep(RECOVERY).await;
        let rush = busiest_second(&relay) / every_day;
        let after: Vec<Explored> = explorers.seen()[first + during.len()..].to_vec();
        let cached_counts = crowd.counts().since(&cached_before);

        let right = during.iter().filter(|explored| explored.outcome == Outcome::Right).count();
        let refused = during.iter().filter(|explored| explored.outcome == Outcome::ComeAgain).count();
        let all = during.iter().chain(&after);
        let longest = all.clone().map(|explored| explored.took).max().unwrap_or_default();
        let wrong = all.clone().filter(|explored| explored.outcome == Outcome::Wrong).count() as u64;
        let not_honest = all.filter(|explored| matches!(explored.outcome, Outcome::Other(_)));
        let not_honest: Vec<&Explored> = not_honest.collect();
        let kept_wrong = still_wrong(&plan, &cold, &during).await;
        let normal = since_return(returned, &after);
        findings
            .after(format!("{what} for {} s", fault_time.as_secs()))
            .none("cached files: failed or wrong", cached_counts.failed() + cached_counts.wrong)
            .none("others: neither right nor 503 with Retry-After", not_honest.len() as u64)
            .none("others: wrong bytes", wrong)
            .none("asked again afterwards: wrong or failed", kept_wrong)
            .within("all is normal, after its return", NORMAL_WITHIN, normal)
            .at_most("requests to S3 in the busiest second after it, by every day's", RUSH_MAX, rush, "×")
            .shown("others: 503 with Retry-After, meanwhile", refused as f64, "")
            .shown("others: the longest wait for an answer", longest.as_secs_f64(), "s")
            .shown("others: right all the same", right as f64, "");
        if let Some(strange) = not_honest.first() {
            findings.note(format!("{what}: {:?}", strange.outcome));
        }
    }
    let last = explorers.seen().iter().map(|explored| explored.page).max();
    anyhow::ensure!(last < Some(cold.len() - 1), "the pages that nobody had asked for ran out");
    if let Some(trouble) = crowd.trouble() {
        findings.note(format!("a cached file: {trouble}"));
    }
    Ok(())
}

fn busiest_second(relay: &Relay) -> f64 {
    let times: Vec<Instant> = relay.passed().iter().map(|passed| passed.at).collect();
    most_in_a_second(&times) as f64
}

/// How long after the store's return something was not right for the last time. `None`: nothing has been right since.
fn since_return(returned: Instant, after: &[Explored]) -> Option<Duration> {
    let is_right = |explored: &&Explored| explored.outcome == Outcome::Right;
    after.iter().find(is_right)?;
    let last = after.iter().filter(|explored| !is_right(explored)).map(|explored| explored.at).max();
    Some(last.map_or(Duration::ZERO, |at| at.saturating_duration_since(returned)))
}

/// What was asked for while the store was broken, once more: nothing of it may have been kept.
async fn still_wrong(plan: &Plan<'_>, cold: &[Page], during: &[Explored]) -> u64 {
    let mut visitor = Visitor::new(plan.http());
    let mut wrong = 0;
    for explored in during {
        wrong += u64::from(!visitor.sees(&cold[explored.page]).await);
    }
    wrong
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Right,
    Wrong,
    /// 503 with `Retry-After`.
    ComeAgain,
    Other(String),
}

#[derive(Debug, Clone)]
struct Explored {
    page: usize,
    outcome: Outcome,
    at: Instant,
    took: Duration,
}

/// They ask for one page after the other, each once, whether or not the ones before have come.
struct Explorers {
    seen: Arc<Mutex<Vec<Explored>>>,
    _tasks: JoinSet<()>,
}

impl Explorers {
    fn start(edge: SocketAddr, cold: &Arc<[Page]>) -> Self {
        let (seen, next) = (Arc::<Mutex<Vec<Explored>>>::default(), AtomicUsize::new(1));
        let (noted, cold) = (Arc::clone(&seen), Arc::clone(cold));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut ticks = interval(COLD_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut asking = JoinSet::new();
            loop {
                ticks.tick().await;
                while asking.try_join_next().is_some() {}
                let page = next.fetch_add(1, Ordering::Relaxed);
                let (noted, cold) = (Arc::clone(&noted), Arc::clone(&cold));
                asking.spawn(async move {
                    // When pages run out, nobody asks any more, and the day says so.
                    if page >= cold.len() {
                        return;
                    }
                    let asked_at = Instant::now();
                    let outcome = outcome(Visitor::new(edge).look_at(&cold[page]).await);
                    let (at, took) = (Instant::now(), asked_at.elapsed());
                    let explored = Explored { page, outcome, at, took };
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push(explored);
                });
            }
        });
        Self { seen, _tasks: tasks }
    }

    fn seen(&self) -> Vec<Explored> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn outcome(seen: Result<Seen, Lost>) -> Outcome {
    match seen {
        Ok(Seen::Right(_)) => Outcome::Right,
        Ok(Seen::Wrong(_)) => Outcome::Wrong,
        Ok(Seen::Other(head)) if head.status == 503 && head.header("retry-after").is_some() => {
            Outcome::ComeAgain
        }
        Ok(Seen::Other(head)) => Outcome::Other(head.status.to_string()),
        Err(lost) => Outcome::Other(lost.to_string()),
    }
}
