//! The table: what was done, what was seen, what is asked.

use std::fmt::Write as _;
use std::time::Duration;

use crate::report::{Goal, number};

#[derive(Debug)]
struct Finding {
    day: &'static str,
    done: String,
    seen: String,
    value: f64,
    unit: &'static str,
    goal: Goal,
}

impl Finding {
    fn is_missed(&self) -> bool {
        self.goal.verdict(self.value).contains("MISSED")
    }
}

#[derive(Debug)]
pub(super) struct Findings {
    about: Vec<String>,
    day: &'static str,
    findings: Vec<Finding>,
    /// Days that broke off, and why.
    failed: Vec<(&'static str, String)>,
    /// What a reader has to know about the figures.
    notes: Vec<String>,
}

impl Findings {
    pub(super) fn new(about: Vec<String>) -> Self {
        Self { about, day: "", findings: Vec::new(), failed: Vec::new(), notes: Vec::new() }
    }

    /// What is said above the table.
    pub(super) fn about(&mut self, line: String) {
        self.about.push(line);
    }

    /// What comes is seen on this day.
    pub(super) fn begin(&mut self, day: &'static str) {
        self.day = day;
    }

    /// What comes is seen after something was done.
    pub(super) fn after(&mut self, done: impl Into<String>) -> After<'_> {
        After { findings: self, done: done.into() }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        eprintln!("  {note}");
        self.notes.push(format!("{}: {note}", self.day));
    }

    /// The day broke off.
    pub(super) fn failed(&mut self, error: &anyhow::Error) {
        // The log of a process may be in it, of which a table has no need.
        let cause = format!("{error:#}");
        self.failed.push((self.day, cause.lines().next().unwrap_or_default().to_owned()));
    }

    pub(super) fn are_good(&self) -> bool {
        self.failed.is_empty() && !self.findings.iter().any(Finding::is_missed)
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        for line in &self.about {
            writeln!(text, "- {line}")?;
        }
        writeln!(text, "\n| day | what was done | seen | asked | figure | |\n|---|---|---|---|---|---|")?;
        for (at, finding) in self.findings.iter().enumerate() {
            // What is as in the row above is not said again.
            let before = at.checked_sub(1).and_then(|at| self.findings.get(at));
            let before = before.filter(|before| before.day == finding.day);
            let day = if before.is_some() { "" } else { finding.day };
            let done = match before {
                Some(before) if before.done == finding.done => "the same",
                _ => &finding.done,
            };
            let (seen, figure, asked) = (&finding.seen, figure(finding), asked(finding));
            let verdict = finding.goal.verdict(finding.value);
            writeln!(text, "| {day} | {done} | {seen} | {asked} | {figure} | {verdict} |")?;
        }
        if !self.failed.is_empty() || !self.notes.is_empty() {
            writeln!(text)?;
        }
        for (day, cause) in &self.failed {
            writeln!(text, "- **MISSED**: {day} broke off: {cause}")?;
        }
        for note in &self.notes {
            writeln!(text, "- {note}")?;
        }
        Ok(())
    }
}

/// What is seen after something was done, finding by finding.
pub(super) struct After<'f> {
    findings: &'f mut Findings,
    done: String,
}

impl After<'_> {
    /// Nothing of the kind may happen.
    pub(super) fn none(self, seen: &str, count: u64) -> Self {
        self.add(seen, count as f64, "", Goal::AtMost(0.0))
    }

    pub(super) fn at_most(self, seen: &str, most: f64, value: f64, unit: &'static str) -> Self {
        self.add(seen, value, unit, Goal::AtMost(most))
    }

    pub(super) fn at_least(self, seen: &str, least: f64, value: f64, unit: &'static str) -> Self {
        self.add(seen, value, unit, Goal::AtLeast(least))
    }

    /// Both in seconds. `None`: it did not happen at all.
    pub(super) fn within(self, seen: &str, most: Duration, took: Option<Duration>) -> Self {
        let took = took.map_or(f64::INFINITY, |took| took.as_secs_f64());
        self.add(seen, took, "s", Goal::AtMost(most.as_secs_f64()))
    }

    /// To be seen, and held against nothing.
    pub(super) fn shown(self, seen: &str, value: f64, unit: &'static str) -> Self {
        self.add(seen, value, unit, Goal::Nothing)
    }

    fn add(self, seen: &str, value: f64, unit: &'static str, goal: Goal) -> Self {
        let (day, done, seen) = (self.findings.day, self.done.clone(), seen.to_owned());
        let finding = Finding { day, done, seen, value, unit, goal };
        let (figure, asked, verdict) = (figure(&finding), asked(&finding), goal.verdict(value));
        eprintln!("  {}: {}: {figure} (asked: {asked}) {verdict}", finding.done, finding.seen);
        self.findings.findings.push(finding);
        self
    }
}

fn figure(finding: &Finding) -> String {
    with_unit(finding.value, finding.unit)
}

fn asked(finding: &Finding) -> String {
    match finding.goal {
        Goal::AtMost(0.0) => "0".to_owned(),
        Goal::AtMost(most) => format!("≤ {}", with_unit(most, finding.unit)),
        Goal::AtLeast(least) => format!("≥ {}", with_unit(least, finding.unit)),
        Goal::Nothing => "–".to_owned(),
    }
}

fn with_unit(value: f64, unit: &str) -> String {
    let value = match value {
        value if value.is_infinite() => return "never".to_owned(),
        // A count.
        value if value.fract() == 0.0 => format!("{value:.0}"),
        value => number(value),
    };
    if unit.is_empty() { value } else { format!("{value} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_rows_and_says_what_was_missed() {
        let mut findings = Findings::new(vec!["here".to_owned()]);
        findings.begin("one");
        let secs = Duration::from_secs;
        findings.after("cut").none("failed", 0).at_most("p99", 1.2, 1.125, "×");
        findings.after("killed").within("back", secs(2), Some(secs(1))).shown("asked", 12_345.0, "");
        assert!(findings.are_good());
        findings.begin("two");
        findings
            .after("killed")
            .none("failed", 3)
            .within("back", secs(2), None)
            .at_least("hits", 99.0, 98.5, "%");
        assert!(!findings.are_good());
        findings.note("quiet");
        let expected = "- here\n\n\
            | day | what was done | seen | asked | figure | |\n|---|---|---|---|---|---|\n\
            | one | cut | failed | 0 | 0 | ok |\n\
            |  | the same | p99 | ≤ 1.20 × | 1.12 × | ok |\n\
            |  | killed | back | ≤ 2 s | 1 s | ok |\n\
            |  | the same | asked | – | 12345 |  |\n\
            | two | killed | failed | 0 | 3 | **MISSED** |\n\
            |  | the same | back | ≤ 2 s | never | **MISSED** |\n\
            |  | the same | hits | ≥ 99 % | 98.5 % | **MISSED** |\n\n- two: quiet\n";
        assert_eq!(findings.markdown(), expected);
    }

    #[test]
    fn a_day_that_broke_off_is_missed() {
        let mut findings = Findings::new(Vec::new());
        findings.begin("one");
        findings.failed(&anyhow::anyhow!("no port\nits log"));
        assert!(!findings.are_good());
        assert!(findings.markdown().contains("- **MISSED**: one broke off: no port"));
    }
}
