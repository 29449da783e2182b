use futures::StreamExt;
use loggia_types::api::{CreateDeployment, UpdateProject};
use loggia_types::build::Environment;
use loggia_types::event::{Change, EdgeEvent};
use loggia_types::manifest::NotFound;
use loggia_types::publish::SiteFile;
use loggia_types::route::Route;
use loggia_types::{ContentHash, DeploymentId, EventPosition};

use crate::world::{World, slug};

async fn route(world: &World, hostname: &str) -> Option<Route> {
    world.edge.route(&hostname.parse().unwrap()).await.unwrap()
}

pub(crate) async fn deploy(world: &World, content: &str, alias: Option<&str>) -> DeploymentId {
    let file = SiteFile {
        path: "index.html".parse().unwrap(),
        hash: ContentHash::of(content.as_bytes()),
        size: content.len() as u64,
    };
    let alias = alias.map(|alias| alias.parse().unwrap());
    let body = CreateDeployment::Upload { files: vec![file.clone()], alias, message: String::new() };
    let started = world.api.start_upload(&slug("shop"), &body).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("x");
    std::fs::write(&local, content).unwrap();
    if !started.missing.is_empty() {
        world.api.upload_file(&slug("shop"), started.id, file.hash, &local).await.unwrap();
    }
    world.api.finish_upload(&slug("shop"), started.id).await.unwrap();
    started.id
}

#[tokio::test]
async fn every_name_of_a_project_has_a_route_and_no_other_name_has() {
    let world = World::start().await;
    let project = world.project("shop").await.project;
    let empty = route(&world, "shop.localhost").await.unwrap();
    assert_eq!((empty.project_id, empty.deployment_id), (project.id, None));
    let production = deploy(&world, "1", None).await;
    let preview = deploy(&world, "2", Some("next")).await;
    let cases = [
        ("shop.localhost".to_owned(), Some((production, true))),
        ("next--shop.localhost".to_owned(), Some((preview, false))),
        (format!("d-{preview}--shop.localhost"), Some((preview, false))),
        (format!("d-{production}--shop.localhost"), Some((production, false))),
        ("other--shop.localhost".to_owned(), None),
        (format!("d-{production}--blog.localhost"), None),
        ("blog.localhost".to_owned(), None),
        ("localhost".to_owned(), None),
        ("a.shop.localhost".to_owned(), None),
        ("shop.example.com".to_owned(), None),
    ];
    for (hostname, expected) in cases {
        let found =
            route(&world, &hostname).await.map(|route| (route.deployment_id.unwrap(), route.indexable));
        assert_eq!(found, expected, "{hostname}");
    }
    let environments = [
        ("shop.localhost".to_owned(), Environment::Production),
        ("next--shop.localhost".to_owned(), Environment::Preview),
        (format!("d-{production}--shop.localhost"), Environment::Preview),
    ];
    for (hostname, expected) in environments {
        assert_eq!(route(&world, &hostname).await.unwrap().environment, expected, "{hostname}");
    }
    let id = project.id;
    let keys = [
        ("shop.localhost".to_owned(), format!("p-{id} d-{production} a-{id}-production")),
        ("next--shop.localhost".to_owned(), format!("p-{id} d-{preview} a-{id}-next")),
        (format!("d-{production}--shop.localhost"), format!("p-{id} d-{production}")),
    ];
    for (hostname, expected) in keys {
        assert_eq!(
            route(&world, &hostname).await.unwrap().surrogate_keys().collect::<Vec<_>>().join(" "),
            expected,
            "{hostname}"
        );
    }
}

#[tokio::test]
async fn edges_hear_of_every_change_in_order_and_versions_rise() {
    let world = World::start().await;
    let project = world.project("shop").await.project;
    let mut events = Box::pin(world.edge.events(None).await.unwrap());
    let hello = events.next().await.unwrap().unwrap();
    assert_eq!(hello.change, Change::Reset);
    let before = route(&world, "shop.localhost").await.unwrap();
    let id = deploy(&world, "1", None).await;
    let event = events.next().await.unwrap().unwrap();
    assert!(event.position > hello.position);
    let hostnames =
        vec!["shop.localhost".parse().unwrap(), format!("d-{id}--shop.localhost").parse().unwrap()];
    assert_eq!(event.change, Change::Routes { project_id: project.id, hostnames });
    let after = route(&world, "shop.localhost").await.unwrap();
    assert!(after.version >= event.position && before.version < event.position);
    let change = UpdateProject { not_found: Some(NotFound::None), ..UpdateProject::default() };
    world.api.update_project(&slug("shop"), &change).await.unwrap();
    let settings = events.next().await.unwrap().unwrap();
    assert!(settings.position > event.position);
    assert_eq!(route(&world, "shop.localhost").await.unwrap().serve.not_found, NotFound::None);
}

#[tokio::test]
async fn a_stream_resumes_where_it_was_and_says_when_it_cannot() {
    let world = World::start().await;
    world.project("shop").await;
    let mut events = Box::pin(world.edge.events(None).await.unwrap());
    let position = events.next().await.unwrap().unwrap().position;
    drop(events);
    deploy(&world, "1", None).await;
    deploy(&world, "2", None).await;
    let resumed = world.edge.events(Some(position)).await.unwrap();
    let missed: Vec<EdgeEvent> = resumed.take(2).map(Result::unwrap).collect().await;
    assert!(missed.iter().all(|event| matches!(event.change, Change::Routes { .. })));
    assert_eq!(
        missed.iter().map(|event| event.position.0).collect::<Vec<_>>(),
        [position.0 + 1, position.0 + 2]
    );
    let beyond = world.edge.events(Some(EventPosition(1_000_000))).await.unwrap();
    let first: Vec<EdgeEvent> = beyond.take(1).map(Result::unwrap).collect().await;
    assert_eq!(first[0].change, Change::Reset);
}

#[tokio::test]
async fn a_deleted_project_is_no_ones_route_and_edges_are_told() {
    let world = World::start().await;
    let project = world.project("shop").await.project;
    deploy(&world, "1", None).await;
    let mut events = Box::pin(world.edge.events(None).await.unwrap());
    events.next().await.unwrap().unwrap();
    world.api.delete_project(&slug("shop")).await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event.change, Change::Routes { project_id, .. } if project_id == project.id));
    assert!(route(&world, "shop.localhost").await.is_none());
}
