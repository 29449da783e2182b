//! What several events make stale, taken together: a burst of promotes becomes one call.

use std::collections::BTreeSet;

use loggia_types::purge::{PurgeScope, PurgeUrl};
use loggia_types::{EventPosition, Purge, SurrogateKey};

use crate::db::events::StaleEvent;

/// As much as Fastly takes in one call. A failed batch is told again from its start, so a small one gets on when a
/// CDN limits the rate.
const ITEMS_MAX: usize = 256;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Items {
    pub(super) keys: BTreeSet<SurrogateKey>,
    pub(super) urls: BTreeSet<PurgeUrl>,
}

impl Items {
    fn len(&self) -> usize {
        self.keys.len() + self.urls.len()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) hard: Items,
    pub(super) soft: Items,
}

impl Batch {
    /// As many events as fit, one at least, and the position of the last of them.
    pub(super) fn collect(events: Vec<StaleEvent>) -> Option<(Self, EventPosition)> {
        let mut collected: Option<(Self, EventPosition)> = None;
        for event in events {
            let mut batch = collected.as_ref().map(|(batch, _)| batch.clone()).unwrap_or_default();
            let position = event.position;
            batch.add(event);
            if collected.is_some() && batch.hard.len() + batch.soft.len() > ITEMS_MAX {
                break;
            }
            collected = Some((batch, position));
        }
        let (batch, position) = collected?;
        Some((batch.without_repetitions(), position))
    }

    pub(super) fn of_keys(keys: impl IntoIterator<Item = SurrogateKey>) -> Self {
        let hard = Items { keys: keys.into_iter().collect(), urls: BTreeSet::new() };
        Self { hard, soft: Items::default() }
    }

    fn add(&mut self, event: StaleEvent) {
        self.hard.keys.extend(event.keys);
        let Some(Purge { scope, soft }) = event.purge else {
            return;
        };
        let items = if soft { &mut self.soft } else { &mut self.hard };
        match scope {
            // The event itself carries the project's key.
            PurgeScope::All => items.keys.insert(SurrogateKey::project(event.project_id)),
            PurgeScope::Keys(keys) => {
                items.keys.extend(keys);
                true
            }
            PurgeScope::Urls(urls) => {
                items.urls.extend(urls);
                true
            }
        };
    }

    /// What is gone needs not be stale as well.
    fn without_repetitions(mut self) -> Self {
        self.soft.keys.retain(|key| !self.hard.keys.contains(key));
        self.soft.urls.retain(|url| !self.hard.urls.contains(url));
        self
    }
}

/// Groups of at most `count` texts and `bytes` bytes with a separator after each; a longer text is alone.
pub(super) fn chunks<'a, T: 'a>(
    items: impl IntoIterator<Item = &'a T>,
    count: usize,
    bytes: usize,
    text: impl Fn(&'a T) -> &'a str,
) -> Vec<Vec<&'a str>> {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    let mut size = 0;
    for text in items.into_iter().map(text) {
        size += text.len() + 1;
        match groups.last_mut() {
            Some(group) if group.len() < count && size <= bytes => group.push(text),
            _ => {
                groups.push(vec![text]);
                size = text.len() + 1;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use loggia_types::ProjectId;

    fn event(position: u64, keys: &[&str], purge: Option<&str>) -> StaleEvent {
        StaleEvent {
            position: EventPosition(position),
            project_id: ProjectId::from_parts(0, 7),
            keys: keys.iter().map(|key| key.parse().expect("valid")).collect(),
            purge: purge.map(|json| serde_json::from_str(json).expect("valid")),
        }
    }

    fn texts<T: ToString>(items: &BTreeSet<T>) -> String {
        items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_burst_becomes_one_batch_without_repetitions() {
        let events = vec![
            event(4, &["a-1"], None),
            event(5, &["a-1", "p-1"], None),
            event(6, &[], Some(r#"{"keys":["news","p-1"],"soft":true}"#)),
            event(7, &[], Some(r#"{"urls":["shop.localhost/a"],"soft":true}"#)),
            event(8, &[], Some(r#"{"urls":["shop.localhost/a","shop.localhost/b"]}"#)),
            event(9, &[], Some(r#"{"all":true}"#)),
            event(10, &[], None),
        ];
        let (batch, position) = Batch::collect(events).expect("events");
        assert_eq!(position, EventPosition(10));
        let own = SurrogateKey::project(ProjectId::from_parts(0, 7));
        assert_eq!(texts(&batch.hard.keys), format!("a-1 {own} p-1"));
        assert_eq!(texts(&batch.hard.urls), "shop.localhost/a shop.localhost/b");
        assert_eq!((texts(&batch.soft.keys), texts(&batch.soft.urls)), ("news".into(), String::new()));
        assert_eq!(Batch::collect(Vec::new()), None);
    }

    #[test]
    fn a_batch_ends_before_it_is_too_large_but_has_one_event_at_least() {
        let keys: Vec<String> = (0..200).map(|number| format!("k{number}")).collect();
        let other: Vec<String> = (0..300).map(|number| format!("o{number}")).collect();
        let (keys, other): (Vec<&str>, Vec<&str>) =
            (keys.iter().map(String::as_str).collect(), other.iter().map(String::as_str).collect());
        let collected = |events: Vec<StaleEvent>| {
            let (batch, position) = Batch::collect(events).expect("events");
            (batch.hard.keys.len(), position.0)
        };
        let small = event(1, &keys, None);
        assert_eq!(collected(vec![small.clone(), event(2, &keys, None)]), (200, 2), "the same keys");
        assert_eq!(collected(vec![small, event(2, &other, None)]), (200, 1));
        assert_eq!(collected(vec![event(2, &other, None)]), (300, 2));
    }

    #[test]
    fn chunks_keep_within_number_and_bytes() {
        let words = ["aa", "bb", "cc", "dddddddd", "e"].map(str::to_owned);
        let chunked = |count, bytes| {
            let groups = chunks(&words, count, bytes, String::as_str);
            groups.iter().map(|group| group.join(" ")).collect::<Vec<_>>().join("|")
        };
        assert_eq!(chunked(2, 100), "aa bb|cc dddddddd|e");
        assert_eq!(chunked(9, 6), "aa bb|cc|dddddddd|e");
        assert_eq!(chunked(9, 1), "aa|bb|cc|dddddddd|e");
    }
}
