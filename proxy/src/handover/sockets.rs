//! The listening sockets of an edge, which outlive its process.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::str::FromStr;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::listen;

/// What an edge listens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Http,
    Https,
    Admin,
}

/// A socket as the configuration knows it. A successor with another configuration does not get the wrong one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) role: Role,
    /// With port 0, if that is what is configured.
    pub(crate) address: SocketAddr,
}

impl Role {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Http, "http"), (Self::Https, "https"), (Self::Admin, "admin")];
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = Role::ALL.iter().find(|(role, _)| *role == self.role).map_or("", |(_, text)| text);
        write!(f, "{role}={}", self.address)
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (role, address) = text.split_once('=').ok_or("a place is ROLE=ADDRESS")?;
        let role = Role::ALL.iter().find(|(_, text)| *text == role).ok_or("an unknown role")?.0;
        Ok(Self { role, address: address.parse().map_err(|_| "no address with a port")? })
    }
}

/// Sockets that were inherited and not yet asked for, and those that are in use.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    inherited: Vec<(Place, OwnedFd)>,
    /// Each a second descriptor for the same socket: it stays open when the one that accepts is closed.
    used: Vec<(Place, OwnedFd)>,
}

impl Sockets {
    pub(super) fn inherited(sockets: Vec<(Place, OwnedFd)>) -> Self {
        Self { inherited: sockets, used: Vec::new() }
    }

    /// The inherited socket of a place, with the connections that wait in it; else a new one.
    pub(crate) fn listen(&mut self, place: Place) -> anyhow::Result<TcpListener> {
        let position = self.inherited.iter().position(|(inherited, _)| *inherited == place);
        let listener = match position {
            Some(position) => adopt(self.inherited.swap_remove(position).1)
                .with_context(|| format!("the inherited socket for {} cannot be used", place.address))?,
            None => listen::bind(place.address)?,
        };
        self.used.push((place, listener.as_fd().try_clone_to_owned()?));
        Ok(listener)
    }

    /// Those that a successor gets.
    pub(super) fn used(&self) -> impl Iterator<Item = (Place, BorrowedFd<'_>)> {
        self.used.iter().map(|(place, socket)| (*place, socket.as_fd()))
    }
}

fn adopt(socket: OwnedFd) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_and_read() {
        for text in ["http=0.0.0.0:8080", "https=[::]:8443", "admin=127.0.0.1:0"] {
            assert_eq!(text.parse::<Place>().expect("a place").to_string(), text);
        }
        for text in ["", "http", "http=localhost:80", "smtp=0.0.0.0:25", "=0.0.0.0:80"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_socket_is_inherited_for_the_same_place_only() {
        let place = |role| Place { role, address: ([127, 0, 0, 1], 0).into() };
        let mut before = Sockets::default();
        let bound = before.listen(place(Role::Http)).expect("bound");
        let mut after = Sockets::inherited(vec![(place(Role::Http), before.used.remove(0).1)]);
        let addr = bound.local_addr().expect("bound");
        let admin = after.listen(place(Role::Admin)).expect("bound");
        assert_ne!(admin.local_addr().expect("bound"), addr);
        let http = after.listen(place(Role::Http)).expect("inherited");
        assert_eq!(http.local_addr().expect("bound"), addr);

        drop((before, bound));
        let (client, accepted) = tokio::join!(tokio::net::TcpStream::connect(addr), http.accept());
        assert_eq!(client.expect("open").local_addr().expect("open"), accepted.expect("accepted").1);
    }
}
