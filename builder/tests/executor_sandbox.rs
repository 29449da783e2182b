//! Steps in bubblewrap sandboxes, with the toolchain of this machine.

#![allow(clippy::unwrap_used)]

mod executor_promises;

use std::fs;
use std::process::{Command, Stdio};

use executor_promises::{World, config, is_running, unique_sleep, wait_until};
use loggia_builder::executor::{Executor, ExecutorChoice, ExecutorConfig, Exit};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

executor_promises::all_promises!(ExecutorChoice::Sandbox);

async fn output(executor: &Executor, world: &World, command: &str) -> String {
    let (log, mut lines) = mpsc::channel(1024);
    let exit = executor.run(&world.step(command), &log, &CancellationToken::new()).await.unwrap();
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

/// Says to the test below that it is the builder which gets killed.
const SLEEP: &str = "LOGGIA_TEST_KILLED_BUILDER_SLEEP";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_builder_takes_its_step_along() {
    let sleep = unique_sleep();
    let mut builder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_builder_to_be_killed"])
        .env(SLEEP, &sleep)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the step's start", || is_running(&sleep)).await;
    builder.kill().unwrap();
    builder.wait().unwrap();
    wait_until("the step's end", || !is_running(&sleep)).await;

    // Its control group is found by the next builder of that name.
    let name = format!("test-{}-killed", builder.id());
    let next = ExecutorConfig { builder: name, ..config("killed") };
    let executor = Executor::choose(ExecutorChoice::Sandbox, next).await.unwrap();
    let expected = usize::from(nix::unistd::geteuid().is_root());
    assert_eq!(executor.remove_leftovers().await.unwrap(), expected, "only root makes control groups");
    assert_eq!(executor.remove_leftovers().await.unwrap(), 0);
}

/// Not a promise by itself: the other process of the test above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_builder_to_be_killed() {
    let Ok(sleep) = std::env::var(SLEEP) else { return };
    let world = World::new(ExecutorChoice::Sandbox, "killed").await;
    output(&world.executor, &world, &format!("setsid sleep {sleep} & sleep {sleep}")).await;
}

/// A mount that others are told of, as below Docker's data folder.
struct SharedMount(TempDir);

impl SharedMount {
    fn new() -> Self {
        let shared = Self(TempDir::new().unwrap());
        let (above, below) = (shared.0.path(), shared.below());
        run(Command::new("mount").args(["-t", "tmpfs", "above"]).arg(above));
        run(Command::new("mount").arg("--make-shared").arg(above));
        fs::create_dir(&below).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "below"]).arg(&below));
        shared
    }

    fn below(&self) -> std::path::PathBuf {
        self.0.path().join("below")
    }
}

impl Drop for SharedMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--recursive").arg(self.0.path()).status();
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Only root can mount, and only a root's sandbox could do this harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_of_root_unmounts_nothing_of_the_machines() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let world = World::new(ExecutorChoice::Sandbox, "mounts").await;
    let shared = SharedMount::new();
    output(&world.executor, &world, "true").await;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(mounts.contains(shared.below().to_str().unwrap()), "{mounts}");
}
