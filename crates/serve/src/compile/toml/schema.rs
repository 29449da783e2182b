//! Which keys there are, and the nearest one to a key that there is not.

use toml::de::DeTable;

use super::Document;
use crate::compile::problems::{Problems, shown};

pub(super) const TOP: [&str; 4] = ["build", "serve", "redirects", "headers"];
pub(super) const BUILD: [&str; 8] =
    ["command", "install", "output", "root", "node", "ignore", "watch", "env"];
pub(super) const SERVE: [&str; 5] = ["dialect", "html_handling", "not_found", "permanent", "skew_protection"];
pub(super) const SKEW_PROTECTION: [&str; 2] = ["deployments", "days"];
pub(super) const REDIRECT: [&str; 6] = ["from", "to", "status", "force", "query", "conditions"];
pub(super) const HEADER: [&str; 2] = ["for", "values"];

/// Alike enough to be a slip of the keyboard: `comand`, `html-handling`.
const SIMILARITY_MIN: f64 = 0.7;

/// Reports every key that is none of `known`; `table` names where they stand.
pub(super) fn check_keys(
    document: &Document<'_>,
    name: &str,
    table: &DeTable<'_>,
    known: &[&str],
    problems: &mut Problems,
) {
    for key in table.keys() {
        if known.contains(&&**key.get_ref()) {
            continue;
        }
        if problems.is_full(document.file) {
            problems.add(document.file, document.line(key), "");
            continue;
        }
        let place = if name.is_empty() { String::new() } else { format!(" in `{name}`") };
        let advice = match nearest(key.get_ref(), known) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("there are {}", known.join(", ")),
        };
        let message = format!("there is no key {}{place}: {advice}", shown(key.get_ref()));
        problems.add(document.file, document.line(key), message);
    }
}

fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    // Longer than any key by far, and comparing takes time by the product of both lengths.
    const KEY_BYTES_MAX: usize = 40;
    if key.len() > KEY_BYTES_MAX {
        return None;
    }
    let key = key.to_ascii_lowercase();
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(&key, known), *known))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| known)
}
