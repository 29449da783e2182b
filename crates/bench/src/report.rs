//! The table.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// Names of the two marks of a document between which a text goes: `<!-- edge:begin -->` and `<!-- edge:end -->`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks(pub &'static str);

pub(crate) const EDGE: Marks = Marks("edge");

impl Marks {
    fn begin(self) -> String {
        format!("<!-- {}:begin -->", self.0)
    }

    fn end(self) -> String {
        format!("<!-- {}:end -->", self.0)
    }
}

/// What is asked of a ratio, ours by theirs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Shown to compare with.
    Nothing,
}

impl Goal {
    pub(crate) fn verdict(self, ratio: f64) -> &'static str {
        match self {
            Self::AtLeast(least) if ratio >= least => "ok",
            Self::AtMost(most) if ratio <= most => "ok",
            Self::Nothing => "",
            _ => "**MISSED**",
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least:.2}"),
            Self::AtMost(most) => format!("≤ {most:.2}"),
            Self::Nothing => "–".to_owned(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub measure: String,
    pub peer: String,
    pub ours: f64,
    pub theirs: f64,
    /// Of both, e.g. `requests/s`.
    pub unit: &'static str,
    pub goal: Goal,
    /// Microseconds of its core that a request takes, ours and theirs, where that is known.
    pub core_us: Option<(f64, f64)>,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.theirs
    }

    /// A ratio that is none is a miss as well.
    fn is_missed(&self) -> bool {
        self.goal.verdict(self.ratio()).contains("MISSED")
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub rows: Vec<Row>,
    /// Groups of which rows are missing.
    pub failed: Vec<String>,
    /// What a reader has to know about the numbers; each is a line of a list.
    pub notes: Vec<String>,
    /// What it was measured with and on, likewise.
    pub about: Vec<String>,
}

impl Report {
    pub(crate) fn is_good(&self) -> bool {
        self.failed.is_empty() && !self.rows.iter().any(Row::is_missed)
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        for line in &self.about {
            writeln!(text, "- {line}")?;
        }
        writeln!(text, "\n| measure | against | ratio | asked | | ours | theirs | unit | core |")?;
        writeln!(text, "|---|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let (ratio, goal, verdict) = (row.ratio(), row.goal.text(), row.goal.verdict(row.ratio()));
            let (ours, theirs) = (number(row.ours), number(row.theirs));
            let Row { measure, peer, unit, .. } = row;
            let core = row.core_us.map_or_else(String::new, |(ours, theirs)| {
                format!("{} / {} µs", number(ours), number(theirs))
            });
            write!(text, "| {measure} | {peer} | {ratio:.2} | {goal} | {verdict} ")?;
            writeln!(text, "| {ours} | {theirs} | {unit} | {core} |")?;
        }
        if !self.notes.is_empty() || !self.failed.is_empty() {
            writeln!(text)?;
        }
        for group in &self.failed {
            writeln!(text, "- **MISSED**: rows of `{group}`, which could not be measured.")?;
        }
        for note in &self.notes {
            writeln!(text, "- {note}")?;
        }
        Ok(())
    }
}

/// Three digits say what there is to say.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// Puts a text between the marks of a document.
pub(crate) fn paste(document: &Path, marks: Marks, text: &str) -> anyhow::Result<()> {
    let name = document.display();
    let before = std::fs::read_to_string(document).with_context(|| format!("reading {name}"))?;
    let after = pasted(&before, marks, text)
        .with_context(|| format!("{name} has no {} and {}", marks.begin(), marks.end()))?;
    std::fs::write(document, after).with_context(|| format!("writing {name}"))
}

fn pasted(document: &str, marks: Marks, text: &str) -> Option<String> {
    let (begin, end) = (marks.begin(), marks.end());
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{text}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, theirs: f64, goal: Goal) -> Row {
        let (measure, peer) = ("hot".to_owned(), "nginx".to_owned());
        Row { measure, peer, ours, theirs, unit: "requests/s", goal, core_us: Some((6.5, 8.04)) }
    }

    #[test]
    fn a_goal_is_reached_or_missed() {
        let cases = [
            (row(115.0, 100.0, Goal::AtLeast(1.15)), true),
            (row(114.0, 100.0, Goal::AtLeast(1.15)), false),
            (row(80.0, 100.0, Goal::AtMost(0.8)), true),
            (row(81.0, 100.0, Goal::AtMost(0.8)), false),
            (row(1.0, 100.0, Goal::Nothing), true),
            (row(f64::NAN, 100.0, Goal::AtLeast(1.0)), false),
            (row(f64::NAN, 100.0, Goal::AtMost(1.0)), false),
        ];
        for (row, expected) in cases {
            let report = Report { rows: vec![row.clone()], ..Report::default() };
            assert_eq!(report.is_good(), expected, "{row:?}");
            assert_eq!(report.markdown().contains("MISSED"), !expected);
        }
    }

    #[test]
    fn what_could_not_be_measured_is_missed() {
        let report = Report { failed: vec!["cold".to_owned()], ..Report::default() };
        assert!(!report.is_good() && report.markdown().contains("**MISSED**: rows of `cold`"));
    }

    #[test]
    fn a_table_replaces_the_one_before() {
        let report = Report {
            rows: vec![row(12_345.6, 10_000.0, Goal::AtLeast(1.15))],
            notes: vec!["quiet".to_owned()],
            about: vec!["here".to_owned()],
            ..Report::default()
        };
        let first = format!("above\n{}\nold{}\nbelow\n", EDGE.begin(), EDGE.end());
        let text = pasted(&first, EDGE, &report.markdown()).expect("marks");
        let expected = "above\n<!-- edge:begin -->\n- here\n\n\
            | measure | against | ratio | asked | | ours | theirs | unit | core |\n\
            |---|---|---|---|---|---|---|---|---|\n\
            | hot | nginx | 1.23 | ≥ 1.15 | ok | 12346 | 10000 | requests/s | 6.50 / 8.04 µs |\n\n- quiet\n<!-- edge:end -->\nbelow\n";
        assert_eq!(text, expected);
        assert_eq!(pasted(&text, EDGE, &report.markdown()).as_deref(), Some(expected));
        assert_eq!(pasted("no marks", EDGE, ""), None);
        assert_eq!(pasted(&text, Marks("other"), ""), None);
    }
}
