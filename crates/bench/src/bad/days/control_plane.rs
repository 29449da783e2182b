//! The api and its database are away while visitors ask for hosts that the edge knows, and the edge is killed meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use loggia_types::ProjectSlug;
use nix::sys::signal::Signal;

use super::super::control::Control;
use super::super::crowd::{Compared, Crowd, Pace};
use super::super::edges::{Plan, shows};
use super::super::findings::Findings;
use super::super::relay::{Fault, Relay};
use super::super::site::Page;
use super::super::stage::Stage;
use super::super::visitor::Visitor;

const PAGE_BYTES: usize = 4096;
const DEPLOYED_AT_ONCE: usize = 8;

const P99_MAX: f64 = 1.2;
const SHOWN_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    ApiHangs,
    DatabaseHangs,
    Killed,
    Dropped,
}

impl Loss {
    const ALL: [Self; 4] = [Self::ApiHangs, Self::DatabaseHangs, Self::Killed, Self::Dropped];

    fn text(self) -> &'static str {
        match self {
            Self::ApiHangs => "the api hangs (SIGSTOP)",
            Self::DatabaseHangs => "Postgres hangs (SIGSTOP)",
            Self::Killed => "api and Postgres are killed",
            Self::Dropped => "what the api says is dropped on its way",
        }
    }

    fn begin(self, control: &mut Control<'_>, relay: &Relay) -> anyhow::Result<()> {
        match self {
            Self::ApiHangs => control.signal_api(Signal::SIGSTOP),
            Self::DatabaseHangs => control.signal_postgres(Signal::SIGSTOP),
            Self::Killed => control.kill()?,
            Self::Dropped => relay.set(Fault::Silent),
        }
        Ok(())
    }

    async fn end(self, control: &mut Control<'_>, relay: &Relay) -> anyhow::Result<()> {
        match self {
            Self::ApiHangs => control.signal_api(Signal::SIGCONT),
            Self::DatabaseHangs => control.signal_postgres(Signal::SIGCONT),
            Self::Killed => control.resume().await?,
            Self::Dropped => relay.set(Fault::None),
        }
        control.is_ready().await
    }
}

pub(in super::super) async fn play(stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let lengths = stage.lengths;
    let world = stage.world().await?;
    let mut control = Control::start(stage, &world).await?;
    let relay = Relay::start(control.addr).await?;
    let pages = deploy(&control, lengths.hosts).await?;
    let plan = Plan::new(stage, "edge", &world)?.with_api(relay.addr);
    let mut edge = plan.start().await?;
    for loss in Loss::ALL {
        let mut compared = Compared::default();
        // Every host is known and in memory before anything is measured.
        anyhow::ensure!(
            not_shown(&plan, &pages).await == 0,
            "not all hosts are shown before {}",
            loss.text()
        );
        let crowd = Crowd::start(plan.http(), &pages, Pace::STEADY);
        compared.around(crowd.watch(lengths.quiet).await);
        let before = crowd.counts();
        loss.begin(&mut control, &relay)?;
        compared.during(crowd.watch(lengths.loss).await);
        let counts = crowd.counts().since(&before);
        let trouble = crowd.trouble();
        drop(crowd);

        edge.kill()?;
        edge = plan.spawn()?;
        let first = shows(plan.http(), &pages[0], SHOWN_MAX * 10).await;
        let not_shown = not_shown(&plan, &pages).await;

        loss.end(&mut control, &relay).await?;
        let crowd = Crowd::start(plan.http(), &pages, Pace::STEADY);
        compared.around(crowd.watch(lengths.quiet).await);

        let (during, around) = compared.p99_ms();
        findings
            .after(format!(
                "{} for {} s; {} known hosts, {:.0} requests/s",
                loss.text(),
                lengths.loss.as_secs(),
                pages.len(),
                Pace::STEADY.per_second()
            ))
            .none("failed", counts.failed())
            .none("wrong bytes", counts.wrong)
            .at_most("p99 by the p99 around it", P99_MAX, compared.ratio(), "×")
            .shown("p99", during, "ms")
            .shown("p99 around it", around, "ms");
        findings
            .after("meanwhile the edge is killed and started again")
            .within("the first right page", SHOWN_MAX, first)
            .none("known hosts that are not shown", not_shown);
        if let Some(trouble) = trouble {
            findings.note(format!("{}: {trouble}", loss.text()));
        }
    }
    Ok(())
}

/// A project for each host.
async fn deploy(control: &Control<'_>, hosts: usize) -> anyhow::Result<Arc<[Page]>> {
    let deploy = |n: usize| async move {
        let slug: ProjectSlug = format!("site-{n}").parse()?;
        let page = Page::noise(&format!("{slug}.localhost"), "/page.woff2", PAGE_BYTES);
        control.create_project(&slug).await?;
        control.deploy(&slug, std::slice::from_ref(&page)).await?;
        anyhow::Ok(page)
    };
    let deployed = stream::iter(0..hosts).map(deploy).buffer_unordered(DEPLOYED_AT_ONCE);
    let pages: Vec<Page> = deployed.try_collect().await?;
    Ok(pages.into())
}

/// How many of the hosts do not show what was deployed.
async fn not_shown(plan: &Plan<'_>, pages: &[Page]) -> u64 {
    let mut visitor = Visitor::new(plan.http());
    let mut not_shown = 0;
    for page in pages {
        not_shown += u64::from(!visitor.sees(page).await);
    }
    not_shown
}
