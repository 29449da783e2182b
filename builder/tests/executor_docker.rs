//! Steps in containers of a real engine: `scripts/test-engine.sh` provides one, with an image.

#![allow(clippy::unwrap_used)]

mod executor_promises;

use executor_promises::{World, config};
use loggia_builder::executor::{Executor, ExecutorChoice, ExecutorConfig, ExecutorFault, Exit};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

executor_promises::all_promises!(with_engine());

fn with_engine() -> ExecutorChoice {
    for name in ["DOCKER_HOST", "LOGGIA_TEST_BUILD_IMAGE"] {
        assert!(
            std::env::var_os(name).is_some(),
            "{name} is not set: run scripts/test-engine.sh (make test does)"
        );
    }
    ExecutorChoice::Docker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_cannot_be_pulled_is_named() {
    let world = World::new(with_engine(), "missing-image").await;
    // Nothing listens on port 1.
    let image = "localhost:1/no/such-image:1".to_owned();
    let config = ExecutorConfig { image: image.clone(), ..config("missing-image") };
    let executor = Executor::choose(ExecutorChoice::Docker, config).await.unwrap();
    let (log, mut lines) = mpsc::channel(64);
    let fault = executor.run(&world.step("true"), &log, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&fault, ExecutorFault::Image { image: named, .. } if *named == image), "{fault:?}");
    assert_eq!(lines.recv().await.unwrap().text, format!("Pulling the build image {image}"));
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_named_with_what_to_do() {
    let config =
        ExecutorConfig { docker_host: Some("unix:///nowhere/docker.sock".to_owned()), ..config("none") };
    let error = Executor::choose(ExecutorChoice::Docker, config).await.unwrap_err().to_string();
    assert!(
        error.contains("unix:///nowhere/docker.sock") && error.contains("apt-get install docker.io"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_of_a_killed_builder_are_removed_and_those_of_others_are_not() {
    let world = World::new(with_engine(), "leftovers").await;
    let same = World::new(with_engine(), "leftovers").await;
    let other = World::new(with_engine(), "leftovers-of-another").await;
    let (log, mut lines) = mpsc::channel(16);
    let (step, cancel) = (world.step("echo ready; sleep 600"), CancellationToken::new());
    // Owns the log's only sender, so that nobody waits for a line of a step that has ended.
    let run = async move { world.executor.run(&step, &log, &cancel).await };
    let find = async {
        assert_eq!(lines.recv().await.unwrap().text, "ready");
        assert_eq!(other.executor.remove_leftovers().await.unwrap(), 0);
        assert_eq!(same.executor.remove_leftovers().await.unwrap(), 1);
        assert_eq!(same.executor.remove_leftovers().await.unwrap(), 0);
    };
    // To the step this is an engine that took its container away.
    let (exit, ()) = tokio::join!(run, find);
    assert!(!matches!(exit, Ok(Exit::Success)), "{exit:?}");
}
