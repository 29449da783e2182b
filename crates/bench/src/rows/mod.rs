//! The rows of the table, in groups that can be run alone.

mod cold;
mod growth;
mod hot;
mod idle;
mod large;
mod small;
mod tls;

use std::fmt;

use anyhow::Context as _;

use crate::contender::{Contender, Expected};
use crate::probe;
use crate::report::{Goal, Report, Row};
use crate::rounds::{Generator, Measured, alternate};
use crate::run::Run;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Hot,
    Instructions,
    Tls,
    Small,
    Large,
    Cold,
    Range,
    Idle,
    Growth,
}

impl Group {
    const ALL: [Self; 9] = [
        Self::Hot,
        Self::Instructions,
        Self::Tls,
        Self::Small,
        Self::Large,
        Self::Cold,
        Self::Range,
        Self::Idle,
        Self::Growth,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Instructions => "instructions",
            Self::Tls => "tls",
            Self::Small => "small",
            Self::Large => "large",
            Self::Cold => "cold",
            Self::Range => "range",
            Self::Idle => "idle",
            Self::Growth => "growth",
        }
    }

    /// All of them when none is named.
    pub(crate) fn chosen(names: &[String]) -> anyhow::Result<Vec<Self>> {
        if names.is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        let known = || Self::ALL.map(Self::text).join(", ");
        let find = |name: &String| {
            let found = Self::ALL.into_iter().find(|group| group.text() == name);
            found.with_context(|| format!("no group {name:?}; there are {}", known()))
        };
        names.iter().map(find).collect()
    }

    pub(crate) async fn measure(self, run: &Run, report: &mut Report) -> anyhow::Result<()> {
        match self {
            Self::Hot => hot::throughput(run, report).await,
            Self::Instructions => hot::instructions(run, report).await,
            Self::Tls => tls::measure(run, report).await,
            Self::Small => small::measure(run, report).await,
            Self::Large => large::whole(run, report).await,
            Self::Cold => cold::measure(run, report).await,
            Self::Range => large::ranges(run, report).await,
            Self::Idle => idle::measure(run, report).await,
            Self::Growth => growth::measure(run, report).await,
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Below it, something else than the server was the limit: the network of the machine, or the client.
const BUSY_LEAST: f64 = 0.9;

/// Fails unless all contenders answer alike: only then do they do the same work.
async fn check(expected: Expected, contenders: &[Contender<'_>]) -> anyhow::Result<()> {
    for contender in contenders {
        probe::check(contender, expected).await?;
    }
    Ok(())
}

/// Measures contenders that were checked, and notes which of them were held up by something else.
async fn compare(
    run: &Run,
    report: &mut Report,
    what: &str,
    generator: Generator,
    contenders: &[Contender<'_>],
) -> anyhow::Result<Vec<Measured>> {
    let all = alternate(&run.options, &run.dir, generator, contenders).await?;
    for Measured { name, requests_per_second, cpu_us_per_request, busy } in &all {
        let percent = busy * 100.0;
        eprintln!(
            "  {name}: {requests_per_second:.0}/s, {cpu_us_per_request:.1} µs each, {percent:.0} % busy"
        );
    }
    let idle = all.iter().filter(|measured| measured.busy < BUSY_LEAST);
    let idle: Vec<String> =
        idle.map(|measured| format!("{} {:.0} %", measured.name, measured.busy * 100.0)).collect();
    if !idle.is_empty() {
        report.notes.push(format!("{what}: not all of its core was used by {}.", idle.join(", ")));
    }
    Ok(all)
}

fn row(measure: &str, peer: &str, ours: f64, theirs: f64, unit: &'static str, goal: Goal) -> Row {
    Row { measure: measure.to_owned(), peer: peer.to_owned(), ours, theirs, unit, goal, core_us: None }
}

/// A row of requests per second.
fn rate(measure: &str, ours: &Measured, theirs: &Measured, goal: Goal) -> Row {
    let core_us = Some((ours.cpu_us_per_request, theirs.cpu_us_per_request));
    let (ours, peer, theirs) = (ours.requests_per_second, &theirs.name, theirs.requests_per_second);
    Row { core_us, ..row(measure, peer, ours, theirs, "requests/s", goal) }
}

/// The one that answers most.
fn best<'m>(measured: impl IntoIterator<Item = &'m Measured>) -> Option<&'m Measured> {
    measured.into_iter().max_by(|a, b| a.requests_per_second.total_cmp(&b.requests_per_second))
}
