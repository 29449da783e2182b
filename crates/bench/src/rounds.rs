//! Turns in alternation, and what is made of them.

use std::path::Path;

use crate::contender::Contender;
use crate::machine::empty_logs;
use crate::options::Options;
use crate::tools::{Turn, h2load, wrk};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generator {
    Wrk { connections: u32 },
    H2Load,
}

/// Medians over all turns of a contender.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub name: String,
    pub requests_per_second: f64,
    /// Processor time of the server alone.
    pub cpu_us_per_request: f64,
    /// How much of its core the server used; far below 1, something else was the limit.
    pub busy: f64,
}

/// Each contender in turn, round after round: what the machine does meanwhile hits all of them alike.
pub(crate) async fn alternate(
    options: &Options,
    dir: &Path,
    generator: Generator,
    contenders: &[Contender<'_>],
) -> anyhow::Result<Vec<Measured>> {
    let mut turns: Vec<Vec<(Turn, f64)>> = vec![Vec::new(); contenders.len()];
    for contender in contenders {
        // Nothing of a first time is measured: caches fill, files are opened.
        turn(options, dir, generator, contender, 1).await?;
    }
    for _ in 0..options.rounds {
        for (contender, turns) in contenders.iter().zip(&mut turns) {
            let before = contender.process.cpu_secs();
            let turn = turn(options, dir, generator, contender, options.seconds).await?;
            turns.push((turn, contender.process.cpu_secs() - before));
            empty_logs(dir)?;
        }
    }
    Ok(contenders.iter().zip(turns).map(|(contender, turns)| measured(&contender.name, &turns)).collect())
}

async fn turn(
    options: &Options,
    dir: &Path,
    generator: Generator,
    contender: &Contender<'_>,
    seconds: u32,
) -> anyhow::Result<Turn> {
    match generator {
        Generator::Wrk { connections } => wrk(options.load_core, dir, contender, connections, seconds).await,
        Generator::H2Load => h2load(options.load_core, contender, seconds).await,
    }
}

fn measured(name: &str, turns: &[(Turn, f64)]) -> Measured {
    let of = |value: &dyn Fn(&(Turn, f64)) -> f64| median(turns.iter().map(value));
    Measured {
        name: name.to_owned(),
        requests_per_second: of(&|(turn, _)| turn.requests_per_second()),
        cpu_us_per_request: of(&|(turn, cpu)| cpu * 1e6 / turn.requests),
        busy: of(&|(turn, cpu)| cpu / turn.secs),
    }
}

/// Of an even number, the mean of the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let cases: [(&[f64], f64); 3] =
            [(&[3.0, 1.0, 2.0], 2.0), (&[4.0, 1.0, 2.0, 3.0], 2.5), (&[7.0], 7.0)];
        for (values, expected) in cases {
            assert_eq!(median(values.iter().copied()), expected, "{values:?}");
        }
        assert!(median([]).is_nan());
    }
}
