//! What the edge turned away before it became a request, for whoever reports it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Every number only rises.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections refused because too many were open, in all or from one address.
    pub connections_refused: AtomicU64,
    /// Requests answered with 429.
    pub requests_limited: AtomicU64,
    /// Requests answered with 421.
    pub requests_misdirected: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
