//! Whether a load balancer should send visitors here.
//!
//! «Ready» means: this edge does better than none. So what takes it out of rotation is only what another edge
//! would not have as well, or what leaves it nothing to serve:
//!
//! - it is stopping;
//! - it knows no route and the api has never answered: a new machine whose way to the api is cut;
//! - the api *and* the store have been failing: it can neither learn nor fetch. Usually it is this machine's
//!   network then. When it is everybody's, all edges go, and load balancers that fail open serve on.
//!
//! An edge that only lost the api serves everything it knows, and one that only lost the store still answers
//! with redirects, 304 and an honest 503: both stay, and `degraded` says what is wrong. They fail for all edges
//! at once, and an empty rotation would turn a partial outage into a whole one.
//!
//! The store is not probed: its failures are those of visitors. Without visitors they are forgotten after
//! [`STORE_FAILURE_TTL`], so that an edge which was taken out is tried again.

use std::time::Duration;

use serde::Serialize;

/// A restart of the api is over by then; edges come back to it within 2 s.
const API_SILENCE_MAX: Duration = Duration::from_secs(10);

/// One is an accident, and visitors who retry are quick.
const STORE_FAILURES_MIN: u32 = 3;

/// Longer than a load balancer needs to notice, short enough that a store that came back is not held against us.
const STORE_FAILURE_TTL: Duration = Duration::from_secs(30);

/// What is known when somebody asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub is_stopping: bool,
    pub routes: u64,
    pub was_api_heard: bool,
    /// `None` while its events are followed.
    pub api_silent_for: Option<Duration>,
    /// In a row, and since when there was none.
    pub store_failures: (u32, Duration),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Readiness {
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<&'static str>,
    /// What does not work, whether it is ready or not.
    pub degraded: Vec<&'static str>,
}

pub(super) fn judge(facts: Facts) -> Readiness {
    let (failures, since) = facts.store_failures;
    let is_store_failing = failures >= STORE_FAILURES_MIN && since < STORE_FAILURE_TTL;
    let is_api_failing = facts.api_silent_for.is_some_and(|silence| silence > API_SILENCE_MAX);
    let named = |list: &[(bool, &'static str)]| {
        list.iter().filter(|(holds, _)| *holds).map(|(_, name)| *name).collect::<Vec<_>>()
    };
    let reasons = named(&[
        (facts.is_stopping, "stopping"),
        (facts.routes == 0 && !facts.was_api_heard, "no_routes"),
        (is_api_failing && is_store_failing, "api_and_store_failing"),
    ]);
    let degraded = named(&[(is_api_failing, "api"), (is_store_failing, "store")]);
    Readiness { ready: reasons.is_empty(), reasons, degraded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_edge_that_is_of_no_use_is_taken_out() {
        let well = Facts {
            is_stopping: false,
            routes: 10,
            was_api_heard: true,
            api_silent_for: None,
            store_failures: (0, Duration::ZERO),
        };
        let secs = Duration::from_secs;
        let api_gone = Facts { api_silent_for: Some(secs(11)), ..well };
        let store_gone = Facts { store_failures: (3, secs(1)), ..well };
        let cases = [
            ("all is well", well, "true [] []"),
            ("it stops", Facts { is_stopping: true, ..well }, "false [stopping] []"),
            ("the api restarts", Facts { api_silent_for: Some(secs(9)), ..well }, "true [] []"),
            ("the api is gone", api_gone, "true [] [api]"),
            ("restarted without the api", Facts { was_api_heard: false, ..api_gone }, "true [] [api]"),
            ("new, and the api has no routes", Facts { routes: 0, ..well }, "true [] []"),
            (
                "new, without the api",
                Facts { routes: 0, was_api_heard: false, api_silent_for: Some(secs(1)), ..well },
                "false [no_routes] []",
            ),
            ("two failures", Facts { store_failures: (2, secs(1)), ..well }, "true [] []"),
            ("the store is gone", store_gone, "true [] [store]"),
            ("the store failed long ago", Facts { store_failures: (9, secs(31)), ..well }, "true [] []"),
            (
                "both are gone",
                Facts { store_failures: (3, secs(1)), ..api_gone },
                "false [api_and_store_failing] [api, store]",
            ),
        ];
        for (name, facts, expected) in cases {
            let Readiness { ready, reasons, degraded } = judge(facts);
            let found = format!("{ready} [{}] [{}]", reasons.join(", "), degraded.join(", "));
            assert_eq!(found, expected, "{name}");
        }
    }
}
