//! The listener for operators that a process may have: metrics and health.

use std::net::SocketAddr;
use std::str::FromStr;

/// Where operators ask, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminListen {
    Off,
    On(SocketAddr),
}

impl FromStr for AdminListen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            address => address.parse().map(Self::On).map_err(|_| "neither an address with a port nor off"),
        }
    }
}
