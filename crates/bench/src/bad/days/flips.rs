//! A project goes back and forth between two deployments on three edges, and every answer is one of the two, whole, and
//! never one that is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::time::timeout;

use super::super::control::Control;
use super::super::crowd::p99;
use super::super::edges::Plan;
use super::super::findings::Findings;
use super::super::shop::{Audience, Shop};
use super::super::stage::Stage;
use crate::process::Process;
use crate::rounds::median;

const EDGES: usize = 3;
const VISIBLE_P99_MAX_MS: f64 = 100.0;
const VISIBLE_MAX: Duration = Duration::from_secs(10);

pub(in super::super) async fn play(stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let flips = stage.lengths.flips;
    let world = stage.world().await?;
    let control = Control::start(stage, &world).await?;
    let shop = Arc::new(Shop::open(&control).await?);
    let plans: Vec<Plan<'_>> = (0..EDGES)
        .map(|n| Ok(Plan::new(stage, &format!("edge-{n}"), &world)?.with_api(control.addr)))
        .collect::<anyhow::Result<_>>()?;
    let mut edges: Vec<Process> = Vec::new();
    for plan in &plans {
        edges.push(plan.start().await?);
    }
    let audiences: Vec<Audience> = plans.iter().map(|plan| Audience::gather(&shop, plan.http())).collect();
    for audience in &audiences {
        let seen = timeout(VISIBLE_MAX, audience.sees(0)).await;
        seen.with_context(|| format!("an edge does not show the site: {:?}", shop.trouble()))?;
    }

    let (mut since_call, mut since_answer) = (Vec::new(), Vec::new());
    for flip in 1..=flips {
        let called = Instant::now();
        let promote = async {
            shop.promote(&control, flip).await?;
            anyhow::Ok(Instant::now())
        };
        let seen =
            futures::future::join_all(audiences.iter().map(async |audience| {
                timeout(VISIBLE_MAX, audience.sees(flip)).await.map(|()| Instant::now())
            }));
        let (answered, seen) = tokio::join!(promote, seen);
        let answered = answered?;
        for seen in seen {
            let seen =
                seen.with_context(|| format!("promote {flip} is not visible within {VISIBLE_MAX:?}"))?;
            since_call.push((seen - called).as_secs_f64() * 1e3);
            since_answer.push(seen.saturating_duration_since(answered).as_secs_f64() * 1e3);
        }
    }
    let counts = shop.counts();
    let median_ms = median(since_call.iter().copied());
    let (call_p99, answer_p99) = (p99(since_call), p99(since_answer));
    findings
        .after(format!(
            "{flips} promotes of a site of {} files on {EDGES} edges, {} answers checked",
            Shop::PAGES,
            counts.answers
        ))
        .none("mixed or wrong", counts.mixed)
        .none("failed", counts.failed)
        .none("of a version that was over", counts.backwards)
        .at_most(
            "from calling the api to each edge's first new answer, p99",
            VISIBLE_P99_MAX_MS,
            call_p99.unwrap_or(f64::INFINITY),
            "ms",
        )
        .shown("the same, median", median_ms, "ms")
        .shown("from the api's answer to it, p99", answer_p99.unwrap_or(f64::INFINITY), "ms");
    if let Some(trouble) = shop.trouble() {
        findings.note(trouble);
    }
    Ok(())
}
