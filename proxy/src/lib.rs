//! The edge.

pub mod config;
pub mod decide;
mod manifests;
mod origin;
mod request;
mod routes;
