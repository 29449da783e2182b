//! Custom domains: which names may be added, whether a zone proves and leads them here, and when that is looked at again.
//!
//! [`names`], [`diagnosis`], [`standing`], [`schedule`] and [`circles`] are pure; [`observe`] asks the DNS; [`check`] puts
//! them together and writes down what came of it, [`recheck`] does that for whatever is due. docs/DOMAINS.md tells the same
//! to people.

pub(crate) mod check;
pub(crate) mod circles;
pub(crate) mod claims;
mod cloudflare;
pub(crate) mod diagnosis;
pub(crate) mod names;
mod observe;
mod platform;
pub(crate) mod recheck;
pub(crate) mod records;
pub(crate) mod routing;
pub(crate) mod schedule;
pub(crate) mod standing;
#[cfg(test)]
mod words;

pub(crate) use platform::{Platform, Target};
