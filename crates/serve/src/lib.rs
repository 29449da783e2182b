//! The rules of serving: what a deployment answers to a request. Pure: no IO, no clock, no waiting.
//!
//! The edge, `loggia rules test` and `loggia dev` all run this code, so they cannot disagree.
//!
//! - [`compile`]: a project's files (`_redirects`, `_headers`, `loggia.toml`, `netlify.toml`) into
//!   [`loggia_types::rules::Rules`], when a deployment is made.
//! - [`links`]: what a page asks for in its head, as a `Link` header, at the same time.
//! - [`matching`]: which of these rules a request meets.
//! - [`host_redirect`]: what a hostname answers that leads to another one.
//! - [`decide`]: from a [`Site`] and a request to an answer; [`head`]: its status and headers; [`respond`]: both,
//!   with a body.

pub mod compile;
pub mod decide;
pub mod head;
pub mod host_redirect;
pub mod links;
pub mod matching;
pub mod multipart;
pub mod pages;
mod platform_headers;
pub mod request;
pub mod respond;
pub mod site;
pub mod target;

pub use decide::decide;
pub use request::{Asked, Policy, RequestHead};
pub use respond::respond;
pub use site::Site;
pub use target::{BadTarget, Target};
