//! The object store: the one state that serving needs.
//!
//! [`Store`] speaks S3 to any server. [`publish`] puts a deployment there so that it appears whole.
//! [`embedded`] is the server that `loggia up` starts when there is no other.

pub mod embedded;
pub mod publish;
mod store;

pub use store::{ManifestWrite, ObjectStream, Store, StoreConfig, StoreError};
