//! Fuzzing on the stable compiler: stored inputs, mutated by a seeded generator, against invariants.
//!
//! There is one test per kind of input, and `crates/serve/tests/corpus` holds the inputs that each begins with. Without
//! instrumentation nothing tells which code ran; an input is kept when its outcome (a status, a problem, a variant of an
//! error) was not seen before, which leads to the interesting ones as well.
//!
//! - `LOGGIA_FUZZ_SECS`: how long each test runs; 1 if it is not set, `make fuzz` says 60.
//! - `LOGGIA_FUZZ_SEED`: repeats a run; a failure names its seed.
//!
//! A failure prints the path of the input, made small: copied into the corpus, it is tried first for ever after.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]
#![allow(clippy::print_stdout, reason = "how many inputs were tried, and the seed that repeats them")]

mod answers;
mod harness;
mod mutate;
// The promises of the compiler, shared with its own tests.
#[path = "../../src/compile/tests/soundness.rs"]
mod soundness;
mod targets;
mod world;

#[test]
fn no_request_target_leads_astray() {
    harness::run(&targets::request::TARGET);
}

#[test]
fn no_redirects_file_breaks_a_promise() {
    harness::run(&targets::rules::REDIRECTS);
}

#[test]
fn no_headers_file_breaks_a_promise() {
    harness::run(&targets::rules::HEADERS);
}

#[test]
fn no_toml_file_breaks_a_promise() {
    harness::run(&targets::rules::TOML);
}

#[test]
fn no_host_header_gives_an_unclean_name() {
    harness::run(&targets::host::TARGET);
}

#[test]
fn no_conditional_header_gets_a_wrong_answer() {
    harness::run(&targets::conditions::TARGET);
}

#[test]
fn no_manifest_is_inconsistent() {
    harness::run(&targets::manifest::TARGET);
}

#[test]
fn no_page_makes_a_bad_link_header() {
    harness::run(&targets::html::TARGET);
}
