//! Wrong tries slow down. A try is counted before it is looked at, so that a thousand at once are no more than one after
//! the other; a right one clears the count. What is counted is a text like «sign_in anna@example.org 192.0.2.7», whether or
//! not there is such an account: the answer says nothing about it.

use std::time::Duration;

use loggia_runtime::Network;
use sha2::{Digest, Sha256};

use crate::access::Origin;
use crate::db::{DbError, GenericClient, failed_attempts};
use crate::error::ApiError;

/// How many are free, and what follows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The last free one already has to be waited for.
    pub(crate) free: i32,
    /// After that one; each further one doubles it.
    pub(crate) wait: Duration,
}

/// From one address: a person's own mistakes.
pub(crate) const SIGN_IN: Pace = Pace { free: 5, wait: Duration::from_secs(30) };
/// From anywhere, for one account: many addresses that try together.
pub(crate) const ACCOUNT: Pace = Pace { free: 60, wait: Duration::from_secs(60) };
/// Mails that anybody can make us send to one address.
pub(crate) const MAILS: Pace = Pace { free: 3, wait: Duration::from_secs(600) };

const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// Counts a try, or says how long to wait.
pub(crate) async fn count(db: &impl GenericClient, subject: &str, pace: Pace) -> Result<(), ApiError> {
    let waited = failed_attempts::count(db, &hash(subject), pace.free, pace.wait, WAIT_MAX).await?;
    match waited {
        None => Ok(()),
        Some(wait) => Err(ApiError::too_many("too_many_attempts", "too many tries", wait)),
    }
}

/// It was right.
pub(crate) async fn clear(db: &impl GenericClient, subject: &str) -> Result<(), DbError> {
    failed_attempts::clear(db, &hash(subject)).await
}

/// Where somebody comes from, as far as tries are counted: an IPv6 site is one.
pub(crate) fn place(origin: &Origin) -> String {
    origin.address.map_or_else(|| "unknown".to_owned(), |address| format!("{:?}", Network::of(address)))
}

/// What was tried is nobody's business who reads the table.
fn hash(subject: &str) -> Vec<u8> {
    Sha256::digest(subject).to_vec()
}
