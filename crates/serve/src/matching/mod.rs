//! Which rules a request meets, and what they then do to the answer.
//!
//! Runs for every request at the edge: indexes are built once per manifest, a miss allocates nothing, and no
//! pattern is matched by backtracking. Knows nothing of files, deployments or sockets; the caller decides when
//! to ask (`docs/BEHAVIOR.md` §1).

mod blocks;
mod captures;
mod conditions;
mod credentials;
mod gate;
mod headers;
mod index;
mod location;
mod pattern;
mod query;
mod redirects;
mod template;
mod url;

#[cfg(test)]
mod tests;

use loggia_types::rules::Scheme;

pub use credentials::Protection;
pub use headers::{Answered, HeaderMatches, Headers};
pub use redirects::{RedirectMatch, Redirects};

/// What rules may look at. Made once per request.
#[derive(Debug, Clone, Copy)]
pub struct RuleRequest<'r> {
    /// Canonical: decoded, without the leading slash, without empty or dot segments. `""` is the root.
    pub path: &'r str,
    /// As it was sent, without `?`.
    pub query: Option<&'r [u8]>,
    pub scheme: Scheme,
    /// Lower case, without a port.
    pub host: &'r str,
    pub headers: &'r http::HeaderMap,
    /// ISO 3166-1 alpha-2, where it is known.
    pub country: Option<&'r str>,
}
