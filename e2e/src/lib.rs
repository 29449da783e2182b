//! What a journey needs: real processes, a repository to push to, a forge that signs, a visitor.
//!
//! A journey owns its world: ports, database, bucket, folders. Nothing here is shared but the Postgres
//! server and the container engine that `make test` starts.
#![allow(clippy::unwrap_used, reason = "a journey that fails should say where")]
#![allow(missing_debug_implementations, reason = "nothing prints these")]

pub mod dns;
pub mod fleet;
pub mod forge;
pub mod generations;
pub mod http1;
pub mod process;
pub mod projects;
pub mod varnish;
pub mod visitor;

use std::time::Duration;

use tokio::time::Instant;

/// Asks until `check` says `Some`, or panics with `what` after `within`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    within: Duration,
    mut check: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
