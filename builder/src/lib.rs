//! The builder: takes builds from the api, turns commits into deployments, and knows nothing else.
//!
//! A guest of the platform: it speaks HTTP to the api and S3 to the store, and has no database.
//!
//! ```text
//! config     what an operator can set
//! worker     claims builds, runs them, reports how they ended
//!   lease      keeps a build while it runs; stops it when it is lost
//!   log        numbers, masks and sends its lines
//! pipeline   one build: a list of steps
//!   checkout   a commit into a folder (libgit2)
//!   detect     how the repository is built (pure)
//!   variables  what the build sees (pure)
//!   executor   runs a command where it can do no harm
//!   collect    the files of the site
//! work_dir   the builder's folders
//! ```

pub mod checkout;
pub mod collect;
pub mod config;
pub mod detect;
pub mod executor;
mod lease;
pub mod log;
mod pipeline;
mod stop;
pub mod variables;
mod work_dir;
mod worker;

pub use config::Config;
pub use worker::run;
