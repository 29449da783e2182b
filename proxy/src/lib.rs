//! The edge: answers visitors, from a hostname to the bytes of a file.
//!
//! ```text
//! listen      sockets, draining
//! tls/        certificates, chosen by name
//! handover/   the next process takes over the sockets
//! connection/ what a client may send, and how slowly; strict heads and bodies
//! at_hand     the fast way: what was answered before, by answers/
//! service     the proxy's phases: they do what has to be done
//!   plan        what that is: look up, decide
//!   admission   whose request it is, and whether there were too many
//!   request     limits, and whom a request is for
//!   routes/     hostname -> route: the api, its events, and a file for when it is away
//!   manifests   deployment -> manifest, from the store; kept in memory and, with disk/, across a restart
//!   (loggia-serve)  site + request -> answer; pure
//!   parts       several ranges of one file in one answer
//!   hints       what a page needs, named before it is fetched
//!   files       a file out of the cache or through it: bodies/, each fetched once
//!   origin/     how an object is asked of the store; fetch: past the cache, and whether it is the right one
//!   cache_headers  what an answer says of caches
//! record      what is noted about a request, and its end: metrics/, access_log/
//! purge       what has to be fetched again
//! admin/      metrics and health, for operators
//! ```
//!
//! It needs the store and what it already knows; the api may be away (docs/ARCHITECTURE.md, invariant 1).

mod access_log;
mod admin;
mod admission;
mod answers;
mod at_hand;
mod bodies;
mod body;
mod cache_headers;
pub mod config;
mod connection;
mod country;
mod disk;
mod edge;
mod fetch;
mod files;
mod flights;
mod handover;
mod hints;
mod listen;
mod manifests;
mod metrics;
mod origin;
mod parts;
mod plan;
mod purge;
mod record;
mod request;
mod routes;
mod service;
pub mod tls;

pub use access_log::{AccessLogConfig, AccessLogTarget, SampleRate};
pub use config::{CacheConfig, CdnConfig, CertificateFiles, Config, EdgeName, HttpsConfig, Protection};
pub use edge::{Edge, Ending, run};
pub use handover::run_replaceable;
pub use loggia_runtime::AdminListen;
pub use loggia_runtime::TrustedHops;
