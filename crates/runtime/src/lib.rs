//! What every Loggia process does around its work: configuration, logging, shutdown, the service manager.

pub mod admin;
pub mod client_address;
pub mod config;
pub mod logging;
pub mod secret;
pub mod shutdown;
pub mod systemd;

pub use admin::AdminListen;
pub use client_address::{ClientAddress, Network, TrustedHops};
pub use config::Env;
pub use secret::Secret;

/// Chooses the TLS implementation. Two of them are linked in; without a choice rustls panics at first use.
///
/// Call it first thing in `main`; later calls change nothing.
pub fn install_crypto_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
