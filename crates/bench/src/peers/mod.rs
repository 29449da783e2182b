//! The other servers, each as its own documentation sets it up for speed, with a log where it has one that is cheap.
//!
//! Common to all: one core and one worker, connections that are kept, no compression (the request accepts none, and
//! the file has none to give).

pub(crate) mod caddy;
pub(crate) mod floor;
pub(crate) mod nginx;
pub(crate) mod static_web_server;
pub(crate) mod varnish;

use std::net::SocketAddr;

use crate::process::Process;

/// One that serves [`crate::sites::HOT`] and nothing else.
#[derive(Debug)]
pub(crate) struct Peer {
    pub name: &'static str,
    pub process: Process,
    pub addr: SocketAddr,
}
