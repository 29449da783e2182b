//! Tells the service manager how it stands, if there is one that wants to know (sd_notify(3)).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends a state such as `READY=1`. Without a service manager nothing happens.
pub fn notify(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    if let Err(cause) = send(&socket, state) {
        tracing::warn!(error = %cause, "The service manager cannot be told {state}: {cause}");
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    // A leading @ stands for the zero byte of the abstract namespace.
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_arrives_at_a_path_and_at_an_abstract_name() {
        let name = format!("@loggia-notify-{}", std::process::id());
        let path = std::env::temp_dir().join(name.trim_start_matches('@'));
        let abstract_name = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).expect("a name");
        let sockets = [
            (path.as_os_str(), UnixDatagram::bind(&path).expect("bound")),
            (name.as_ref(), UnixDatagram::bind_addr(&abstract_name).expect("bound")),
        ];
        for (address, socket) in &sockets {
            send(address, "READY=1").expect("sent");
            let mut bytes = [0; 64];
            let read = socket.recv(&mut bytes).expect("received");
            assert_eq!(&bytes[..read], b"READY=1");
        }
        std::fs::remove_file(&path).expect("removed");
        assert!(send(path.as_os_str(), "READY=1").is_err(), "nobody listens");
    }
}
