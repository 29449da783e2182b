//! One server and what it is asked in a row of the table.

use std::net::SocketAddr;

use crate::process::Process;

/// A request, without its method: all are GETs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub host: String,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
}

impl Ask {
    pub(crate) fn new(host: &str, path: impl Into<String>) -> Self {
        Self { host: host.to_owned(), path: path.into(), headers: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What every contender of a row has to answer, so that they do the same work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub status: u16,
    /// `None`: each may have a page of its own, as for redirects.
    pub body_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Contender<'p> {
    pub name: String,
    pub scheme: Scheme,
    pub addr: SocketAddr,
    /// In turn.
    pub asks: Vec<Ask>,
    pub process: &'p Process,
}
