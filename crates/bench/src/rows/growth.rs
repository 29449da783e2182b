//! What must not grow: a request on a small site, and the same on a large one.

use super::{check, compare, hot, rate, row};
use crate::contender::{Ask, Contender, Expected};
use crate::instructions;
use crate::load::LoadOptions;
use crate::report::{Goal, Report};
use crate::rounds::Generator;
use crate::run::Run;
use crate::sites::{FEW_FILES, FILE, FILE_BYTES, MANY_FILES, ONE_RULE, RULES, STATIC_REDIRECTS, Sites};

/// A hundredth is a difference of the hash of another path.
const INSTRUCTIONS_MOST: f64 = 1.05;

/// Noise of a quiet machine.
const RATE_LEAST: f64 = 0.95;

/// Of 1,000 hosts in turn, nothing is in the processor's nearest cache any more: that is no look-up that grows.
const HOSTS_RATE_LEAST: f64 = 0.7;

struct Case {
    name: String,
    peer: &'static str,
    large: Vec<Ask>,
    small: Vec<Ask>,
    expected: Expected,
    least: f64,
}

pub(super) async fn measure(run: &Run, report: &mut Report) -> anyhow::Result<()> {
    for case in cases(run) {
        let generator = Generator::Wrk { connections: run.options.connections };
        let contenders = [
            Contender { name: case.name.clone(), ..run.ours(case.large.clone()) },
            Contender { name: case.peer.to_owned(), ..run.ours(case.small.clone()) },
        ];
        check(case.expected, &contenders).await?;
        let all = compare(run, report, &case.name, generator, &contenders).await?;
        report.rows.push(rate(&case.name, &all[0], &all[1], Goal::AtLeast(case.least)));
        if instructions::is_available() {
            count(run, report, &case).await?;
        }
    }
    Ok(())
}

fn cases(run: &Run) -> Vec<Case> {
    let file = Expected { status: 200, body_bytes: Some(FILE_BYTES) };
    let moved = Expected { status: 301, body_bytes: None };
    let redirect = Sites::redirect(STATIC_REDIRECTS - 1).0;
    let hosts = &run.sites.hosts;
    vec![
        Case {
            name: format!("a file of {} files", run.scale.files),
            peer: "of 10 files",
            large: vec![Ask::new(MANY_FILES, FILE)],
            small: vec![Ask::new(FEW_FILES, FILE)],
            expected: file,
            least: RATE_LEAST,
        },
        Case {
            name: "a file beside 5,000 static redirects, 500 dynamic, 500 header blocks".to_owned(),
            peer: "beside 1 static redirect",
            large: vec![Ask::new(RULES, FILE)],
            small: vec![Ask::new(ONE_RULE, FILE)],
            expected: file,
            least: RATE_LEAST,
        },
        Case {
            name: "the last of 5,000 redirects".to_owned(),
            peer: "the only one",
            large: vec![Ask::new(RULES, redirect.clone())],
            small: vec![Ask::new(ONE_RULE, redirect)],
            expected: moved,
            least: RATE_LEAST,
        },
        Case {
            name: format!("a file each of {} hosts in turn", hosts.len()),
            peer: "of 1 host",
            large: hosts.iter().map(|host| Ask::new(host, FILE)).collect(),
            small: hosts.first().map(|host| Ask::new(host, FILE)).into_iter().collect(),
            expected: file,
            least: HOSTS_RATE_LEAST,
        },
    ]
}

async fn count(run: &Run, report: &mut Report, case: &Case) -> anyhow::Result<()> {
    let number = report.rows.len();
    let large =
        hot::count_edge(run, &format!("large-{number}"), run.scale.counted, asked(run, &case.large)).await?;
    let small =
        hot::count_edge(run, &format!("small-{number}"), run.scale.counted, asked(run, &case.small)).await?;
    let (unit, goal) = ("user instructions/request", Goal::AtMost(INSTRUCTIONS_MOST));
    report.rows.push(row("the same", case.peer, large, small, unit, goal));
    Ok(())
}

/// As [`cases`] has it: one address, or one path of all hosts.
fn asked(run: &Run, asks: &[Ask]) -> LoadOptions {
    match asks {
        [ask] => LoadOptions::fixed(run.edge.http, &ask.host, &ask.path),
        _ => LoadOptions {
            cycle: asks.len() as u64,
            ..LoadOptions::fixed(run.edge.http, "host-{}.localhost", FILE)
        },
    }
}
