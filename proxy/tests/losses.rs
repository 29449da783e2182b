//! What happens when something is gone: the api, its events, the store, the process itself.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::time::{Duration, Instant};

use loggia_types::event::Change;
use support::faulty_store::Fault;
use support::{HOST, World, eventually, hostname, project, route, without_cache};

#[tokio::test(flavor = "multi_thread")]
async fn a_promote_is_followed_within_a_second() {
    let world = World::new().await;
    let first = world.publish(1, &[("index.html", b"one")]).await;
    let second = world.deploy(2, &[("index.html", b"two")]).await;
    assert_eq!(world.get("/").await.summary(), "200 one");

    for (deployment, expected) in [(second, "200 two"), (first, "200 one")] {
        let promoted = Instant::now();
        world.promote(deployment);
        eventually("the edge follows", async || world.get("/").await.summary() == expected).await;
        assert!(promoted.elapsed() < Duration::from_secs(1), "{:?}", promoted.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_hostname_is_known_as_soon_as_its_event_comes() {
    let world = World::new().await;
    assert_eq!(world.get("/").await.status, 404);
    let asked = world.api.questions();
    assert_eq!(world.get("/").await.status, 404);
    assert_eq!(world.api.questions(), asked, "«unknown» is remembered");
    world.publish(1, &[("index.html", b"born")]).await;
    eventually("it is known", async || world.get("/").await.summary() == "200 born").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_events_a_promote_is_seen_after_two_seconds() {
    let mut world = World::new().await;
    world.publish(1, &[("index.html", b"one")]).await;
    assert_eq!(world.get("/").await.summary(), "200 one");
    let second = world.deploy(2, &[("index.html", b"two")]).await;
    world.api.refuse_events(true);
    world.api.kill();
    world.api.resume();
    world.promote_silently(second);
    let promoted = Instant::now();
    eventually("the edge revalidates", async || world.get("/").await.summary() == "200 two").await;
    assert!(promoted.elapsed() < Duration::from_secs(4), "{:?}", promoted.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_lost_out_of_a_live_stream_is_found_within_seconds() {
    let world = World::new().await;
    let first = world.publish(1, &[("index.html", b"one")]).await;
    let second = world.deploy(2, &[("index.html", b"two")]).await;
    eventually("it is served", async || world.get("/").await.summary() == "200 one").await;
    let cases = [
        // what is promoted, whether another event follows, then, after which time
        (second, false, "200 two", 4),
        (first, true, "200 one", 2),
    ];
    for (deployment, is_followed, expected, secs) in cases {
        let streams = world.api.followers();
        world.promote_silently(deployment);
        world.api.lose(Change::Routes {
            project_id: project(),
            hostnames: vec![hostname(HOST)],
            wildcards: Vec::new(),
        });
        let promoted = Instant::now();
        if is_followed {
            world.api.next_position();
            let other = loggia_types::ProjectId::from_parts(7, 7);
            world.api.emit(Change::Routes {
                project_id: other,
                hostnames: Vec::new(),
                wildcards: Vec::new(),
            });
        }
        eventually("the edge finds it", async || world.get("/").await.summary() == expected).await;
        assert!(promoted.elapsed() < Duration::from_secs(secs), "{:?}", promoted.elapsed());
        eventually("it follows again", async || world.api.followers() == streams + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_twice_or_in_another_order_are_no_gap() {
    let world = World::new().await;
    let deployment = world.deploy(1, &[("index.html", b"one")]).await;
    for _ in 0..10 {
        let events = [(), ()].map(|()| {
            // A hole, as a transaction leaves it that was rolled back.
            world.api.next_position();
            world.promote_silently(deployment);
            world.api.lose(Change::Routes {
                project_id: project(),
                hostnames: vec![hostname(HOST)],
                wildcards: Vec::new(),
            })
        });
        for event in events.iter().rev().chain(&events) {
            world.api.deliver(event);
        }
    }
    eventually("it is served", async || world.get("/").await.summary() == "200 one").await;
    // Longer than until the next position is told, and than anything is waited for.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.api.followers(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_never_goes_back_to_a_lower_version() {
    let world = World::new().await;
    let first = world.deploy(1, &[("index.html", b"one")]).await;
    let second = world.publish(2, &[("index.html", b"two")]).await;
    assert_eq!(world.get("/").await.summary(), "200 two");

    // A lagging api: the event is newer than what it answers.
    world.api.set_route(route(HOST, Some(first.deployment_id), 1));
    world.api.next_position();
    let asked = world.api.questions();
    world.api.emit(Change::Routes {
        project_id: project(),
        hostnames: vec![hostname(HOST)],
        wildcards: Vec::new(),
    });
    eventually("the edge asked again", async || world.api.questions() > asked).await;
    assert_eq!(world.get("/").await.summary(), "200 two");
    let _ = second;
}

#[tokio::test(flavor = "multi_thread")]
async fn known_hosts_outlive_the_api_and_a_restart_and_unknown_ones_get_503() {
    let mut world = World::new().await;
    world.publish(1, &[("index.html", b"still here")]).await;
    assert_eq!(world.get("/").await.status, 200);
    world.api.kill();
    assert_eq!(world.get("/").await.summary(), "200 still here");

    let unknown = world.get_host("stranger.localhost").await;
    assert_eq!((unknown.status, unknown.header("retry-after")), (503, Some("5")));

    world.restart_edge().await;
    assert_eq!(world.get("/").await.summary(), "200 still here");
    assert_eq!(world.get_host("stranger.localhost").await.status, 503);

    // And when it is back, what changed meanwhile is found.
    let second = world.deploy(2, &[("index.html", b"news")]).await;
    world.promote_silently(second);
    world.api.resume();
    eventually("the edge catches up", async || world.get("/").await.summary() == "200 news").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_api_delays_known_hosts_by_a_second_at_most() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"one")]).await;
    assert_eq!(world.get("/").await.status, 200);
    world.api.hang(true);
    world.api.next_position();
    let asked = world.api.questions();
    world.api.emit(Change::Routes { project_id: project(), hostnames: Vec::new(), wildcards: Vec::new() });
    eventually("the edge asks", async || world.api.questions() > asked).await;
    let started = Instant::now();
    assert_eq!(world.get("/").await.summary(), "200 one");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(world.get_host("stranger.localhost").await.status, 503);
    world.api.hang(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_visitors_ask_the_api_once() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"one")]).await;
    let before = world.api.questions();
    let gets = (0..100).map(|_| world.get("/"));
    let answers = futures::future::join_all(gets).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(world.api.questions() <= before + 1, "{} questions", world.api.questions() - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_means_503_and_never_404() {
    let mut world = World::with(without_cache).await;
    world.publish(1, &[("index.html", b"one")]).await;
    let other = world.deploy(2, &[("index.html", b"two")]).await;
    assert_eq!(world.get("/").await.status, 200);
    world.api.set_route(route("cold.localhost", Some(other.deployment_id), 200));

    let addr = world.stop_s3().await;
    world.faults.set(Fault::Close);
    let warm = world.get("/").await;
    assert_eq!(
        (warm.status, warm.header("retry-after"), warm.header("cache-control")),
        (503, Some("5"), Some("no-store"))
    );
    assert_eq!(world.get_host("cold.localhost").await.status, 503);
    // What needs no bytes is still right.
    assert_eq!(world.get_with("/", "If-None-Match: *").await.status, 304);

    world.start_s3(addr).await;
    world.faults.set(Fault::None);
    let returned = Instant::now();
    eventually("the store is used again", async || world.get("/").await.summary() == "200 one").await;
    eventually("also for manifests", async || world.get_host("cold.localhost").await.summary() == "200 two")
        .await;
    assert!(returned.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_store_refuses_is_503() {
    let world = World::with(without_cache).await;
    world.publish(1, &[("index.html", b"one"), ("b.txt", b"0123456789")]).await;
    assert_eq!(world.get("/").await.status, 200);
    for status in [403, 404, 500, 503, 301, 206] {
        world.faults.set(Fault::Status(status));
        let answer = world.get("/").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "after {status}");
        assert_eq!(world.get_with("/b.txt", "Range: bytes=1-2").await.status, 503, "after {status}");
    }
    world.faults.set(Fault::None);
    assert_eq!(world.get("/").await.summary(), "200 one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_or_changed_body_never_looks_whole() {
    let world = World::with(without_cache).await;
    let large = vec![b'x'; 3_000_000];
    world.publish(1, &[("large.bin", &large), ("small.txt", b"small")]).await;
    assert_eq!(world.get("/small.txt").await.status, 200);

    for fault in [Fault::CutAfter(1_000_000), Fault::CutAfter(2_999_999), Fault::Corrupt] {
        world.faults.set(fault);
        let answer = world.get("/large.bin").await;
        assert!(answer.status == 503 || !answer.is_whole, "{fault:?}: {} bytes", answer.body.len());
        let small = world.get("/small.txt").await;
        if fault == Fault::Corrupt {
            assert_eq!(small.status, 503);
        }
    }
    world.faults.set(Fault::None);
    assert!(world.get("/large.bin").await.body == large);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_that_is_cut_or_changed_is_503() {
    let world = World::new().await;
    // It comes in several pieces, of which the first ones are right, and the rest is asked for a second time.
    let page = vec![b'x'; 60_000];
    world.publish(1, &[("page.bin", &page), ("known.txt", b"known")]).await;
    assert_eq!(world.get("/known.txt").await.status, 200);
    for fault in [Fault::CutAfter(20_000), Fault::Corrupt] {
        world.faults.set(fault);
        let answer = world.get("/page.bin").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{fault:?}");
    }
    world.faults.set(Fault::None);
    assert!(world.get("/page.bin").await.body == page);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_the_store_lost_is_an_error_and_not_404() {
    let world = World::new().await;
    let lost = loggia_types::DeploymentId::from_parts(99, 9);
    world.api.set_route(route(HOST, Some(lost), 101));
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.header("cache-control")), (500, Some("no-store")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_hostname_is_forgotten_also_after_a_restart() {
    let mut world = World::new().await;
    world.publish(1, &[("index.html", b"one")]).await;
    assert_eq!(world.get("/").await.status, 200);
    world.api.remove_route(HOST);
    world.api.next_position();
    world.api.emit(Change::Routes { project_id: project(), hostnames: Vec::new(), wildcards: Vec::new() });
    eventually("it is gone", async || world.get("/").await.status == 404).await;
    world.api.kill();
    world.restart_edge().await;
    assert_eq!(world.get("/").await.status, 503, "nothing is known about it any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_without_a_usable_disk_serves() {
    let world = World::with(|config, dir| {
        let file = dir.join("not-a-folder");
        std::fs::write(&file, b"").unwrap();
        config.state_dir = file.join("state");
    })
    .await;
    world.publish(1, &[("index.html", b"one")]).await;
    assert_eq!(world.get("/").await.summary(), "200 one");
    let complains = async || world.get("/.loggia/health").await.text().contains("could not be written");
    eventually("the health page tells of it", complains).await;
    assert_eq!(world.get("/.loggia/health").await.status, 200);
}
