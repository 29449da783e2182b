//! Descriptors in a Unix socket: whoever reads them has them (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// HTTP, HTTPS, and the operators' listener.
const SOCKETS_MAX: usize = 3;

/// They travel with a byte of data.
const CARRIER: &[u8] = b"s";

pub(super) fn send(stream: &UnixStream, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !message.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("more sockets than there are roles"));
    }
    sendmsg(stream, &[IoSlice::new(CARRIER)], &mut message, SendFlags::empty())?;
    Ok(())
}

pub(super) fn receive(stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut carrier = [0; CARRIER.len()];
    recvmsg(stream, &mut [IoSliceMut::new(&mut carrier)], &mut message, RecvFlags::CMSG_CLOEXEC)?;
    let sockets = message.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    Ok(sockets.flatten().collect())
}
