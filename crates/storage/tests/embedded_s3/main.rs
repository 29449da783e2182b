//! The embedded S3 server, asked by the client that the rest of Loggia uses, and byte by byte where that client
//! would not send what is tested.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod bodies;
mod durability;
mod keys;
mod listing;
mod reads;
mod server;
mod support;
mod uploads;
mod variants;
mod writes;
