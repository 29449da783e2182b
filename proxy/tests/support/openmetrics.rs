//! A strict reader of the OpenMetrics text format 1.0: whatever the specification forbids ends the test.

use std::collections::{BTreeMap, HashSet};

/// Samples by their name and labels as they are written, e.g. `x_total{a="b"}`.
#[derive(Debug)]
pub struct Exposition(BTreeMap<String, f64>);

impl Exposition {
    pub fn get(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0.keys()))
    }

    /// Of all series of a name.
    pub fn sum(&self, name: &str) -> f64 {
        self.0
            .iter()
            .filter(|(series, _)| series.split('{').next() == Some(name))
            .map(|(_, value)| value)
            .sum()
    }

    /// Series of a name that are not zero, one line each.
    pub fn summary(&self, name: &str) -> Vec<String> {
        let ours =
            self.0.iter().filter(|(series, value)| series.split('{').next() == Some(name) && **value != 0.0);
        ours.map(|(series, value)| format!("{} {value}", series.trim_start_matches(name))).collect()
    }

    pub fn parse(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the end is marked");
        let mut samples = BTreeMap::new();
        let mut families = HashSet::new();
        let (mut family, mut kind, mut helped) = (String::new(), String::new(), String::new());
        for line in body.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped = help.split_once(' ').expect("a text").0.to_owned();
            } else if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (name, found) = typed.split_once(' ').expect("a type");
                assert_eq!(name, helped, "help comes first");
                assert!(families.insert(name.to_owned()), "{name} twice");
                (family, kind) = (name.to_owned(), found.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
                check_series(series, &family, &kind);
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line:?}"));
                assert!(value.is_finite() && value >= 0.0, "{line:?}");
                assert!(samples.insert(series.to_owned(), value).is_none(), "{series} twice");
            }
        }
        check_histograms(body);
        Self(samples)
    }
}

fn check_series(series: &str, family: &str, kind: &str) {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{name} is not of {family}"));
    let allowed: &[&str] = match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_bucket", "_count", "_sum"],
        "info" => &["_info"],
        other => panic!("{family} has the type {other}"),
    };
    assert!(allowed.contains(&suffix), "{name} is no {kind}");
    assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{series}"));
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (key, value) = label.split_once('=').unwrap_or_else(|| panic!("{series}"));
        assert!(!key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{series}");
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        assert!(value.is_some_and(|value| !value.contains(['"', '\\', '\n'])), "{series}");
    }
}

/// Buckets rise, and the last one holds all.
fn check_histograms(body: &str) {
    let mut last = (String::new(), 0.0, f64::MIN);
    for line in body.lines().filter(|line| line.contains("_bucket{")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (before, rest) = series.split_once("le=\"").unwrap();
        let (bound, after) = rest.split_once('"').unwrap();
        let of = format!("{before}{after}");
        let (value, bound): (f64, f64) = (value.parse().unwrap(), bound.parse().unwrap());
        if of == last.0 {
            assert!(value >= last.1 && bound > last.2, "{line}");
        } else {
            assert!(last.2 == f64::INFINITY || last.0.is_empty(), "no +Inf before {line}");
        }
        last = (of, value, bound);
    }
    assert_eq!(last.2, f64::INFINITY);
}
