//! Objects that are asked for once: each is fetched from S3.

use super::hot::{INSTRUCTIONS, count_edge, count_nginx};
use super::row;
use crate::instructions;
use crate::load::{LoadOptions, Loaded};
use crate::report::{Goal, Report, Row};
use crate::rounds::median;
use crate::run::Run;
use crate::sites::{COLD, FILE, Sites};
use crate::tools::load;
use crate::world::BUCKET;

const CONNECTIONS: u32 = 16;

const MEASURE: &str = "cold 10 KB from S3, ours signed";
const NGINX: &str = "nginx `proxy_pass` to the same bucket, public";

pub(super) async fn measure(run: &Run, report: &mut Report) -> anyhow::Result<()> {
    let ours = LoadOptions::fixed(run.edge.http, COLD, &Sites::cold_path("{}"));
    let nginx = LoadOptions { addr: run.nginx.ports.pass, ..ours.clone() };
    let path = format!("/{BUCKET}/{}{}", run.sites.prefix(COLD)?, Sites::cold_path("{}"));
    let direct = LoadOptions::fixed(run.world.s3, &run.world.s3.to_string(), &path);
    // A host that is known: its route and its manifest are there, and connections to S3 are open.
    for options in [&ours, &nginx] {
        let known =
            LoadOptions { path: FILE.to_owned(), count: 64, connections: CONNECTIONS, ..options.clone() };
        load(run.options.load_core, &known).await?;
    }
    throughput(run, report, &ours, &nginx).await?;
    latency(run, report, [&ours, &nginx, &direct]).await?;
    instructions(run, report, ours, nginx).await
}

/// Edges and nginxes of its own, so that all is cold once more.
async fn instructions(
    run: &Run,
    report: &mut Report,
    ours: LoadOptions,
    nginx: LoadOptions,
) -> anyhow::Result<()> {
    if !instructions::is_available() {
        return Ok(());
    }
    let most = run.scale.cold_per_turn as u64;
    let counted = (most / 10, most);
    let ours = count_edge(run, "edge-cold", counted, ours).await?;
    let theirs = count_nginx(run, "nginx-cold", counted, |ports| ports.pass, nginx).await?;
    report.rows.push(row(MEASURE, NGINX, ours, theirs, INSTRUCTIONS, Goal::Nothing));
    Ok(())
}

async fn throughput(
    run: &Run,
    report: &mut Report,
    ours: &LoadOptions,
    nginx: &LoadOptions,
) -> anyhow::Result<()> {
    let count = run.scale.cold_per_turn as u64;
    let (mut our_turns, mut their_turns) = (Vec::new(), Vec::new());
    for round in 0..run.options.rounds as u64 {
        let turn = |options: &LoadOptions| LoadOptions {
            first: round * count,
            count,
            connections: CONNECTIONS,
            ..options.clone()
        };
        for (options, process, turns) in
            [(ours, &run.edge.process, &mut our_turns), (nginx, &run.nginx.process, &mut their_turns)]
        {
            let before = process.cpu_secs();
            let loaded = load(run.options.load_core, &turn(options)).await?;
            turns.push((loaded, process.cpu_secs() - before));
        }
    }
    let rate =
        |turns: &[(Loaded, f64)]| median(turns.iter().map(|(turn, _)| turn.requests as f64 / turn.secs));
    let cpu =
        |turns: &[(Loaded, f64)]| median(turns.iter().map(|(turn, cpu)| cpu * 1e6 / turn.requests as f64));
    let (ours, theirs) = (rate(&our_turns), rate(&their_turns));
    let core_us = Some((cpu(&our_turns), cpu(&their_turns)));
    let row = row(MEASURE, NGINX, ours, theirs, "requests/s", Goal::AtLeast(1.0));
    report.rows.push(Row { core_us, ..row });
    report.notes.push(
        "cold: the S3 server shares the client's core and takes more of it than either proxy of its own; \
         what a proxy costs is in the column of its core."
            .to_owned(),
    );
    Ok(())
}

/// One at a time: what the way through the edge adds.
async fn latency(run: &Run, report: &mut Report, ways: [&LoadOptions; 3]) -> anyhow::Result<()> {
    let count = run.scale.cold_per_turn as u64;
    let after_throughput = run.options.rounds as u64 * count;
    let mut turns: [Vec<f64>; 3] = Default::default();
    for round in 0..run.options.rounds as u64 {
        let first = after_throughput + round * count;
        for (options, turns) in ways.into_iter().zip(&mut turns) {
            let turn = LoadOptions { first, count, connections: 1, ..options.clone() };
            turns.push(load(run.options.load_core, &turn).await?.p50_us);
        }
    }
    let [ours, nginx, direct] = turns.map(median);
    let name = "cold 10 KB, one at a time, p50";
    report.rows.push(row(
        name,
        "a GET of the object from the same S3",
        ours,
        direct,
        "µs",
        Goal::AtMost(1.5),
    ));
    report.rows.push(row(name, NGINX, ours, nginx, "µs", Goal::Nothing));
    Ok(())
}
