//! What the api tells every edge, over `GET /internal/v1/events`.

use serde::{Deserialize, Serialize};

use crate::Hostname;
use crate::id::{EventPosition, ProjectId};
use crate::purge::Purge;

/// What the stream carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Event(EdgeEvent),
    /// Every event up to here was sent. On the wire it is a server-sent event of the type [`POSITION`] with the number as its
    /// data. Only those hear it who ask for it: older readers take what they do not know for a [`Change::Reset`].
    Position(EventPosition),
}

/// The type of the server-sent event of a [`Told::Position`].
pub const POSITION: &str = "position";

/// The query of a reader that wants to hear of positions.
pub const WITH_POSITIONS: &str = "positions=true";

/// One event of the stream. Positions rise in the order of commit and have no meaning beyond that: they have holes, left by
/// transactions that were rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeEvent {
    pub position: EventPosition,
    /// The position of the event before it: who has not seen that one has missed something. `None` where nothing before
    /// it matters, as at a stream's beginning, and from an api that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<EventPosition>,
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
        /// Every name with one label before one of these appeared, too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        wildcards: Vec<Hostname>,
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
            #[serde(default)]
            after: Option<EventPosition>,
        }
        if let Ok(event) = serde_json::from_str(json) {
            return Some(event);
        }
        let Position { position, after } = serde_json::from_str(json).ok()?;
        Some(Self { position, after, change: Change::Reset })
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
        let wildcards = vec!["example.com".parse().expect("valid")];
        let cases = [
            (
                Change::Routes { project_id, hostnames, wildcards: Vec::new() },
                r#""type":"routes","project_id":"065wzsb800000001","hostnames":["shop.localhost"]"#,
            ),
            (
                Change::Routes { project_id, hostnames: Vec::new(), wildcards },
                r#""type":"routes","project_id":"065wzsb800000001","hostnames":[],"wildcards":["example.com"]"#,
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
            for (after, told) in [(None, ""), (Some(EventPosition(5)), r#""after":5,"#)] {
                let event = EdgeEvent { position: EventPosition(7), after, change: change.clone() };
                let json = serde_json::to_string(&event).expect("plain data");
                assert_eq!(json, format!("{{\"position\":7,{told}{expected}}}"));
                assert_eq!(EdgeEvent::decode(&json), Some(event));
            }
        }
    }

    #[test]
    fn what_a_newer_api_says_counts_as_a_reset() {
        let reset = Some(EdgeEvent { position: EventPosition(9), after: None, change: Change::Reset });
        let unknown = [
            r#"{"position":9,"type":"certificates","hostnames":["a.b"]}"#,
            r#"{"position":9,"type":"purge","project_id":"065wzsb800000001","purge":{"prefixes":["/a"]}}"#,
            r#"{"position":9,"type":"routes"}"#,
            r#"{"position":9}"#,
        ];
        for json in unknown {
            assert_eq!(EdgeEvent::decode(json), reset, "{json}");
        }
        let chained = EdgeEvent::decode(r#"{"position":9,"after":8,"type":"certificates"}"#);
        assert_eq!(chained, reset.map(|event| EdgeEvent { after: Some(EventPosition(8)), ..event }));
        for json in ["", "{}", "[]", r#"{"position":"x","type":"reset"}"#] {
            assert_eq!(EdgeEvent::decode(json), None, "{json}");
        }
    }
}
