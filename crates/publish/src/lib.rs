//! How a deployment is made, whoever makes it: a builder out of a build's output, or the api out of a direct upload.
//!
//! 1. [`upload`]: new contents go to the store, each with its compressed forms ([`compress`]) and with what its page
//!    asks for in its head.
//! 2. [`sources`]: the project's own rules and settings are compiled.
//! 3. [`complete`]: all of it becomes a manifest; `loggia_storage::publish` writes it, last.
//!
//! [`explore`] does the first step for one file without a store, for a look at a site before it is deployed.
//!
//! It must not know who calls: no HTTP, no database, no build.

pub mod complete;
pub mod explore;
pub mod sources;
pub mod upload;

mod compress;
mod levels;

pub use levels::Effort;
pub use upload::Compressors;
