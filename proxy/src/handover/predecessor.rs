//! The process that this one takes over from, if there is one.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, ensure};

use super::channel;
use super::sockets::{Place, Sockets};

/// What the sockets are that wait in the standard input, in their order. Set by a predecessor, never by a person.
pub(super) const PLACES: &str = "LOGGIA_PROXY_INHERITED";

/// It serves until it is released.
#[derive(Debug)]
pub(super) struct Predecessor {
    channel: UnixStream,
}

impl Predecessor {
    /// Tells it that this process serves.
    pub(super) fn release(mut self) {
        // One that is gone needs no release.
        let _ = self.channel.write_all(b"r");
    }
}

/// The sockets of a predecessor. None in a process that was started by a person or a service manager.
pub(super) fn inherit() -> anyhow::Result<(Sockets, Option<Predecessor>)> {
    let Some(places) = std::env::var(PLACES).ok().filter(|places| !places.is_empty()) else {
        return Ok((Sockets::default(), None));
    };
    let (sockets, predecessor) = inherit_from(std::io::stdin().as_fd().try_clone_to_owned()?, &places)
        .with_context(|| format!("the sockets of a predecessor ({PLACES}={places}) cannot be taken over"))?;
    Ok((sockets, Some(predecessor)))
}

fn inherit_from(input: OwnedFd, places: &str) -> anyhow::Result<(Sockets, Predecessor)> {
    let channel = UnixStream::from(input);
    let places = places.split(',').map(str::parse).collect::<Result<Vec<Place>, _>>();
    let places = places.map_err(anyhow::Error::msg)?;
    // They were sent before this process began.
    channel.set_nonblocking(true)?;
    let sockets = channel::receive(&channel).context("the standard input holds none")?;
    channel.set_nonblocking(false)?;
    ensure!(sockets.len() == places.len(), "there are {} for {} places", sockets.len(), places.len());
    let sockets = places.into_iter().zip(sockets).collect();
    Ok((Sockets::inherited(sockets), Predecessor { channel }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn sockets_arrive_in_their_order_or_not_at_all() {
        let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").expect("bound"));
        let inherited = |places: &str| {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            channel::send(&ours, &[listeners[0].as_fd(), listeners[1].as_fd()]).expect("sent");
            inherit_from(theirs.into(), places)
        };
        let (sockets, _) = inherited("http=127.0.0.1:0,admin=127.0.0.1:1").expect("two");
        let found = format!("{sockets:?}");
        assert!(found.contains("role: Http") && found.contains("role: Admin"), "{found}");
        assert!(inherited("http=127.0.0.1:0").is_err(), "one too many");
        assert!(inherited("http=127.0.0.1:0,smtp=127.0.0.1:1").is_err(), "an unknown one");

        let (_ours, theirs) = UnixStream::pair().expect("a pair");
        let empty = inherit_from(theirs.into(), "http=127.0.0.1:0").expect_err("none");
        assert!(empty.to_string().contains("the standard input holds none"), "{empty:#}");
        let null = std::fs::File::open("/dev/null").expect("there");
        assert!(inherit_from(null.into(), "http=127.0.0.1:0").is_err(), "no socket");
    }
}
