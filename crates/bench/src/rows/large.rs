//! Bytes instead of requests.

use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::interval;

use super::{best, check, compare, rate, row};
use crate::contender::{Ask, Expected};
use crate::process::Process;
use crate::report::{Goal, Report, Row};
use crate::rounds::{Generator, Measured};
use crate::run::Run;
use crate::sites::{HOT, HUGE, HUGE_HOST, LARGE, LARGE_BYTES};

/// Fewer than for small files: with 64 the sockets' buffers alone are more than the processor's caches.
const CONNECTIONS: u32 = 16;

/// Ranges, somewhere each.
const RANGES: usize = 1_000;

/// Memory that is constant, measured while it is used.
const GROWTH_MOST: f64 = 1.25;

const LOOK_AGAIN: Duration = Duration::from_millis(100);

const MEBIBYTE: f64 = (1 << 20) as f64;

pub(super) async fn whole(run: &Run, report: &mut Report) -> anyhow::Result<()> {
    let ask = || [Ask::new(HOT, LARGE)];
    let ports = run.nginx.ports;
    let contenders = [
        run.ours(ask()),
        run.nginx("nginx static, `sendfile on`", ports.with_sendfile, ask()),
        run.nginx("nginx static, `sendfile off`", ports.without_sendfile, ask()),
    ];
    let expected = Expected { status: 200, body_bytes: Some(LARGE_BYTES) };
    let (name, generator) = ("1 MB from cache", Generator::Wrk { connections: CONNECTIONS });
    check(expected, &contenders).await?;
    let all = compare(run, report, name, generator, &contenders).await?;
    let nginx = best(&all[1..]).context("nginx was measured")?;
    report.rows.push(bytes_rate(name, &all[0], nginx, Goal::AtLeast(1.7)));
    Ok(())
}

pub(super) async fn ranges(run: &Run, report: &mut Report) -> anyhow::Result<()> {
    let asks = ranges_of(run.scale.huge_bytes);
    let contenders =
        [run.ours(asks.clone()), run.nginx("nginx static, `sendfile on`", run.nginx.ports.huge, asks)];
    let expected = Expected { status: 206, body_bytes: Some(LARGE_BYTES) };
    let (name, generator) = ("1 MB out of 1 GB", Generator::Wrk { connections: CONNECTIONS });
    check(expected, &contenders).await?;
    // What it needs to do this at all, and what it needs to go on doing it.
    let first = [contenders[0].clone()];
    let mut unread = Report::default();
    let once = compare(run, &mut unread, name, generator, &first);
    let (_, before) = peak(&run.edge.process, once).await?;
    let all = compare(run, report, name, generator, &contenders);
    let (all, after) = peak(&run.edge.process, all).await?;
    let nginx = &all[1];
    report.rows.push(bytes_rate(name, &all[0], nginx, Goal::AtLeast(1.0)));
    let (measure, peer) = ("the same, peak of our memory", "the peak in as many requests before");
    report.rows.push(row(
        measure,
        peer,
        after / MEBIBYTE,
        before / MEBIBYTE,
        "MiB",
        Goal::AtMost(GROWTH_MOST),
    ));
    Ok(())
}

fn ranges_of(bytes: u64) -> Vec<Ask> {
    let mut random = SmallRng::seed_from_u64(2);
    let mut ask = || {
        let first = random.random_range(0..bytes - LARGE_BYTES);
        let last = first + LARGE_BYTES - 1;
        Ask::new(HUGE_HOST, HUGE).with("Range", format!("bytes={first}-{last}"))
    };
    (0..RANGES).map(|_| ask()).collect()
}

/// The most memory that a process had while something was done.
async fn peak<T>(
    process: &Process,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(T, f64)> {
    let (mut work, mut looks) = (Box::pin(work), interval(LOOK_AGAIN));
    let mut most = 0;
    loop {
        tokio::select! {
            done = &mut work => return Ok((done?, most as f64)),
            _ = looks.tick() => most = most.max(process.memory_bytes()),
        }
    }
}

/// A row of bytes per second, of [`LARGE_BYTES`] each.
fn bytes_rate(measure: &str, ours: &Measured, theirs: &Measured, goal: Goal) -> Row {
    let mebibytes = |requests: f64| requests * LARGE_BYTES as f64 / MEBIBYTE;
    let row = rate(measure, ours, theirs, goal);
    Row { ours: mebibytes(row.ours), theirs: mebibytes(row.theirs), unit: "MiB/s", ..row }
}
