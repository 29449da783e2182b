//! What is told to the person at the terminal: mistakes once per change, and every answer in a line.

use std::sync::{Mutex, PoisonError};

use http::Method;
use loggia_types::Problem;

use crate::local_site::Answer;

#[derive(Debug, Default)]
pub(super) struct Report {
    /// What was told last.
    told: Mutex<String>,
}

impl Report {
    /// The mistakes that the rules have now, unless they are those of before.
    pub(super) fn problems(&self, problems: &[Problem]) {
        self.tell(problems.iter().map(|problem| format!("problem: {problem}\n")).collect());
    }

    /// Why what changed is not shown.
    pub(super) fn trouble(&self, error: &anyhow::Error, consequence: &str) {
        self.tell(format!("error: {error:#}; {consequence}\n"));
    }

    pub(super) fn answer(&self, method: &Method, target: &str, answer: &Answer) {
        let status = answer.parts.status.as_u16();
        let file = answer.file.as_ref().map(|file| format!(" {}", file.path)).unwrap_or_default();
        let location = answer.parts.headers.get(http::header::LOCATION);
        let location = location.and_then(|value| value.to_str().ok());
        let location = location.map(|location| format!(" -> {location}")).unwrap_or_default();
        let rule = answer.rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
        println!("{status} {method} {target}{location}{file}{rule}");
    }

    fn tell(&self, text: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != text {
            eprint!("{text}");
            *told = text;
        }
    }
}
