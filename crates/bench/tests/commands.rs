//! The parts that need no peer and no load generator, as real processes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_loggia-bench");

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn free_addr() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

fn start(args: &[&str], listens: SocketAddr) -> Running {
    let running = Running(Command::new(PROGRAM).args(args).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(listens).is_err() {
        assert!(Instant::now() < deadline, "{args:?} does not listen");
        std::thread::yield_now();
    }
    running
}

#[test]
fn a_number_of_requests_is_asked_over_some_connections() {
    let addr = free_addr();
    let listen = addr.to_string();
    let _floor = start(&["floor", "--listen", &listen, "--answer-bytes", "10700"], addr);
    let load = ["load", "--addr", &listen, "--host", "a.localhost", "--path", "/{}", "--cycle", "7"];
    let asked =
        Command::new(PROGRAM).args(load).args(["--count", "100", "--connections", "8"]).output().unwrap();
    let printed: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!(printed["requests"], 100, "{asked:?}");

    let held = ["hold", "--addr", &listen, "--host", "a.localhost", "--path", "/", "--connections", "5"];
    let held = Command::new(PROGRAM).args(held).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&held.stdout), "holding\n");
}

#[test]
fn an_edge_s_world_is_a_store_and_an_api() {
    let dir = tempfile::tempdir().unwrap();
    let (s3, api) = (free_addr(), free_addr());
    let (root, s3_text, api_text) = (dir.path().display().to_string(), s3.to_string(), api.to_string());
    let _world = start(&["world", "--dir", &root, "--s3", &s3_text, "--api", &api_text], api);
    for (addr, path) in [(&s3_text, "/loggia/none"), (&api_text, "/internal/v1/routes/none.localhost")] {
        let load = ["load", "--addr", addr, "--host", addr, "--path", path, "--count", "1"];
        let asked = Command::new(PROGRAM).args(load).output().unwrap();
        let said = String::from_utf8_lossy(&asked.stderr);
        assert!(!asked.status.success() && said.contains("HTTP/1.1 404"), "{said}");
    }
}
