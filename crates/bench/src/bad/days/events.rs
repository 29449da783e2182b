//! What the api says of promotes reaches the edges late, twice, in another order, or not at all.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::sleep;

use super::super::control::Control;
use super::super::edges::Plan;
use super::super::findings::Findings;
use super::super::messenger::{Messenger, Trouble};
use super::super::shop::{Audience, Shop};
use super::super::stage::Stage;
use crate::process::Process;

const EDGES: usize = 3;

/// While there is trouble.
const PROMOTES: usize = 9;
const PROMOTE_EVERY: Duration = Duration::from_millis(250);

const AGREED_WITHIN: Duration = Duration::from_secs(5);

/// How long the edges are watched after the end of it. One that disagrees then is taken never to come to it.
const WATCHED: Duration = Duration::from_secs(15);

pub(in super::super) async fn play(stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let world = stage.world().await?;
    let control = Control::start(stage, &world).await?;
    let shop = Arc::new(Shop::open(&control).await?);
    let (mut messengers, mut plans, mut edges) = (Vec::new(), Vec::new(), Vec::<Process>::new());
    for n in 0..EDGES {
        let messenger = Messenger::start(control.addr).await?;
        let plan = Plan::new(stage, &format!("edge-{n}"), &world)?.with_api(messenger.addr);
        edges.push(plan.start().await?);
        messengers.push(messenger);
        plans.push(plan);
    }
    let audiences: Vec<Audience> = plans.iter().map(|plan| Audience::gather(&shop, plan.http())).collect();
    let mut promotes = 0;
    settled(&audiences, promotes).await.context("the edges do not agree at the beginning")?;
    for trouble in Trouble::ALL {
        let before = shop.counts();
        messengers.iter().for_each(|messenger| messenger.set(trouble));
        for _ in 0..PROMOTES {
            promotes += 1;
            shop.promote(&control, promotes).await?;
            sleep(PROMOTE_EVERY).await;
        }
        messengers.iter().for_each(|messenger| messenger.set(Trouble::None));
        let agreed = settled(&audiences, promotes).await;
        let counts = shop.counts();
        findings
            .after(format!("events are {} during {PROMOTES} promotes", trouble.text()))
            .within(&format!("all {EDGES} edges agree, after the end of it"), AGREED_WITHIN, agreed)
            .none("mixed or wrong", counts.mixed - before.mixed)
            .none("failed", counts.failed - before.failed)
            .none("of a version that was over", counts.backwards - before.backwards);
        if agreed.is_none() {
            // The edges that missed it see the next one.
            promotes += 1;
            shop.promote(&control, promotes).await?;
            settled(&audiences, promotes).await.context("the edges do not see a promote after it")?;
        }
    }
    if let Some(trouble) = shop.trouble() {
        findings.note(trouble);
    }
    Ok(())
}

/// After which time all edges show the last promote.
async fn settled(audiences: &[Audience], promotes: usize) -> Option<Duration> {
    let all = audiences.iter().map(|audience| audience.settles(promotes, WATCHED));
    let all: Option<Vec<Duration>> = futures::future::join_all(all).await.into_iter().collect();
    all?.into_iter().max()
}
