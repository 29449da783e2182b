//! Everybody asks for one object that is not in memory, and the one fetch that all wait for may break.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit};
use tokio::task::JoinSet;

use super::super::edges::Plan;
use super::super::findings::Findings;
use super::super::relay::{Fault, Relay};
use super::super::site::{self, Page};
use super::super::stage::Stage;
use super::super::visitor::{Seen, Visitor};

const HOST: &str = "launch.localhost";
const WARM: &str = "/warm.woff2";
const OBJECT_BYTES: usize = 1 << 20;

/// Of each client. With what the system would give to 10,000 of them, their buffers alone were gigabytes.
const RECEIVE_BUFFER: u32 = 64 * 1024;

const FETCHES_MAX: f64 = 2.0;
const RECOVERED_MAX: Duration = Duration::from_secs(1);

pub(in super::super) async fn play(stage: &Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let world = stage.world().await?;
    let cold: Vec<Page> =
        (0..3).map(|n| Page::noise(HOST, &format!("/cold-{n}.woff2"), OBJECT_BYTES)).collect();
    let warm = Page::noise(HOST, WARM, 1024);
    let pages: Vec<Page> = cold.iter().chain([&warm]).cloned().collect();
    site::deploy(stage, &world, 1, &pages).await?;
    let relay = Relay::start(world.s3).await?;
    let plan = Plan::new(stage, "edge", &world)?.with_store(relay.addr);
    let _edge = plan.start().await?;
    let is_warm = Visitor::new(plan.http()).sees(&warm).await;
    anyhow::ensure!(is_warm, "the edge does not show the site");

    let clients = stage.lengths.clients.min(clients_max()?);
    if clients < stage.lengths.clients {
        findings.note(format!(
            "this machine's limit of open files lets an edge have no {} connections",
            stage.lengths.clients
        ));
    }
    let asked = ask_together(plan.http(), &cold[0], clients, &relay).await?;
    findings
        .after(format!("{clients} clients ask for a cold object of 1 MiB"))
        .none("failed or wrong", asked.not_right)
        .at_most("fetches from S3", FETCHES_MAX, asked.fetches, "")
        .shown("all have it after", asked.took.as_secs_f64(), "s");
    note(findings, asked.trouble);

    let followers = stage.lengths.followers;
    let breaks =
        [(Fault::CutOnce, "its fetch is killed half-way"), (Fault::StallOnce, "its fetch stalls half-way")];
    for ((fault, what), page) in breaks.into_iter().zip(&cold[1..]) {
        relay.set(fault);
        let asked = ask_together(plan.http(), page, followers, &relay).await?;
        let broke_at = relay.broke_at().context("the fetch did not break")?;
        let recovered = (asked.ended_at.saturating_duration_since(broke_at), asked.not_right == 0);
        findings
            .after(format!("{followers} clients ask for a cold object of 1 MiB, and {what}"))
            .none("failed or wrong", asked.not_right)
            .within("the last one has it, after the break", RECOVERED_MAX, recovered.1.then_some(recovered.0))
            .at_most("fetches from S3", FETCHES_MAX, asked.fetches, "");
        note(findings, asked.trouble);
    }
    Ok(())
}

/// An edge keeps half of the files that a process may open for its other ends, and refuses connections beyond.
fn clients_max() -> anyhow::Result<usize> {
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(usize::try_from(files / 2).unwrap_or(usize::MAX).saturating_sub(500))
}

fn note(findings: &mut Findings, trouble: Option<String>) {
    if let Some(trouble) = trouble {
        findings.note(trouble);
    }
}

struct Asked {
    not_right: u64,
    /// What the first of those saw.
    trouble: Option<String>,
    fetches: f64,
    took: Duration,
    ended_at: Instant,
}

/// All are connected before the first one asks.
async fn ask_together(
    edge: std::net::SocketAddr,
    page: &Page,
    clients: usize,
    relay: &Relay,
) -> anyhow::Result<Asked> {
    let mut connected = JoinSet::new();
    let mut visitors = Vec::new();
    for _ in 0..clients {
        connected.spawn(async move {
            let mut visitor = Visitor::new(edge).with_receive_buffer(RECEIVE_BUFFER);
            visitor.connect().await.map(|()| visitor)
        });
        // More than the listener's queue holds would be refused by the system.
        if connected.len() >= 100 {
            visitors.extend(connected.join_next().await.transpose()?.transpose()?);
        }
    }
    while let Some(visitor) = connected.join_next().await {
        visitors.push(visitor??);
    }
    relay.forget();
    let begun = Instant::now();
    let mut asking = JoinSet::new();
    for mut visitor in visitors {
        let page = page.clone();
        // Those who have it stay, so that closing connections is no part of it.
        asking.spawn(async move { (visitor.look_at(&page).await, visitor) });
    }
    let done = asking.join_all().await;
    let ended_at = Instant::now();
    let others: Vec<_> = done.iter().filter(|(seen, _)| !matches!(seen, Ok(Seen::Right(_)))).collect();
    let trouble = others.first().map(|(seen, _)| format!("{seen:?}"));
    let not_right = others.len() as u64;
    Ok(Asked { not_right, trouble, fetches: relay.passed().len() as f64, took: ended_at - begun, ended_at })
}
