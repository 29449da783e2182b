//! What survives a crash, and what it leaves.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{BUCKET, Listing, SECRET_KEY, World, client, list, tree};
use aws_sdk_s3::primitives::ByteStream;

#[tokio::test]
async fn files_left_by_a_crash_are_removed_at_start() {
    let world = World::new().await;
    world.put("k", "x").await;
    std::fs::write(world.root().join("tmp/17"), "half a body").unwrap();
    std::fs::create_dir(world.root().join("uploads/1-2-3")).unwrap();
    let world = world.restart().await;
    assert_eq!(world.temp_files(), 0);
    assert_eq!(tree(&world.root().join("uploads")).len(), 0);
    assert_eq!(world.get("k").await.unwrap(), b"x");
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_not_an_answer() {
    let world = World::new().await;
    world.put("k", "hello").await;
    let path = world.root().join("buckets").join(BUCKET).join("ok");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let (path, host) = (world.presigned_get("k").await, world.server.addr());
    let answer =
        world.raw(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(!answer.contains(world.root().to_str().unwrap()), "{answer}");
}

/// The server as a process of its own, to be killed.
struct Process {
    child: Child,
    endpoint_url: String,
}

impl Process {
    fn start(root: &Path) -> Self {
        // Examples are built beside the tests: target/<profile>/{deps,examples}.
        let deps = std::env::current_exe().unwrap();
        let program = deps.parent().unwrap().parent().unwrap().join("examples/embedded_s3");
        let mut child = Command::new(program).arg(root).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, endpoint_url: line.trim().to_owned() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL: no handler runs, nothing is flushed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9_in_the_middle_of_writes() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let client_of = |process: &Process| client(&process.endpoint_url, SECRET_KEY);
    let body = |key: &str| format!("{key} ").repeat(20_000);
    let (acknowledge, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    for writer in 0..4 {
        let (client, acknowledge) = (client_of(&process), acknowledge.clone());
        tokio::spawn(async move {
            for number in 0.. {
                let key = format!("{writer}/{}/{number}", number % 3);
                let put = client.put_object().bucket(BUCKET).key(&key);
                if put.body(ByteStream::from(body(&key).into_bytes())).send().await.is_err() {
                    return;
                }
                let _ = acknowledge.send(key);
            }
        });
    }
    drop(acknowledge);
    let mut keys = Vec::new();
    while let Some(key) = acknowledged.recv().await {
        keys.push(key);
        if keys.len() == 40 {
            break;
        }
    }
    drop(process);
    while let Ok(key) = acknowledged.try_recv() {
        keys.push(key);
    }

    let process = Process::start(dir.path());
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    let client = client_of(&process);
    let (listed, _) = list(&client, &Listing::default()).await;
    for key in &keys {
        assert!(listed.contains(key), "{key} was acknowledged");
    }
    for key in &listed {
        let object = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        assert!(object.body.collect().await.unwrap().to_vec() == body(key).into_bytes(), "{key}");
    }
}
