//! The edge: answers visitors, from a hostname to the bytes of a file.
//!
//! ```text
//! listen      sockets, TLS, draining
//! service     the proxy's phases: look up, decide, obey
//!   request     limits, and whom a request is for
//!   routes/     hostname -> route: the api, its events, and a file for when it is away
//!   manifests   deployment -> manifest, from the store
//!   decide/     manifest + request -> answer; pure
//!   origin/     how an object is asked of the store; fetch: whether it is the right one
//!   pages       what the platform itself has to say
//! ```
//!
//! It needs the store and what it already knows; the api may be away (docs/ARCHITECTURE.md, invariant 1).

mod body;
pub mod config;
pub mod decide;
mod edge;
mod fetch;
mod listen;
mod manifests;
mod origin;
mod pages;
mod request;
mod routes;
mod service;
pub mod tls;

pub use config::{Config, HttpsConfig};
pub use edge::{Edge, run};
