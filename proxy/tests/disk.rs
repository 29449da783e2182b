//! What an edge keeps on disk: enough to serve after a restart when nothing else answers, and never anything wrong.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loggia_proxy::CacheConfig;
use loggia_runtime::Secret;
use loggia_types::manifest::NotFound;
use support::faulty_store::Fault;
use support::{HOST, RunningEdge, World, eventually, project, route};

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for entry in entries {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false if entry.file_name().to_string_lossy().starts_with(".tmp-") => {}
            false => found.push(entry.path()),
        }
    }
    found
}

impl World {
    fn manifest_files(&self) -> Vec<PathBuf> {
        files(&self.config().state_dir.join("manifests"))
    }

    async fn manifests_are_on_disk(&self, number: usize) {
        eventually("manifests are on disk", async || self.manifest_files().len() == number).await;
    }

    fn kept_files(&self) -> Vec<PathBuf> {
        files(&self.config().state_dir.join("files"))
    }

    async fn files_are_on_disk(&self, number: usize) {
        eventually("files are on disk", async || self.kept_files().len() == number).await;
    }

    async fn edge_follows_events(&self) {
        let connected = async || self.metrics().await.get("loggia_proxy_events_connected") == 1.0;
        eventually("the edge follows the events", connected).await;
    }

    /// Neither the api nor the store answers.
    fn cut_off(&mut self) {
        self.api.kill();
        self.faults.set(Fault::Close);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_api_and_store_still_knows_every_page() {
    let mut world = World::new().await;
    let files: &[(&str, &[u8])] = &[("index.html", b"home"), ("about.html", b"about")];
    let deployment = world.deploy_with(1, files, |manifest| manifest.facts.not_found = NotFound::None).await;
    world.promote(deployment);
    assert_eq!(world.get("/").await.summary(), "200 home");
    world.manifests_are_on_disk(1).await;
    world.cut_off();
    world.restart_edge().await;

    let bytes = world.get("/").await;
    assert_eq!((bytes.status, bytes.header("retry-after")), (503, Some("5")));
    assert_eq!(world.get_with("/", "If-None-Match: *").await.status, 304);
    let moved = world.get("/about.html").await;
    assert_eq!((moved.status / 100, moved.header("location")), (3, Some("/about")));
    assert_eq!(world.get("/missing").await.status, 404);
    let returned = Instant::now();
    world.faults.set(Fault::None);
    eventually("the store is used again", async || world.get("/").await.summary() == "200 home").await;
    assert!(returned.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_manifest_is_refused_and_fetched_again() {
    let mut world = World::new().await;
    world.publish(1, &[("index.html", b"home")]).await;
    let other = world.deploy(2, &[("index.html", b"other")]).await;
    world.api.set_route(route("other.localhost", Some(other.deployment_id), 200));
    assert_eq!(world.get("/").await.summary(), "200 home");
    assert_eq!(world.get_host("other.localhost").await.summary(), "200 other");
    world.manifests_are_on_disk(2).await;
    let kept = world.manifest_files();
    let [ref one, ref two] = kept[..] else { panic!("{kept:?}") };
    let whole = fs::read(one).unwrap();
    let of_other = fs::read(two).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;

    for (what, wrong) in [
        ("flipped", flipped.as_slice()),
        ("cut", &whole[..whole.len() - 1]),
        ("empty", b""),
        ("zeros", &vec![0; whole.len()]),
        ("another's", &of_other),
    ] {
        // Not worth another try, so that this is quick.
        world.faults.set(Fault::Status(403));
        world.restart_edge_after(|_| fs::write(one, wrong).unwrap()).await;
        let statuses = [world.get("/").await.status, world.get_host("other.localhost").await.status];
        // Both need bytes, which only the store has; but of one not even the manifest is there.
        assert_eq!(statuses, [503, 503], "{what}");
        let known = [
            world.get_with("/", "If-None-Match: *").await.status,
            world.ask("GET / HTTP/1.1\r\nHost: other.localhost\r\nIf-None-Match: *\r\nConnection: close\r\n\r\n").await.status,
        ];
        assert!(known == [503, 304] || known == [304, 503], "{what}: {known:?}");
        assert!(!one.exists(), "{what}: it is removed");
        world.faults.set(Fault::None);
        eventually("it is fetched", async || world.get("/").await.summary() == "200 home").await;
        eventually("the other too", async || {
            world.get_host("other.localhost").await.summary() == "200 other"
        })
        .await;
        eventually("and kept", async || fs::read(one).is_ok_and(|bytes| bytes == whole)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_without_a_usable_disk_serves_and_says_so() {
    let world = World::with(|config, dir| {
        let file = dir.join("not-a-folder");
        fs::write(&file, b"").unwrap();
        config.state_dir = file.join("state");
    })
    .await;
    world.publish(1, &[("index.html", b"one"), ("b.txt", b"b")]).await;
    for _ in 0..3 {
        assert_eq!(world.get("/").await.summary(), "200 one");
        assert_eq!(world.get("/b.txt").await.summary(), "200 b");
    }
    let failed = "loggia_proxy_manifests_disk_writes_total{result=\"failed\"}";
    eventually("it is counted", async || world.metrics().await.get(failed) == 1.0).await;
    assert_eq!(world.metrics().await.get("loggia_proxy_manifests_disk_reads_total{result=\"failed\"}"), 1.0);
}

/// Routes of twelve hostnames, their file damaged in every way at every 512 bytes, and an edge that starts from it alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_cut_or_damaged_anywhere_costs_no_route() {
    let mut world = World::new().await;
    let deployment = world.publish(1, &[("index.html", b"home")]).await;
    let hosts: Vec<String> = (0..12).map(|n| format!("h{n}.localhost")).collect();
    for (host, version) in hosts.iter().zip(200..) {
        world.api.set_route(route(host, Some(deployment.deployment_id), version));
        assert_eq!(world.get_host(host).await.summary(), "200 home");
    }
    // What was appended becomes a whole state with the next start.
    world.restart_edge().await;
    let log = world.config().state_dir.join("routes.log");
    let copy = world.config().state_dir.join("routes.log.1");
    let is_whole = || fs::read(&log).is_ok_and(|log| fs::read(&copy).is_ok_and(|copy| log == copy));
    eventually("it is rewritten", async || is_whole()).await;
    let whole = fs::read(&log).unwrap();
    assert!(whole.len() > 2048, "{} bytes", whole.len());
    world.api.kill();

    for at in (0..whole.len()).step_by(512) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        for damaged in [&whole[..at], flipped.as_slice()] {
            world
                .restart_edge_after(|_| {
                    fs::write(&copy, &whole).unwrap();
                    fs::write(&log, damaged).unwrap();
                })
                .await;
            for host in &hosts {
                assert_eq!(world.get_host(host).await.summary(), "200 home", "{host}, damaged at {at}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promote_whose_manifest_cannot_be_read_leaves_the_page_before() {
    let world = World::with(|config, _| config.cdn.debug_secret = Some(Secret::new("debug"))).await;
    world.publish(1, &[("index.html", b"one"), ("only-one.html", b"x"), ("404.html", b"none of one")]).await;
    assert_eq!(world.get("/").await.summary(), "200 one");
    assert_eq!(world.get("/missing").await.summary(), "404 none of one");
    let second = world.deploy(2, &[("index.html", b"two"), ("404.html", b"none of two")]).await;
    let third = world.deploy(3, &[("index.html", b"three")]).await;

    world.faults.set(Fault::Close);
    world.promote(second);
    eventually("the promote has arrived", async || world.get("/").await.header("x-cache") == Some("STALE"))
        .await;
    let asked = Instant::now();
    for _ in 0..20 {
        let answer = world.get_with("/", "Fastly-Debug: debug").await;
        assert_eq!(answer.summary(), "200 one");
        assert_eq!(
            (answer.header("x-cache"), answer.header("cache-status")),
            (Some("STALE"), Some("edge; hit; detail=stale"))
        );
        assert!(answer.header("surrogate-control").unwrap().starts_with("max-age=0,"), "{}", answer.head);
        assert_eq!(world.get("/missing").await.summary(), "404 none of one");
        assert_eq!(world.get("/only-one.html").await.header("location"), Some("/only-one"));
    }
    assert!(asked.elapsed() < Duration::from_secs(5), "nobody waits long: {:?}", asked.elapsed());
    assert!(world.metrics().await.get("loggia_proxy_answers_outdated_total") >= 60.0);

    let returned = Instant::now();
    world.faults.set(Fault::None);
    eventually("it moves on", async || world.get("/").await.summary() == "200 two").await;
    assert!(returned.elapsed() < Duration::from_secs(5), "{:?}", returned.elapsed());
    assert_eq!(world.get("/").await.header("x-cache"), Some("HIT"));
    assert_eq!(world.get("/missing").await.summary(), "404 none of two");

    world.faults.set(Fault::Close);
    world.promote(third);
    eventually("the next one too", async || world.get("/").await.header("x-cache") == Some("STALE")).await;
    assert_eq!(world.get("/").await.summary(), "200 two", "and never further back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_before_a_restart_is_something_to_show() {
    let mut world = World::new().await;
    world.publish(1, &[("index.html", b"one")]).await;
    assert_eq!(world.get("/").await.summary(), "200 one");
    world.manifests_are_on_disk(1).await;
    world.restart_edge().await;
    world.edge_follows_events().await;
    let second = world.deploy(2, &[("index.html", b"two")]).await;
    world.faults.set(Fault::Status(503));
    world.promote(second);
    // No bytes are here any more.
    let answer = async || world.get_with("/", "If-None-Match: *").await;
    eventually("the promote has arrived", async || answer().await.header("x-cache") == Some("STALE")).await;
    assert_eq!(answer().await.status, 304);
    world.faults.set(Fault::None);
    eventually("it moves on", async || world.get("/").await.summary() == "200 two").await;
}

/// A world with the second tier, and little memory if `memory_bytes` is.
async fn with_second_tier(memory_bytes: u64) -> World {
    World::with(|config, _| {
        config.cache = CacheConfig { memory_bytes, disk_bytes: 100 * 1024 * 1024, ..CacheConfig::default() };
    })
    .await
}

const MEMORY: u64 = 64 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_api_and_store_serves_what_is_on_disk() {
    let mut world = with_second_tier(MEMORY).await;
    let large: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[1]).collect();
    let files: &[(&str, &[u8])] =
        &[("index.html", b"home"), ("large.bin", &large), ("empty.txt", b""), ("once.txt", b"once")];
    world.publish(1, files).await;
    for path in ["/", "/large.bin", "/empty.txt"] {
        assert_eq!([world.get(path).await.status, world.get(path).await.status], [200, 200]);
    }
    assert_eq!(world.get("/once.txt").await.status, 200);
    // Of an empty one there is nothing to keep.
    world.files_are_on_disk(2).await;
    world.manifests_are_on_disk(1).await;
    world.cut_off();
    world.restart_edge().await;

    let asked = world.faults.requests();
    let range = "Range: bytes=256-257";
    let (part, first, second) =
        tokio::join!(world.get_with("/large.bin", range), world.get("/large.bin"), world.get("/large.bin"));
    assert!(part.status == 206 && part.body == large[256..258]);
    assert!(first.body == large && second.body == large);
    let reads = "loggia_proxy_cache_disk_reads_total{result=\"found\"}";
    assert_eq!(world.metrics().await.get(reads), 1.0, "one read, however many ask");
    let home = world.get("/").await;
    assert_eq!(home.summary(), "200 home");
    assert_eq!(
        (home.header("x-cache"), home.header("cache-status")),
        (Some("HIT"), Some("edge; hit; detail=disk"))
    );
    assert_eq!(world.get("/").await.header("cache-status"), Some("edge; hit"), "then it is in memory");
    assert_eq!(world.get("/empty.txt").await.summary(), "200 ");
    let once = world.get("/once.txt").await;
    assert_eq!((once.status, once.header("retry-after")), (503, Some("5")));
    assert!(world.faults.requests() > asked, "what is not on disk is asked of the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_refused_and_fetched_again() {
    let mut world = with_second_tier(MEMORY).await;
    world.publish(1, &[("index.html", b"home"), ("b.txt", b"other")]).await;
    for path in ["/", "/", "/b.txt", "/b.txt"] {
        assert_eq!(world.get(path).await.status, 200);
    }
    world.files_are_on_disk(2).await;
    let kept = world.kept_files();
    let home = kept.iter().find(|file| fs::read(file).unwrap() == b"home").unwrap();
    for wrong in [&b"hone"[..], b"hom", b"", b"home and more", b"other"] {
        world.faults.set(Fault::Close);
        world.restart_edge_after(|_| fs::write(home, wrong).unwrap()).await;
        assert_eq!(world.get("/").await.status, 503, "{wrong:?}");
        assert!(!home.exists(), "{wrong:?}");
        assert_eq!(world.get("/b.txt").await.summary(), "200 other");
        let damaged = "loggia_proxy_cache_disk_reads_total{result=\"damaged\"}";
        assert_eq!(world.metrics().await.get(damaged), 1.0);
        world.faults.set(Fault::None);
        eventually("it is fetched", async || world.get("/").await.summary() == "200 home").await;
        assert_eq!(world.get("/").await.summary(), "200 home");
        world.files_are_on_disk(2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_cold_files_writes_nothing() {
    let contents: Vec<(String, Vec<u8>)> =
        (0..200).map(|n| (format!("f{n}.bin"), format!("{n:05}").repeat(2048).into_bytes())).collect();
    let files: Vec<(&str, &[u8])> =
        contents.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
    // Room for twenty of them.
    let world = with_second_tier(220_000).await;
    world.publish(1, &files).await;
    for (path, _) in &contents {
        assert_eq!(world.get(&format!("/{path}")).await.status, 200);
    }
    let written = "loggia_proxy_cache_disk_writes_total{result=\"written\"}";
    assert_eq!(world.metrics().await.get(written), 0.0);
    // Who comes back finds most of them out of memory, and leaves them on disk.
    for (path, _) in &contents[..50] {
        assert_eq!(world.get(&format!("/{path}")).await.status, 200);
    }
    eventually("they are written", async || world.metrics().await.get(written) == 50.0).await;
    let asked = world.faults.requests();
    for (path, content) in &contents[..50] {
        assert!(world.get(&format!("/{path}")).await.body == *content);
    }
    assert_eq!(world.faults.requests(), asked, "the third time nothing is fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_reaches_the_disk() {
    let mut world = with_second_tier(MEMORY).await;
    world.publish(1, &[("index.html", b"home"), ("news.html", b"news"), ("a.css", b"style")]).await;
    let paths = ["/", "/news", "/a.css"];
    for path in paths.iter().chain(&paths) {
        assert_eq!(world.get(path).await.status, 200);
    }
    world.files_are_on_disk(3).await;
    world.manifests_are_on_disk(1).await;
    world.restart_edge().await;
    world.edge_follows_events().await;

    // Nothing of it is in memory now, not even the manifest.
    world.purge(&format!(r#"{{"urls":["{HOST}/news"]}}"#)).await;
    assert_eq!(world.kept_files().len(), 2);
    assert_eq!(world.get("/news").await.header("x-cache"), Some("MISS"));
    assert_eq!(world.get("/a.css").await.header("cache-status"), Some("edge; hit; detail=disk"));

    world.purge(&format!(r#"{{"keys":["p-{}"],"soft":true}}"#, project())).await;
    assert_eq!(world.get("/a.css").await.header("x-cache"), Some("STALE"), "in memory");
    eventually("and fresh again", async || world.get("/a.css").await.header("x-cache") == Some("HIT")).await;
    let home = world.get("/").await;
    assert_eq!((home.summary().as_str(), home.header("x-cache")), ("200 home", Some("STALE")), "from disk");
    eventually("this too", async || world.get("/").await.header("x-cache") == Some("HIT")).await;

    world.purge(r#"{"all":true}"#).await;
    assert_eq!(world.kept_files(), [] as [PathBuf; 0]);
    assert_eq!(world.get("/").await.header("x-cache"), Some("MISS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_tier_that_cannot_be_written_delays_nobody() {
    let world = World::with(|config, dir| {
        let file = dir.join("not-a-folder");
        fs::write(&file, b"").unwrap();
        config.state_dir = file.join("state");
        config.cache.disk_bytes = 1024 * 1024;
    })
    .await;
    world.publish(1, &[("index.html", b"home")]).await;
    for _ in 0..5 {
        assert_eq!(world.get("/").await.summary(), "200 home");
    }
    let failed = "loggia_proxy_cache_disk_writes_total{result=\"failed\"}";
    eventually("it is counted", async || world.metrics().await.get(failed) >= 1.0).await;
    assert_eq!(world.get("/").await.header("x-cache"), Some("HIT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_edges_share_the_folder_while_one_takes_over() {
    let mut world = with_second_tier(MEMORY).await;
    world.publish(1, &[("index.html", b"home"), ("a.txt", b"a"), ("b.txt", b"b")]).await;
    let ask = async |edge: &RunningEdge, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        support::http::ask(edge.addr, request.as_bytes()).await.summary()
    };
    assert_eq!([world.get("/").await.summary(), world.get("/").await.summary()], ["200 home", "200 home"]);
    world.files_are_on_disk(1).await;
    world.manifests_are_on_disk(1).await;

    let successor = RunningEdge::start(world.config().clone()).await;
    let asked = world.faults.requests();
    assert_eq!(ask(&successor, "/").await, "200 home");
    assert_eq!(world.faults.requests(), asked, "it has both from the one before");
    for _ in 0..2 {
        assert_eq!(ask(&successor, "/a.txt").await, "200 a");
        assert_eq!(world.get("/b.txt").await.summary(), "200 b");
        assert_eq!(world.get("/a.txt").await.summary(), "200 a");
    }
    world.files_are_on_disk(3).await;
    // The one before ends, and what it wrote is there for whoever comes after.
    let before = std::mem::replace(&mut world.edge, successor);
    before.stop.cancel();
    before.task.await.unwrap().unwrap();
    world.cut_off();
    world.restart_edge().await;
    for (path, expected) in [("/", "200 home"), ("/a.txt", "200 a"), ("/b.txt", "200 b")] {
        assert_eq!(world.get(path).await.summary(), expected);
    }
}
