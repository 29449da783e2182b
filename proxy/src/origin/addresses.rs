//! The store's address, looked up now and then and not for every request.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A container that restarts under another address is found again within the 5 s that SECURITY grants.
const LOOKUP_TTL: Duration = Duration::from_secs(3);

pub(super) struct Addresses {
    host: String,
    port: u16,
    last: Mutex<Option<(Instant, SocketAddr)>>,
}

impl Addresses {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let literal = host.parse().ok().map(|ip| SocketAddr::new(ip, port));
        let last = Mutex::new(literal.map(|address| (Instant::now(), address)));
        Self { host: host.to_owned(), port, last }
    }

    pub(super) async fn get(&self) -> io::Result<SocketAddr> {
        let known = self.last.lock().ok().and_then(|last| *last);
        match known {
            Some((_, address)) if self.host.parse() == Ok(address.ip()) => Ok(address),
            Some((at, address)) if at.elapsed() < LOOKUP_TTL => Ok(address),
            // The last address is better than none while the name server is away.
            Some((_, address)) => Ok(self.look_up().await.unwrap_or(address)),
            None => self.look_up().await,
        }
    }

    async fn look_up(&self) -> io::Result<SocketAddr> {
        let mut found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let address =
            found.next().ok_or_else(|| io::Error::other(format!("{} has no address", self.host)))?;
        if let Ok(mut last) = self.last.lock() {
            *last = Some((Instant::now(), address));
        }
        Ok(address)
    }
}
