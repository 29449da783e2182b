//! A push, as our own event: every forge's webhook is turned into this at the door.

use crate::git::{BranchName, CommitSha, RepositoryUrl};

/// A branch moved to a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushEvent {
    pub repository_url: RepositoryUrl,
    pub branch: BranchName,
    /// Where the branch was; `None` when the push created it.
    pub before: Option<CommitSha>,
    pub after: CommitSha,
    pub message: String,
    pub author: String,
}
