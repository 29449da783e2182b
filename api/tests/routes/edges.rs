use std::time::Duration;

use futures::StreamExt;
use loggia_types::api::{CreateDeployment, UpdateProject};
use loggia_types::build::Environment;
use loggia_types::event::{Change, EdgeEvent, Told};
use loggia_types::manifest::NotFound;
use loggia_types::publish::SiteFile;
use loggia_types::route::Route;
use loggia_types::{ContentHash, DeploymentId, EventPosition};

use crate::world::{EDGE, World, changes, slug};

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
    let mut events = Box::pin(changes(world.edge.events(None).await.unwrap()));
    let hello = events.next().await.unwrap().unwrap();
    assert_eq!(hello.change, Change::Reset);
    let before = route(&world, "shop.localhost").await.unwrap();
    let id = deploy(&world, "1", None).await;
    let event = events.next().await.unwrap().unwrap();
    assert!(event.position > hello.position);
    let hostnames =
        vec!["shop.localhost".parse().unwrap(), format!("d-{id}--shop.localhost").parse().unwrap()];
    assert_eq!(event.change, Change::Routes { project_id: project.id, hostnames, wildcards: Vec::new() });
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
    let mut events = Box::pin(changes(world.edge.events(None).await.unwrap()));
    let position = events.next().await.unwrap().unwrap().position;
    drop(events);
    deploy(&world, "1", None).await;
    deploy(&world, "2", None).await;
    let resumed = world.edge.events(Some(position)).await.unwrap();
    let missed: Vec<EdgeEvent> = changes(resumed).take(2).map(Result::unwrap).collect().await;
    assert!(missed.iter().all(|event| matches!(event.change, Change::Routes { .. })));
    assert_eq!(
        missed.iter().map(|event| event.position.0).collect::<Vec<_>>(),
        [position.0 + 1, position.0 + 2]
    );
    let beyond = world.edge.events(Some(EventPosition(1_000_000))).await.unwrap();
    let first: Vec<EdgeEvent> = changes(beyond).take(1).map(Result::unwrap).collect().await;
    assert_eq!(first[0].change, Change::Reset);
}

#[tokio::test]
async fn a_stream_tells_where_it_stands_and_each_event_what_it_comes_after() {
    let world = World::start().await;
    world.project("shop").await;
    let mut stream = Box::pin(world.edge.events(None).await.unwrap());
    let Told::Event(hello) = stream.next().await.unwrap().unwrap() else { panic!("a position") };
    assert_eq!((hello.change, hello.after), (Change::Reset, None));
    assert_eq!(stream.next().await.unwrap().unwrap(), Told::Position(hello.position));

    // A number that no event gets.
    let client = world.database.connect().await;
    client.batch_execute("begin; select publish_event('x', '{}'); rollback").await.unwrap();
    deploy(&world, "1", None).await;
    deploy(&world, "2", None).await;
    let (mut complete, mut events) = (hello.position, 0);
    while events < 2 {
        match stream.next().await.unwrap().unwrap() {
            Told::Position(position) => assert_eq!(position, complete),
            Told::Event(event) => {
                assert_eq!(event.after, Some(complete));
                assert!(event.position.0 > complete.0 + u64::from(events == 0), "the hole");
                (complete, events) = (event.position, events + 1);
            }
        }
    }
    // At once, and again while nothing happens.
    for _ in 0..2 {
        let told = tokio::time::timeout(Duration::from_secs(5), stream.next()).await.expect("it goes on");
        assert_eq!(told.unwrap().unwrap(), Told::Position(complete));
    }
}

/// An edge of before would expire everything at each.
#[tokio::test]
async fn who_does_not_ask_for_positions_hears_of_events_only() {
    let world = World::start().await;
    world.project("shop").await;
    let url = format!("{}/internal/v1/events", world.url);
    let mut answer = world.http.get(url).bearer_auth(EDGE).send().await.unwrap();
    let mut text = String::new();
    deploy(&world, "1", None).await;
    while !text.contains(r#""type":"routes""#) {
        text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
    }
    let more = tokio::time::timeout(Duration::from_secs(3), answer.chunk()).await;
    assert!(more.is_err(), "{more:?}");
    assert!(!text.contains("event: position"), "{text}");
}

#[tokio::test]
async fn a_deleted_project_is_no_ones_route_and_edges_are_told() {
    let world = World::start().await;
    let project = world.project("shop").await.project;
    deploy(&world, "1", None).await;
    let mut events = Box::pin(changes(world.edge.events(None).await.unwrap()));
    events.next().await.unwrap().unwrap();
    world.api.delete_project(&slug("shop")).await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event.change, Change::Routes { project_id, .. } if project_id == project.id));
    assert!(route(&world, "shop.localhost").await.is_none());
}
