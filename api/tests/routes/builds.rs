use std::time::Duration;

use loggia_types::Timestamp;
use loggia_types::api::{Deployment, DeploymentStatus};
use loggia_types::build::{
    BuildAssignment, BuildFailure, BuildReport, Heartbeat, LogBatch, LogLine, Outcome, Phase, Step,
};
use loggia_types::publish::PublishCounts;

use crate::webhooks::{Push, push};
use crate::world::{World, slug};

const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_secs(20);

fn ready(attempt: u16) -> BuildReport {
    let counts = PublishCounts { files: 3, bytes: 30, uploaded: 2, uploaded_bytes: 20, reused: 1 };
    let outcome = Outcome::Ready { counts, framework: "Vite".into(), problems: Vec::new() };
    BuildReport { attempt, outcome, timings: Vec::new() }
}

async fn pushed(world: &World, secret: &str, branch: &str, before: char, after: char) -> Deployment {
    let delivery = format!("{branch}-{before}-{after}");
    let answer = push(world, "shop", secret, &Push { delivery: &delivery, branch, before, after }).await;
    world.api.get_deployment(&slug("shop"), answer.deployments[0]).await.unwrap()
}

async fn claim(world: &World) -> BuildAssignment {
    world.builder.claim("tests", NOW).await.unwrap().expect("a build waits")
}

async fn status(world: &World, assignment: &BuildAssignment) -> DeploymentStatus {
    world.api.get_deployment(&slug("shop"), assignment.deployment_id).await.unwrap().status
}

#[tokio::test]
async fn a_build_is_claimed_logged_reported_and_live() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    pushed(&world, &secret, "main", '0', 'a').await;
    let build = claim(&world).await;
    assert_eq!((build.attempt, build.branch.as_str(), build.base), (1, "main", None));
    assert_eq!(build.url, "http://shop.localhost:8080");
    assert_eq!(status(&world, &build).await, DeploymentStatus::Building);
    assert!(world.builder.claim("other", NOW).await.unwrap().is_none(), "one build, one builder");

    let line = |sequence, text: &str| LogLine {
        sequence,
        at: Timestamp::now(),
        step: Step::Build,
        text: text.into(),
    };
    let batch = LogBatch { attempt: 1, lines: vec![line(0, "one"), line(1, "nul\0")] };
    for _ in 0..2 {
        world.builder.log(build.build_id, &batch).await.unwrap();
    }
    let log = world.api.deployment_log(&slug("shop"), build.deployment_id, 0).await.unwrap();
    assert_eq!(log.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["one", "nul\u{fffd}"]);

    let beat = Heartbeat { attempt: 1, phase: Phase::Deploying };
    assert!(!world.builder.heartbeat(build.build_id, &beat).await.unwrap().cancelled);
    assert_eq!(status(&world, &build).await, DeploymentStatus::Deploying);
    // An answer that got lost is asked for again.
    for _ in 0..2 {
        world.builder.report(build.build_id, &ready(1)).await.unwrap();
    }
    let deployment = world.api.get_deployment(&slug("shop"), build.deployment_id).await.unwrap();
    assert_eq!(deployment.status, DeploymentStatus::Live);
    assert_eq!(deployment.counts.unwrap().reused, 1);
    assert_eq!(deployment.timings.last().map(|timing| timing.step), Some(Step::Switch));
    let project = world.api.find_project(&slug("shop")).await.unwrap().unwrap();
    assert_eq!(project.production_deployment_id, Some(build.deployment_id));
}

#[tokio::test]
async fn a_waiting_builder_is_woken_by_a_push() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    let (claimed, _) =
        tokio::join!(world.builder.claim("tests", SOON), pushed(&world, &secret, "main", '0', 'a'));
    assert!(claimed.unwrap().is_some());
}

#[tokio::test]
async fn the_later_push_wins_whichever_build_ends_first() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    pushed(&world, &secret, "main", '0', 'a').await;
    pushed(&world, &secret, "main", 'a', 'b').await;
    let (older, newer) = (claim(&world).await, claim(&world).await);
    world.builder.report(newer.build_id, &ready(1)).await.unwrap();
    world.builder.report(older.build_id, &ready(1)).await.unwrap();
    assert_eq!(status(&world, &newer).await, DeploymentStatus::Live);
    assert_eq!(status(&world, &older).await, DeploymentStatus::Superseded);
}

#[tokio::test]
async fn a_branch_that_comes_back_to_a_commit_shows_it_again_without_a_build() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    for (before, after) in [('0', 'a'), ('a', 'b')] {
        pushed(&world, &secret, "main", before, after).await;
        let build = claim(&world).await;
        world.builder.report(build.build_id, &ready(1)).await.unwrap();
    }
    let back = Push { delivery: "back", branch: "main", before: 'b', after: 'a' };
    let answer = push(&world, "shop", &secret, &back).await;
    assert_eq!(answer.outcome, "repointed");
    let project = world.api.find_project(&slug("shop")).await.unwrap().unwrap();
    assert_eq!(project.production_deployment_id, answer.deployments.first().copied());
    assert!(world.builder.claim("tests", NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn a_silent_builder_loses_its_build_to_another_and_may_not_report_any_more() {
    let world = World::start_with(|config| config.build_lease = Duration::from_millis(100)).await;
    let secret = world.project("shop").await.webhook_secret;
    pushed(&world, &secret, "main", '0', 'a').await;
    let first = claim(&world).await;
    let second = world.builder.claim("other", SOON).await.unwrap().expect("it is taken back");
    assert_eq!((second.build_id, second.attempt), (first.build_id, 2));
    assert_ne!(first.folder(), second.folder());
    let late = world.builder.report(first.build_id, &ready(1)).await.unwrap_err();
    assert_eq!(late.code(), Some("lease_lost"));
    let batch = LogBatch { attempt: 1, lines: Vec::new() };
    assert_eq!(world.builder.log(first.build_id, &batch).await.unwrap_err().code(), Some("lease_lost"));
}

#[tokio::test]
async fn our_own_faults_are_tried_three_times_and_then_told() {
    let world = World::start_with(|config| config.build_lease = Duration::from_millis(50)).await;
    let secret = world.project("shop").await.webhook_secret;
    let deployment = pushed(&world, &secret, "main", '0', 'a').await;
    for attempt in 1..=3 {
        assert_eq!(world.builder.claim("dying", SOON).await.unwrap().expect("again").attempt, attempt);
    }
    let deadline = tokio::time::Instant::now() + SOON;
    let failed = loop {
        let now = world.api.get_deployment(&slug("shop"), deployment.id).await.unwrap();
        if now.status.is_final() {
            break now;
        }
        assert!(tokio::time::Instant::now() < deadline, "{now:?}");
    };
    assert_eq!(failed.status, DeploymentStatus::Failed);
    assert!(failed.failure.unwrap().reason.contains("stopped answering"));
}

#[tokio::test]
async fn a_failing_build_is_told_and_not_repeated_and_the_old_deployment_stays() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    pushed(&world, &secret, "main", '0', 'a').await;
    let good = claim(&world).await;
    world.builder.report(good.build_id, &ready(1)).await.unwrap();
    pushed(&world, &secret, "main", 'a', 'b').await;
    let bad = claim(&world).await;
    assert_eq!(bad.base, Some(good.deployment_id));
    let failure = BuildFailure {
        step: Step::Build,
        reason: "the command ended with exit code 2".into(),
        exit_code: Some(2),
        log_tail: vec!["boom".into()],
    };
    let report = BuildReport { attempt: 1, outcome: Outcome::Failed(failure.clone()), timings: Vec::new() };
    world.builder.report(bad.build_id, &report).await.unwrap();
    let deployment = world.api.get_deployment(&slug("shop"), bad.deployment_id).await.unwrap();
    assert_eq!((deployment.status, deployment.failure), (DeploymentStatus::Failed, Some(failure)));
    assert_eq!(status(&world, &good).await, DeploymentStatus::Live);
    assert!(world.builder.claim("tests", NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn a_released_build_goes_to_the_next_builder_at_once() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    pushed(&world, &secret, "main", '0', 'a').await;
    let first = claim(&world).await;
    let report = BuildReport { attempt: 1, outcome: Outcome::Released, timings: Vec::new() };
    world.builder.report(first.build_id, &report).await.unwrap();
    assert_eq!(claim(&world).await.attempt, 2);
}

#[tokio::test]
async fn a_cancelled_build_is_told_to_its_builder_and_never_goes_live() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    pushed(&world, &secret, "main", '0', 'a').await;
    let build = claim(&world).await;
    let cancelled = world.api.cancel_deployment(&slug("shop"), build.deployment_id).await.unwrap();
    assert_eq!(cancelled.status, DeploymentStatus::Cancelled);
    let beat = Heartbeat { attempt: 1, phase: Phase::Building };
    assert!(world.builder.heartbeat(build.build_id, &beat).await.unwrap().cancelled);
    assert_eq!(world.builder.report(build.build_id, &ready(1)).await.unwrap_err().code(), Some("lease_lost"));
    assert_eq!(status(&world, &build).await, DeploymentStatus::Cancelled);
    let again = world.api.cancel_deployment(&slug("shop"), build.deployment_id).await.unwrap_err();
    assert_eq!(again.code(), Some("deployment_has_ended"));
}
