use std::time::{Duration, Instant};

use loggia_e2e::fleet::{Fleet, SOON, slug};
use loggia_e2e::{eventually, projects};
use loggia_types::api::{CreatedProject, DeploymentStatus};

/// What BEHAVIOR promises between «live» and the visitor seeing it.
const SWITCH_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_vite_project_is_built_in_a_container_changed_and_rolled_back() {
    let mut fleet = Fleet::new().await;
    fleet.use_docker();
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let _builder = fleet.start_builder("builder");
    let project = fleet.project("shop").await;
    let source = projects::vite_react();

    let first = fleet.push(&project, source.path(), "main").await;
    let deployment = fleet.ended(&project, first).await;
    let log = fleet.log(&project, first).await;
    assert_eq!(deployment.status, DeploymentStatus::Live, "{:?}\n{log}", deployment.failure);
    assert_eq!(deployment.framework.as_deref(), Some("Vite"));
    assert!(log.contains("npm ci"), "a frozen install: {log}");
    the_site_answers(&fleet).await;

    // One component changes: its chunk and the page that names it, nothing else.
    let component = source.path().join("src/App.jsx");
    let text = std::fs::read_to_string(&component).unwrap();
    std::fs::write(&component, text.replacen("return (", "document.title = 'changed'; return (", 1)).unwrap();
    let before = fleet.visitor.navigate("shop.localhost", "/").await.body;
    let second = fleet.push(&project, source.path(), "main").await;
    let deployment = fleet.ended(&project, second).await;
    let live = Instant::now();
    assert_eq!(deployment.status, DeploymentStatus::Live, "{:?}", deployment.failure);
    let after = shows_other_than(&fleet, &before, live).await;
    only_what_changed_was_uploaded(&fleet, &project, &deployment).await;

    // The old deployment stays at its permanent name, and comes back with one call.
    let permanent = format!("d-{first}--shop.localhost");
    assert_eq!(fleet.visitor.navigate(&permanent, "/").await.body, before);
    assert_eq!(fleet.visitor.navigate(&permanent, "/").await.header("x-robots-tag"), "noindex");
    let back = fleet.api.roll_back(&slug("shop")).await.unwrap();
    assert_eq!(back.id, first);
    assert_eq!(shows_other_than(&fleet, &after, Instant::now()).await, before);
}

/// The page, a deep link of its router, a missing script, validators and ranges.
async fn the_site_answers(fleet: &Fleet) {
    let page = fleet.visitor.navigate("shop.localhost", "/").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains(r#"<div id="root">"#), "{}", page.body);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "public, max-age=0, must-revalidate");
    let deep = fleet.visitor.navigate("shop.localhost", "/orders/42").await;
    assert_eq!((deep.status, deep.body.as_str()), (200, page.body.as_str()), "a deep link gives the shell");
    assert_eq!(fleet.visitor.get("shop.localhost", "/assets/missing.js").await.status, 404);

    let script =
        page.body.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(".js")).unwrap();
    let answer = fleet.visitor.get("shop.localhost", script).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/javascript; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    let again =
        fleet.visitor.get_with("shop.localhost", script, &[("if-none-match", answer.header("etag"))]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let part = fleet.visitor.get_with("shop.localhost", script, &[("range", "bytes=5-9")]).await;
    assert_eq!((part.status, part.body.as_str()), (206, &answer.body[5..10]));
}

/// Waits until production shows something else. Fails when that takes longer than promised.
async fn shows_other_than(fleet: &Fleet, old: &str, since: Instant) -> String {
    let shown = eventually("the page changes", SOON, || async {
        let body = fleet.visitor.navigate("shop.localhost", "/").await.body;
        (body != old).then_some(body)
    })
    .await;
    assert!(since.elapsed() < SWITCH_WITHIN, "the switch took {:?}", since.elapsed());
    shown
}

async fn only_what_changed_was_uploaded(
    fleet: &Fleet,
    project: &CreatedProject,
    deployment: &loggia_types::api::Deployment,
) {
    let counts = deployment.counts.unwrap();
    assert!(counts.reused > 0 && counts.uploaded < counts.files, "{counts:?}");
    let objects = fleet.objects(project, deployment.id).await;
    let files: Vec<&String> = objects.iter().filter(|key| !key.contains("/.loggia/")).collect();
    assert_eq!(files.len() as u64, counts.uploaded, "the bucket holds what was counted: {objects:?}");
    // The page, and the chunk with the component.
    assert_eq!(counts.uploaded, 2, "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_project_is_built_in_the_sandbox_of_a_machine_without_an_engine() {
    let fleet = Fleet::new().await;
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let _builder = fleet.start_builder("builder");
    let project = fleet.project("shop").await;
    let source = projects::vite_react();
    let id = fleet.push(&project, source.path(), "main").await;
    let deployment = fleet.ended(&project, id).await;
    assert_eq!(
        deployment.status,
        DeploymentStatus::Live,
        "{:?}\n{}",
        deployment.failure,
        fleet.log(&project, id).await
    );
    the_site_answers(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_becomes_a_preview_that_leaves_production_alone() {
    let fleet = Fleet::new().await;
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let _builder = fleet.start_builder("builder");
    let project = fleet.project("shop").await;
    let main = fleet.push(&project, projects::plain(&[("index.html", "production")]).path(), "main").await;
    assert_eq!(fleet.ended(&project, main).await.status, DeploymentStatus::Live);
    let next = fleet.push(&project, projects::plain(&[("index.html", "preview")]).path(), "next").await;
    assert_eq!(fleet.ended(&project, next).await.status, DeploymentStatus::Live);
    assert_eq!(fleet.visitor.get("shop.localhost", "/").await.body, "production");
    assert_eq!(fleet.visitor.get("next--shop.localhost", "/").await.body, "preview");
    assert_eq!(fleet.visitor.get("next--shop.localhost", "/").await.header("x-robots-tag"), "noindex");
}
