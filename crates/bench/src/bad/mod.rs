//! Bad days: something that the edge leans on breaks, or somebody is hostile, while visitors ask. What they see of it is
//! counted, every answer is compared with what was deployed, and each figure is held against what is asked of it.
//!
//! ```text
//! days/       one bad day each: what is broken, and what is looked at
//! stage       what days have in common: binary, folder, certificate, lengths
//! shop        a site of two deployments, and who sees which of them
//! site        sites of which every byte is known
//! edges       edges, which can be killed and started again with what they kept
//! generations an edge whose processes follow each other
//! control     the real api over a real Postgres
//! relay       between the edge and what it asks: counts, and breaks on command
//! messenger   the same for events: late, twice, out of order, not at all
//! frames      HTTP/2 by hand
//! visitor     one connection, read by hand, which tries nothing again
//! crowd       many of them, and how long answers took in each second
//! findings    the table
//! ```

mod control;
mod crowd;
mod days;
mod edges;
mod findings;
mod frames;
mod generations;
mod messenger;
pub(crate) mod options;
mod postgres;
mod relay;
mod shop;
mod site;
mod stage;
mod visitor;

use anyhow::{Context as _, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::days::Day;
use self::findings::Findings;
use self::options::BadOptions;
use self::stage::Stage;
use crate::machine::{describe, first_line};
use crate::report::{self, Marks};

const MARKS: Marks = Marks("bad-days");

/// False: something was not as it has to be.
pub(crate) async fn run(options: BadOptions) -> anyhow::Result<bool> {
    let stop = loggia_runtime::shutdown::on_signal()?;
    tokio::select! {
        played = play(options) => played,
        () = stop.cancelled() => bail!("interrupted"),
    }
}

async fn play(options: BadOptions) -> anyhow::Result<bool> {
    let days = Day::chosen(&options.only)?;
    let options = options.checked()?;
    open_many_files()?;
    let mut findings = Findings::new(about(&options));
    let busy_before = load_average();
    for day in days {
        eprintln!("playing: {day}");
        findings.begin(day.title());
        // A folder of its own for each, so that nothing of one day is left on the next.
        let stage = Stage::set(&options, day.text())?;
        if let Err(error) = day.play(&stage, &mut findings).await {
            eprintln!("loggia-bench: {day}: {error:#}");
            findings.failed(&error);
        }
    }
    findings.about(format!(
        "load of the machine before it (1, 5, 15 minutes): {busy_before}; after it: {}",
        load_average()
    ));
    write(&options, &findings)?;
    Ok(findings.are_good())
}

fn about(options: &BadOptions) -> Vec<String> {
    let quick = if options.quick { " --quick" } else { "" };
    let only =
        if options.only.is_empty() { String::new() } else { format!(" --only {}", options.only.join(",")) };
    vec![
        format!("`loggia-bench bad-days{quick}{only}`"),
        describe(),
        first_line(&options.program.display().to_string(), &["--version"]),
    ]
}

/// Each visitor is a connection, and a shell allows a thousand files unless it is asked for more.
fn open_many_files() -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("allowing many open files")
}

/// What else ran: on a busy machine, times say more of it than of the edge.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(", ")
}

fn write(options: &BadOptions, findings: &Findings) -> anyhow::Result<()> {
    let text = findings.markdown();
    println!("{text}");
    if let Some(out) = &options.out {
        std::fs::write(out, &text).with_context(|| format!("writing {}", out.display()))?;
    }
    options.paste.as_deref().map_or(Ok(()), |document| report::paste(document, MARKS, &text))
}
