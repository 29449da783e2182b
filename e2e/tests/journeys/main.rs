//! The journeys of a push, a failure, a domain, a crash, a reload and a first run, with the real binaries.
#![allow(clippy::unwrap_used, clippy::large_futures, reason = "a journey that fails should say where")]

mod builds;
mod cdn;
mod crashes;
mod domains;
mod payloads;
mod pushes;
mod refusals;
mod reloads;
mod secrets;
mod up;
