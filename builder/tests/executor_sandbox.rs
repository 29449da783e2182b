//! Steps in bubblewrap sandboxes, with the toolchain of this machine.

#![allow(clippy::unwrap_used)]

mod executor_promises;

use std::fs;

use executor_promises::{World, config};
use loggia_builder::executor::{Executor, ExecutorChoice, ExecutorConfig, Exit};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

executor_promises::all_promises!(ExecutorChoice::Sandbox);

async fn output(executor: &Executor, world: &World, command: &str) -> String {
    let (log, mut lines) = mpsc::channel(1024);
    let exit = executor
        .run(&world.step(command), &log, &CancellationToken::new())
        .await
        .unwrap();
    drop(log);
    let mut text = String::new();
    while let Some(line) = lines.recv().await {
        text.push_str(&line.text);
        text.push('\n');
    }
    assert_eq!(exit, Exit::Success, "{text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_toolchain_elsewhere_can_be_shown_and_a_folder_in_it_hidden() {
    let world = World::new(ExecutorChoice::Sandbox, "toolchain").await;
    let folder = TempDir::new().unwrap();
    let tools = folder.path().join("above/tools");
    for (folder, file) in [("bin", "my-tool"), ("data", "secret")] {
        fs::create_dir_all(tools.join(folder)).unwrap();
        fs::write(tools.join(folder).join(file), "#!/bin/sh\necho it works\n").unwrap();
    }
    set_mode(&tools, 0o755);
    set_mode(&tools.join("bin/my-tool"), 0o755);
    let config = ExecutorConfig {
        toolchain_dirs: vec![tools.clone()],
        hidden_dirs: vec![tools.join("data")],
        ..config("toolchain")
    };
    let executor = Executor::choose(ExecutorChoice::Sandbox, config).await.unwrap();
    assert_eq!(output(&executor, &world, "my-tool").await, "it works\n");
    let listing = output(&executor, &world, &format!("ls -A {}/data", tools.display())).await;
    assert_eq!(listing, "");
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_over_after_a_step() {
    let world = World::new(ExecutorChoice::Sandbox, "leftovers").await;
    output(&world.executor, &world, "sleep 1000 & echo left").await;
    assert_eq!(world.executor.remove_leftovers().await.unwrap(), 0);
}
