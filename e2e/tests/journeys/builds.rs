use loggia_e2e::fleet::{Fleet, SOON};
use loggia_e2e::{eventually, projects};
use loggia_types::api::{Deployment, DeploymentStatus};
use loggia_types::build::Step;

const GOOD: &str = "import fs from 'fs'; fs.mkdirSync('dist'); fs.writeFileSync('dist/index.html', 'good');";
const FAILING: &str = "console.log('about to fail'); console.error('the last words'); process.exit(7);";
const GREEDY: &str = "const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1));";
const ENDLESS: &str = "console.log('working'); setInterval(() => {}, 1000);";

/// A good build goes live; the bad one after it fails, tells why, and production stays as it was.
async fn fails(mut fleet: Fleet, script: &str, settings: &[(&'static str, &str)]) -> Deployment {
    for (name, value) in settings {
        fleet.set(name, *value);
    }
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let _builder = fleet.start_builder("builder");
    let project = fleet.project("shop").await;
    let good = fleet.push(&project, projects::scripted(GOOD).path(), "main").await;
    let ended = fleet.ended(&project, good).await;
    assert_eq!(
        ended.status,
        DeploymentStatus::Live,
        "{:?}\n{}",
        ended.failure,
        fleet.log(&project, good).await
    );
    let bad = fleet.push(&project, projects::scripted(script).path(), "main").await;
    let deployment = fleet.ended(&project, bad).await;
    assert_eq!(deployment.status, DeploymentStatus::Failed);
    assert_eq!(fleet.visitor.get("shop.localhost", "/").await.body, "good");
    assert_eq!(fleet.visitor.get(&format!("d-{bad}--shop.localhost"), "/").await.status, 404);
    assert!(fleet.objects(&project, bad).await.is_empty(), "nothing of a failed build is published");
    deployment
}

async fn with_docker() -> Fleet {
    let mut fleet = Fleet::new().await;
    fleet.use_docker();
    fleet
}

fn tells_exit_code_and_last_lines(deployment: &Deployment) {
    let failure = deployment.failure.as_ref().unwrap();
    assert_eq!((failure.step, failure.exit_code), (Step::Build, Some(7)), "{failure:?}");
    assert!(failure.log_tail.iter().any(|line| line.contains("the last words")), "{failure:?}");
}

fn tells_the_memory_limit(deployment: &Deployment) {
    let failure = deployment.failure.as_ref().unwrap();
    assert!(failure.step == Step::Build && failure.reason.contains("memory"), "{failure:?}");
}

fn tells_the_time_limit(deployment: &Deployment) {
    let failure = deployment.failure.as_ref().unwrap();
    assert!(failure.step == Step::Build && failure.reason.contains("longer than"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_in_a_container_tells_its_exit_code_and_last_lines() {
    tells_exit_code_and_last_lines(&fails(with_docker().await, FAILING, &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_in_the_sandbox_tells_its_exit_code_and_last_lines() {
    tells_exit_code_and_last_lines(&fails(Fleet::new().await, FAILING, &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_exceeds_its_memory_in_a_container_is_ended_and_told() {
    tells_the_memory_limit(&fails(with_docker().await, GREEDY, &[("LOGGIA_BUILD_MEMORY_MB", "256")]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_exceeds_its_memory_in_the_sandbox_is_ended_and_told() {
    tells_the_memory_limit(&fails(Fleet::new().await, GREEDY, &[("LOGGIA_BUILD_MEMORY_MB", "256")]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_exceeds_its_time_in_a_container_is_ended_and_told() {
    tells_the_time_limit(&fails(with_docker().await, ENDLESS, &[("LOGGIA_BUILD_TIMEOUT_SECS", "20")]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_exceeds_its_time_in_the_sandbox_is_ended_and_told() {
    tells_the_time_limit(&fails(Fleet::new().await, ENDLESS, &[("LOGGIA_BUILD_TIMEOUT_SECS", "20")]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_file_that_does_not_match_is_a_problem_and_no_failure() {
    let fleet = Fleet::new().await;
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let _builder = fleet.start_builder("builder");
    let project = fleet.project("shop").await;
    let source = projects::scripted(GOOD);
    let package =
        r#"{"name":"scripted","scripts":{"build":"node build.mjs"},"dependencies":{"is-number":"^7.0.0"}}"#;
    std::fs::write(source.path().join("package.json"), package).unwrap();
    let id = fleet.push(&project, source.path(), "main").await;
    let deployment = fleet.ended(&project, id).await;
    assert_eq!(deployment.status, DeploymentStatus::Live, "{:?}", deployment.failure);
    assert!(
        deployment.problems.iter().any(|problem| problem.message.contains("lock file")),
        "{deployment:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_build_shows_its_log_and_can_be_cancelled() {
    let fleet = Fleet::new().await;
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let _builder = fleet.start_builder("builder");
    let project = fleet.project("shop").await;
    let id = fleet.push(&project, projects::scripted(ENDLESS).path(), "main").await;
    eventually("the line is seen while the build runs", SOON * 3, || async {
        fleet.log(&project, id).await.lines().any(|line| line == "working").then_some(())
    })
    .await;
    let slug = &project.project.slug;
    assert_eq!(fleet.api.get_deployment(slug, id).await.unwrap().status, DeploymentStatus::Building);
    fleet.api.cancel_deployment(slug, id).await.unwrap();
    // The builder is free again: the next push is built.
    let next = fleet.push(&project, projects::scripted(GOOD).path(), "main").await;
    assert_eq!(fleet.ended(&project, next).await.status, DeploymentStatus::Live);
    assert_eq!(fleet.api.get_deployment(slug, id).await.unwrap().status, DeploymentStatus::Cancelled);
}
