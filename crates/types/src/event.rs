//! What the api tells every edge, over `GET /internal/v1/events`.

use serde::{Deserialize, Serialize};

use crate::Hostname;
use crate::id::{EventPosition, ProjectId};

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
    /// The stream cannot continue where the reader was: everything it holds may be stale.
    Reset,
}
