//! The S3 server that `loggia up` runs in process, so that one machine needs no other object store.
//!
//! Everything else in Loggia talks to a bucket through the S3 protocol, so this is a real S3 endpoint on
//! loopback and not a second implementation of storage: the code paths of a fleet and of one machine are the
//! same. The protocol (signatures, XML, chunked uploads) is the crate `s3s`; what lies on disk is ours.
//!
//! ```text
//! server.rs    sockets, limits on connections, drain on shutdown
//! s3/          S3 operations in terms of the store; knows headers and error codes, no file names
//! store.rs     buckets and objects on disk; knows no HTTP
//!   keys.rs      object key <-> safe file names, and why they are laid out so
//!   object.rs    one file = body + footer
//!   incoming.rs  temporary files, checked and made durable before they are moved into place
//!   folders.rs   directories that are durable before something is put into them
//!   listing.rs   keys in order, by prefix
//!   uploads.rs   multipart uploads
//!   digest.rs    MD5 and the checksums that clients send
//! ```
//!
//! Guarantees, each with a test in `tests/embedded_s3`:
//!
//! - An acknowledged write survives `kill -9` and a power cut: file synced, moved into place, directory synced.
//! - A reader sees one whole version of an object, never a mix and never a part of an upload.
//! - Of many concurrent `If-None-Match: *` writes to one key exactly one wins.
//! - Nothing is ever written outside of the root directory, whatever the key.

mod digest;
mod error;
mod folders;
mod incoming;
mod keys;
mod listing;
mod object;
mod s3;
mod server;
mod store;
mod uploads;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use self::server::EmbeddedS3;

/// What [`EmbeddedS3::start`] needs to know.
#[derive(Clone)]
pub struct EmbeddedS3Config {
    /// Directory that holds all data; created when missing. One server at a time may use it.
    pub root: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The one account. Every request must be signed with it (Signature Version 4).
    pub access_key: String,
    pub secret_key: String,
    /// Buckets that exist once the server has started.
    pub buckets: Vec<String>,
}

impl fmt::Debug for EmbeddedS3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedS3Config")
            .field("root", &self.root)
            .field("listen", &self.listen)
            .field("access_key", &self.access_key)
            .field("secret_key", &"***")
            .field("buckets", &self.buckets)
            .finish()
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedS3Error {
    #[error("the access key and the secret key of the embedded S3 server must not be empty")]
    EmptyCredentials,
    #[error("{0:?} is not a bucket name: 3 to 63 lower-case letters, digits, dots and hyphens")]
    InvalidBucketName(String),
    #[error(
        "the path of the data directory has {len_bytes} bytes; the embedded S3 server takes at most {max_bytes}"
    )]
    RootTooLong { len_bytes: usize, max_bytes: usize },
    #[error("another process is using {}", .0.display())]
    RootInUse(PathBuf),
    #[error("cannot use {} as data directory", .root.display())]
    Root { root: PathBuf, source: std::io::Error },
    #[error("cannot listen on {listen}")]
    Listen { listen: SocketAddr, source: std::io::Error },
}
