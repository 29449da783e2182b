//! Typed HTTP clients of the api: one for builders, one for edges, one for people's programs.

pub mod api;
pub mod builder;
pub mod edge;
mod http;

pub use api::ApiClient;
pub use builder::BuilderClient;
pub use edge::EdgeClient;
pub use http::ClientError;
