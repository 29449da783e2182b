//! What the api tells every edge, over `GET /internal/v1/events`.

use serde::{Deserialize, Serialize};

use crate::Hostname;
use crate::id::{EventPosition, ProjectId};
use crate::purge::Purge;

/// One event of the stream. Positions rise in the order of commit and have no meaning beyond that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeEvent {
    pub position: EventPosition,
    #[serde(flatten)]
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    /// Routes of a project are no longer what they were.
    Routes {
        project_id: ProjectId,
        /// Those that appeared, so that an edge drops its «unknown» for them.
        hostnames: Vec<Hostname>,
    },
    /// Somebody asked for caches to forget something of a project. Its hostnames are told apart already: a URL of
    /// another project never gets here.
    Purge { project_id: ProjectId, purge: Purge },
    /// The stream cannot continue where the reader was: everything it holds may be stale.
    Reset,
}

impl EdgeEvent {
    /// Reads an event, also of an api that is newer than the reader: what it does not know may have changed anything,
    /// so it counts as a [`Change::Reset`]. `None`: not even the position can be read.
    pub fn decode(json: &str) -> Option<Self> {
        /// Of every event that there will ever be.
        #[derive(Deserialize)]
        struct Position {
            position: EventPosition,
        }
        if let Ok(event) = serde_json::from_str(json) {
            return Some(event);
        }
        let Position { position } = serde_json::from_str(json).ok()?;
        Some(Self { position, change: Change::Reset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_on_the_wire() {
        let project_id = ProjectId::from_parts(1_700_000_000_000, 1);
        let purge =
            |json: &str| Change::Purge { project_id, purge: serde_json::from_str(json).expect("valid") };
        let hostnames = vec!["shop.localhost".parse().expect("valid")];
        let cases = [
            (
                Change::Routes { project_id, hostnames },
                r#""type":"routes","project_id":"065wzsb800000001","hostnames":["shop.localhost"]"#,
            ),
            (
                purge(r#"{"keys":["news"],"soft":true}"#),
                r#""type":"purge","project_id":"065wzsb800000001","purge":{"keys":["news"],"soft":true}"#,
            ),
            (
                purge(r#"{"all":true}"#),
                r#""type":"purge","project_id":"065wzsb800000001","purge":{"all":true}"#,
            ),
            (Change::Reset, r#""type":"reset""#),
        ];
        for (change, expected) in cases {
            let event = EdgeEvent { position: EventPosition(7), change };
            let json = serde_json::to_string(&event).expect("plain data");
            assert_eq!(json, format!("{{\"position\":7,{expected}}}"));
            assert_eq!(EdgeEvent::decode(&json), Some(event));
        }
    }

    #[test]
    fn what_a_newer_api_says_counts_as_a_reset() {
        let reset = Some(EdgeEvent { position: EventPosition(9), change: Change::Reset });
        let unknown = [
            r#"{"position":9,"type":"certificates","hostnames":["a.b"]}"#,
            r#"{"position":9,"type":"purge","project_id":"065wzsb800000001","purge":{"prefixes":["/a"]}}"#,
            r#"{"position":9,"type":"routes"}"#,
            r#"{"position":9}"#,
        ];
        for json in unknown {
            assert_eq!(EdgeEvent::decode(json), reset, "{json}");
        }
        for json in ["", "{}", "[]", r#"{"position":"x","type":"reset"}"#] {
            assert_eq!(EdgeEvent::decode(json), None, "{json}");
        }
    }
}
