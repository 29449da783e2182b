//! How many connections are open: in all, and from each address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use loggia_runtime::Network;

#[derive(Debug)]
pub(crate) struct OpenConnections {
    total_max: usize,
    per_network_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_network: HashMap<Network, usize>,
}

impl OpenConnections {
    pub(crate) fn new(total_max: usize, per_network_max: usize) -> Arc<Self> {
        Arc::new(Self { total_max, per_network_max, open: Mutex::default() })
    }

    /// A place for one more connection, until the ticket is dropped. Without a network (a trusted hop speaks for many
    /// clients) only the total counts.
    pub(crate) fn enter(self: &Arc<Self>, network: Option<Network>) -> Option<Ticket> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.total_max {
            return None;
        }
        if let Some(network) = network {
            let count = open.by_network.entry(network).or_default();
            // An entry that was just made is not at the limit, since that is at least one.
            if *count >= self.per_network_max {
                return None;
            }
            *count += 1;
        }
        open.total += 1;
        Some(Ticket { connections: Arc::clone(self), network })
    }

    fn leave(&self, network: Option<Network>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        let Some(network) = network else { return };
        if let Some(count) = open.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.by_network.remove(&network);
            }
        }
    }
}

/// A connection's place.
#[derive(Debug)]
pub(crate) struct Ticket {
    connections: Arc<OpenConnections>,
    network: Option<Network>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connections.leave(self.network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_network_and_given_back() {
        let connections = OpenConnections::new(4, 2);
        let network = |text: &str| Some(Network::of(text.parse().expect("an address")));
        let (a, same) = (network("2001:db8::1"), network("2001:db8::ffff"));
        let first = connections.enter(a).expect("empty");
        let _second = connections.enter(same).expect("one is open");
        assert!(connections.enter(a).is_none(), "two of one /64");
        let third = connections.enter(network("192.0.2.1")).expect("another address");
        let _fourth = connections.enter(None).expect("a trusted hop");
        assert!(connections.enter(None).is_none(), "four in all");
        drop((first, third));
        let _again = connections.enter(a).expect("a place was given back");
        assert_eq!(connections.open.lock().expect("no panic").by_network.len(), 1);
    }
}
