use std::path::Path;
use std::process::Command;

use loggia_e2e::fleet::{Fleet, SOON};
use loggia_e2e::process::repository_root;
use loggia_e2e::{eventually, projects};
use loggia_types::api::DeploymentStatus;
use nix::sys::signal::Signal;

/// Every file names the run that wrote it, so that a mixture of two runs would show, and its number, since one content is
/// uploaded once. Of this type nothing is compressed, which would take longer than the upload.
const MANY_FILES: &str = "
    import fs from 'fs';
    const run = String(Math.random());
    fs.mkdirSync('dist');
    for (let n = 0; n < 4000; n++) fs.writeFileSync(`dist/${n}.bin`, run + '/' + n + ' '.repeat(30000));
    fs.writeFileSync('dist/index.html', run);
";

#[tokio::test(flavor = "multi_thread")]
async fn a_builder_killed_in_the_middle_of_an_upload_leaves_nothing_visible_and_another_finishes() {
    let fleet = Fleet::new().await;
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let first = fleet.start_builder("first");
    let project = fleet.project("shop").await;
    let id = fleet.push(&project, projects::scripted(MANY_FILES).path(), "main").await;
    let half = eventually("the upload is under way", SOON * 3, || async {
        let objects = fleet.objects(&project, id).await;
        (objects.len() > 50).then_some(objects)
    })
    .await;
    first.kill_9();
    assert!(half.iter().all(|key| !key.ends_with("/.loggia/manifest")), "it was killed before the end");
    assert_eq!(fleet.visitor.get(&format!("d-{id}--shop.localhost"), "/").await.status, 404);
    let production = fleet.visitor.get("shop.localhost", "/0.bin").await;
    assert!(production.status == 404 && !production.body.starts_with("0."), "nothing is deployed yet");

    let _second = fleet.start_builder("second");
    let deployment = fleet.ended(&project, id).await;
    assert_eq!(deployment.status, DeploymentStatus::Live, "{:?}", deployment.failure);
    is_of_one_run(&fleet).await;
    assert_eq!(fleet.api.list_deployments(&project.project.slug, None).await.unwrap().items.len(), 1);
}

async fn is_of_one_run(fleet: &Fleet) {
    // An edge that was asked before the deployment was there hears of it a moment after the api.
    let run =
        eventually("the page is shown", SOON, || fleet.visitor.try_get("shop.localhost", "/")).await.body;
    for n in (0..4000).step_by(97) {
        let file = fleet.visitor.get("shop.localhost", &format!("/{n}.bin")).await;
        assert_eq!(file.body.trim_end(), format!("{run}/{n}"), "file {n} is of the same run as the page");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_builder_that_was_frozen_in_an_upload_and_wakes_late_changes_nothing() {
    let fleet = Fleet::new().await;
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let frozen = fleet.start_builder("frozen");
    let project = fleet.project("shop").await;
    let id = fleet.push(&project, projects::scripted(MANY_FILES).path(), "main").await;
    eventually("the upload is under way", SOON * 3, || async {
        (fleet.objects(&project, id).await.len() > 50).then_some(())
    })
    .await;
    frozen.signal(Signal::SIGSTOP);
    let _second = fleet.start_builder("second");
    let deployment = fleet.ended(&project, id).await;
    assert_eq!(deployment.status, DeploymentStatus::Live, "{:?}", deployment.failure);

    frozen.signal(Signal::SIGCONT);
    eventually("it notices that it is late", SOON, || async {
        let log = frozen.log();
        (log.contains("ends without a report") || log.contains("its report is not wanted")).then_some(())
    })
    .await;
    is_of_one_run(&fleet).await;
    let after = fleet.api.get_deployment(&project.project.slug, id).await.unwrap();
    assert_eq!((after.status, after.finished_at), (DeploymentStatus::Live, deployment.finished_at));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_answered_becomes_one_deployment_though_the_api_is_killed() {
    let fleet = Fleet::new().await;
    let api = fleet.start_api().await;
    let project = fleet.project("shop").await;
    let push = fleet.forge.push("shop", projects::plain(&[("index.html", "survived")]).path(), "main");
    let answer = fleet.forge.deliver(&fleet.api_url, &project.webhook_secret, &push).await;
    api.kill_9();
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let _builder = fleet.start_builder("builder");
    let deployment = fleet.ended(&project, answer.deployments[0]).await;
    assert_eq!(deployment.status, DeploymentStatus::Live, "{:?}", deployment.failure);
    assert_eq!(fleet.visitor.get("shop.localhost", "/").await.body, "survived");
    // The forge believes that its first try got lost.
    let again = fleet.forge.deliver(&fleet.api_url, &project.webhook_secret, &push).await;
    assert_eq!(again.outcome, "duplicate");
    assert_eq!(fleet.api.list_deployments(&project.project.slug, None).await.unwrap().items.len(), 1);
}

/// A Postgres of this journey's own, so that it can be stopped.
fn own_postgres(state: &Path, command: &str) -> String {
    let output = Command::new(repository_root().join("scripts/test-postgres.sh"))
        .arg(command)
        .env("LOGGIA_TEST_STATE", state)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().replacen("LOGGIA_TEST_DATABASE_URL=", "", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn known_hosts_are_served_without_api_and_postgres_also_after_a_restart_of_the_edge() {
    let state = tempfile::tempdir().unwrap();
    let fleet = Fleet::with_database(own_postgres(state.path(), "start")).await;
    let api = fleet.start_api().await;
    let edge = fleet.start_edge().await;
    let builder = fleet.start_builder("builder");
    let project = fleet.project("shop").await;
    fleet.project("never-visited").await;
    let id = fleet
        .push(&project, projects::plain(&[("index.html", "standing"), ("a/b.txt", "deep")]).path(), "main")
        .await;
    assert_eq!(fleet.ended(&project, id).await.status, DeploymentStatus::Live);
    assert_eq!(fleet.visitor.get("shop.localhost", "/").await.body, "standing");

    drop(builder);
    api.kill_9();
    own_postgres(state.path(), "stop");
    let still_serving = || async {
        for _ in 0..20 {
            assert_eq!(fleet.visitor.get("shop.localhost", "/").await.body, "standing");
            assert_eq!(fleet.visitor.get("shop.localhost", "/a/b.txt").await.body, "deep");
        }
        let unknown = fleet.visitor.get("never-visited.localhost", "/").await;
        assert_eq!(unknown.status, 503, "nobody can know whether it exists");
        assert!(!unknown.header("retry-after").is_empty());
    };
    still_serving().await;
    edge.kill_9();
    let _edge = fleet.start_edge().await;
    still_serving().await;
}
