//! What is kept in memory: fetched once, only when it is right, served when the store is away, and told in headers.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::time::{Duration, Instant};

use loggia_proxy::CacheConfig;
use loggia_types::route::SurrogateKeys;
use support::faulty_store::Fault;
use support::http::{Answer, Connection};
use support::{HOST, World, eventually};

/// A request that leaves the connection open, so that its answer may come from what is at hand.
fn plain(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n")
}

async fn ask(connection: &mut Connection, path: &str, lines: &str) -> Answer {
    connection.send(&plain(path, lines)).await;
    connection.answer().await.unwrap()
}

/// The head without what differs each time, in any order, and without what HTTP/1.1 means anyway.
fn comparable(answer: &Answer) -> (u16, Vec<String>, Vec<u8>) {
    let of_its_time = [
        "date:",
        "x-request-id:",
        "age:",
        "x-cache-hits:",
        "x-cache:",
        "cache-status:",
        "server-timing:",
        "connection: keep-alive",
    ];
    let lines = answer.head.lines().skip(1).map(str::to_ascii_lowercase);
    let mut lines: Vec<String> = lines
        .filter(|line| !line.is_empty() && !of_its_time.iter().any(|name| line.starts_with(name)))
        .collect();
    lines.sort();
    (answer.status, lines, answer.body.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fast_way_answers_as_the_phases_do() {
    let world = World::new().await;
    let files: &[(&str, &[u8])] = &[
        ("index.html", b"home"),
        ("about.html", b"about"),
        ("app.js", b"script"),
        ("empty.txt", b""),
        ("404.html", b"none"),
    ];
    world.publish(1, files).await;
    let etag = world.get("/app.js").await.header("etag").unwrap().to_owned();
    let unchanged = format!("If-None-Match: {etag}\r\n");
    let requests = [
        ("/", ""),
        ("/?a=b", ""),
        ("/about", "Accept: text/html\r\n"),
        ("/about.html", ""),
        ("/about/?x=1", ""),
        ("/app.js", "Accept-Encoding: gzip, br\r\nUser-Agent: x\r\nConnection: keep-alive\r\n"),
        ("/app.js", unchanged.as_str()),
        ("/empty.txt", ""),
        ("/missing", ""),
        ("//about", ""),
        ("/missing.js", "Sec-Fetch-Dest: script\r\n"),
        ("/a%20b", ""),
        ("/.git/config", ""),
    ];
    let mut connection = Connection::open(world.edge.addr).await;
    for (path, lines) in requests {
        let by_phases = ask(&mut connection, path, &format!("{lines}Expect: 100-continue\r\n")).await;
        let answers = [
            ask(&mut connection, path, lines).await,
            ask(&mut connection, path, lines).await,
            ask(&mut connection, path, lines).await,
        ];
        for answer in &answers {
            assert_eq!(comparable(answer), comparable(&by_phases), "{path} {lines}");
        }
        let ids = answers.each_ref().map(|answer| answer.header("x-request-id").unwrap().to_owned());
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids.iter().all(|id| id.len() == 32), "{ids:?}");
    }
    // Pipelined, with one in between that is not plain, and more of the last one to come.
    let many = [plain("/about", ""), plain("/about", "Range: bytes=1-2\r\n"), plain("/about", "")].concat();
    connection.send(&many[..many.len() - 3]).await;
    assert_eq!(connection.answer().await.unwrap().summary(), "200 about");
    assert_eq!(connection.answer().await.unwrap().summary(), "206 bo");
    connection.send(&many[many.len() - 3..]).await;
    assert_eq!(connection.answer().await.unwrap().summary(), "200 about");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promote_reaches_answers_that_are_at_hand() {
    let world = World::new().await;
    let first = world.publish(1, &[("index.html", b"one"), ("same.txt", b"same")]).await;
    let second = world.deploy(2, &[("index.html", b"two"), ("same.txt", b"same")]).await;
    let mut connection = Connection::open(world.edge.addr).await;
    for (deployment, expected) in [(first, "200 one"), (second, "200 two"), (first, "200 one")] {
        world.promote(deployment);
        let promoted = Instant::now();
        while ask(&mut connection, "/", "").await.summary() != expected {
            assert!(promoted.elapsed() < Duration::from_secs(1), "it is not followed");
        }
        for _ in 0..3 {
            assert_eq!(ask(&mut connection, "/", "").await.summary(), expected);
            assert_eq!(ask(&mut connection, "/same.txt", "").await.summary(), "200 same");
        }
    }
    // Two pages and one file that did not change: each content was fetched once, each manifest too.
    assert_eq!(world.faults.requests(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_tell_what_the_cache_did() {
    let world = World::with(|config, _| config.cdn.name = "paris".parse().unwrap()).await;
    world.publish(1, &[("index.html", b"home"), ("a.txt", b"0123456789")]).await;
    let mut connection = Connection::open(world.edge.addr).await;
    let told = |answer: &Answer| {
        ["x-cache", "x-cache-hits", "cache-status", "x-served-by"]
            .map(|name| answer.header(name).unwrap_or("-").to_owned())
    };
    assert_eq!(
        told(&ask(&mut connection, "/a.txt", "").await),
        ["MISS", "-", "paris; fwd=miss; stored", "paris"]
    );
    for hits in ["1", "2", "3"] {
        let hit = ask(&mut connection, "/a.txt", "").await;
        assert_eq!(told(&hit), ["HIT", hits, "paris; hit", "paris"]);
        assert!(hit.header("age").unwrap().parse::<u64>().unwrap() < 20);
        assert_eq!(hit.header("server-timing"), Some("cache;desc=hit"));
    }
    let part = ask(&mut connection, "/a.txt", "Range: bytes=2-4\r\n").await;
    assert_eq!((part.summary().as_str(), told(&part)[0].as_str()), ("206 234", "HIT"));
    let parts = ask(&mut connection, "/a.txt", "Range: bytes=0-0,9-9\r\n").await;
    assert_eq!((parts.status, told(&parts)[0].as_str()), (206, "HIT"));
    let redirect = ask(&mut connection, "/index.html", "").await;
    assert_eq!(told(&redirect), ["HIT", "-", "paris; hit; detail=manifest", "paris"]);
    // The manifest and one file.
    assert_eq!(world.faults.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cdn_hears_its_headers_and_nobody_else() {
    let secret = "a-secret-for-looking";
    let world = World::with(|config, _| {
        config.cdn.debug_secret = Some(loggia_runtime::Secret::new(secret));
    })
    .await;
    let deployment = world.deploy(1, &[("index.html", b"home"), ("404.html", b"none")]).await;
    let mut route = support::route(HOST, Some(deployment.deployment_id), world.api.next_position());
    route.surrogate_keys = SurrogateKeys::Listed(Box::new(["p-1", "d-1"].map(str::to_owned).into()));
    world.api.set_route(route);
    let mut connection = Connection::open(world.edge.addr).await;
    let names = ["surrogate-key", "surrogate-control", "cdn-cache-control"];
    for debug in ["", "Fastly-Debug: 1\r\n", "Fastly-Debug: a-secret-for-lookinh\r\n"] {
        for _ in 0..3 {
            let answer = ask(&mut connection, "/", debug).await;
            assert!(names.iter().all(|name| answer.header(name).is_none()), "{debug}: {}", answer.head);
        }
    }
    let shown = format!("Fastly-Debug: {secret}\r\n");
    let usual = "max-age=31536000, stale-while-revalidate=60, stale-if-error=604800";
    for _ in 0..3 {
        let answer = ask(&mut connection, "/", &shown).await;
        assert_eq!(names.map(|name| answer.header(name)), [Some("p-1 d-1"), Some(usual), Some(usual)]);
        let missing = ask(&mut connection, "/missing", &shown).await;
        assert_eq!((missing.status, missing.header("surrogate-control")), (404, None), "no-store is for all");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_who_ask_for_a_cold_file_fetch_it_once() {
    let world = World::new().await;
    let large: Vec<u8> = (0..1024 * 1024u32).map(|n| n.to_le_bytes()[1]).collect();
    world.publish(1, &[("index.html", b"home"), ("large.bin", &large)]).await;
    assert_eq!(world.get("/").await.status, 200);
    let before = world.faults.requests();
    // Each reads a part: ten thousand bodies of 1 MiB would only measure this machine's memory.
    let (addr, request) = (world.edge.addr, plain("/large.bin", ""));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..10_000 / 8 {
        let request = request.clone();
        clients.spawn(async move {
            let mut connections = Vec::new();
            for _ in 0..8 {
                let mut connection = Connection::open_narrow(addr).await;
                connection.send(&request).await;
                connections.push(connection);
            }
            for mut connection in connections {
                let start = connection.some(12).await;
                assert!(b"HTTP/1.1 200".starts_with(&start[..]) && !start.is_empty(), "{start:?}");
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let fetched = world.faults.requests() - before;
    assert!(fetched <= 2, "{fetched} fetches");
    assert!(world.get("/large.bin").await.body == large);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fetch_after_another_uses_one_connection() {
    let contents: Vec<(String, Vec<u8>)> =
        (0..20).map(|n| (format!("f{n}.bin"), format!("{n:05}").repeat(2048).into_bytes())).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("index.html", b"home")];
    files.extend(contents.iter().map(|(path, content)| (path.as_str(), content.as_slice())));
    let world = World::new().await;
    world.publish(1, &files).await;
    assert_eq!(world.get("/").await.status, 200);
    world.faults.set(Fault::Forward);
    let before = world.faults.connections();
    let mut connection = Connection::open(world.edge.addr).await;
    for (path, content) in &contents {
        let answer = ask(&mut connection, &format!("/{path}"), "").await;
        assert!(answer.body == *content && answer.header("x-cache") == Some("MISS"), "{path}");
    }
    let made = world.faults.connections() - before;
    // The answer is whole before the connection is back in its place.
    assert!(made <= 3, "{made} connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_hangs_or_stalls_or_breaks_is_taken_over() {
    let world = World::new().await;
    let large: Vec<u8> = (0..2_000_000u32).map(|n| n.to_le_bytes()[1]).collect();
    let files: &[(&str, &[u8])] = &[
        ("index.html", b"home"),
        ("hangs.bin", &large),
        ("stalls.bin", &large[1..]),
        ("breaks.bin", &large[2..]),
    ];
    world.publish(1, files).await;
    assert_eq!(world.get("/").await.status, 200);
    for (path, fault, expected) in [
        ("/hangs.bin", Fault::HangOnce, &large[..]),
        ("/stalls.bin", Fault::StallOnce(1_000_000), &large[1..]),
        ("/breaks.bin", Fault::CutAfter(1_500_000), &large[2..]),
    ] {
        world.faults.set(fault);
        let asked = Instant::now();
        let (one, two) = tokio::join!(world.get(path), world.get(path));
        assert!(one.body == expected && two.body == expected, "{path}");
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(5), "{path} took {took:?}");
        world.faults.set(Fault::None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_hangs_visitors_are_told_to_come_again_within_eight_seconds() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"home"), ("cold.txt", b"cold")]).await;
    assert_eq!(world.get("/").await.status, 200);
    world.faults.set(Fault::Hang);
    let (before, asked) = (world.faults.requests(), Instant::now());
    let (one, two) = tokio::join!(world.get("/cold.txt"), world.get("/cold.txt"));
    for answer in [one, two] {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    }
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(9500), "{took:?}");
    assert_eq!(world.get("/").await.summary(), "200 home");
    world.faults.set(Fault::None);
    assert_eq!(world.get("/cold.txt").await.summary(), "200 cold");
    // The first, the second try, and the one that was answered.
    assert_eq!(world.faults.requests() - before, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_memory_is_served_without_the_store_and_nothing_wrong_is_kept() {
    let world = World::new().await;
    let files: &[(&str, &[u8])] =
        &[("index.html", b"home"), ("warm.txt", b"warm"), ("cold.txt", b"cold"), ("gone.txt", b"gone")];
    world.publish(1, files).await;
    assert_eq!(world.get("/warm.txt").await.summary(), "200 warm");
    for fault in [Fault::Close, Fault::Status(403), Fault::Status(503), Fault::Corrupt, Fault::CutAfter(60)] {
        world.faults.set(fault);
        assert_eq!(world.get("/warm.txt").await.summary(), "200 warm", "{fault:?}");
        let cold = world.get("/cold.txt").await;
        let answer = (cold.status, cold.header("retry-after"), cold.header("cache-control"));
        assert_eq!(answer, (503, Some("5"), Some("no-store")), "{fault:?}");
        assert_eq!(world.get_with("/cold.txt", "Range: bytes=1-2").await.status, 503, "{fault:?}");
    }
    world.faults.set(Fault::None);
    assert_eq!(world.get("/cold.txt").await.summary(), "200 cold");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_cold_files_leaves_hot_ones_in_memory() {
    let contents: Vec<(String, Vec<u8>)> =
        (0..400).map(|n| (format!("f{n}.bin"), format!("{n:05}").repeat(2048).into_bytes())).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("index.html", b"home")];
    files.extend(contents.iter().map(|(path, content)| (path.as_str(), content.as_slice())));
    // Room for 100 files of 10 KB.
    let cache = CacheConfig { memory_bytes: 1_100_000, object_bytes_max: 100_000, ..CacheConfig::default() };
    let world = World::with(|config, _| config.cache = cache).await;
    world.publish(1, &files).await;
    let mut connection = Connection::open(world.edge.addr).await;
    let hot = |n: usize| format!("/f{}.bin", n % 60);
    for n in 0..60 * 20 {
        assert_eq!(ask(&mut connection, &hot(n), "").await.status, 200);
    }
    let (mut hits, mut asked) = (0, 0);
    for cold in 60..400 {
        assert_eq!(ask(&mut connection, &format!("/f{cold}.bin"), "").await.status, 200);
        for n in 0..3 {
            asked += 1;
            hits += usize::from(
                ask(&mut connection, &hot(cold * 3 + n), "").await.header("x-cache") == Some("HIT"),
            );
        }
    }
    assert!(hits * 100 >= asked * 99, "{hits} of {asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_the_cache_takes_streams_past_it() {
    let large = vec![7; 3_000_000];
    let cache =
        CacheConfig { memory_bytes: 1_000_000, object_bytes_max: 1_000_000, ..CacheConfig::default() };
    let world = World::with(|config, _| config.cache = cache).await;
    world.publish(1, &[("index.html", b"home"), ("large.bin", &large)]).await;
    for _ in 0..2 {
        let answer = world.get("/large.bin").await;
        assert!(answer.body == large && answer.header("x-cache") == Some("MISS"), "{}", answer.head);
        assert_eq!(answer.header("cache-status"), Some("edge; fwd=bypass"));
        let part = world.get_with("/large.bin", "Range: bytes=2999998-").await;
        assert_eq!((part.status, part.body.len()), (206, 2));
        assert!(world.faults.last_head().contains("bytes=2999998-2999999"), "{}", world.faults.last_head());
    }
    eventually("small files are still kept", async || world.get("/").await.header("x-cache") == Some("HIT"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_reaches_what_it_names_and_nothing_else() {
    use loggia_types::event::Change;
    use loggia_types::rules::{
        HeaderLine, HeaderRule, HeaderScope, Part, PathPattern, RuleSource, UrlPattern,
    };

    let world = World::new().await;
    let files: &[(&str, &[u8])] = &[("index.html", b"home"), ("news.html", b"news"), ("a.css", b"style")];
    let deployment = world
        .deploy_with(1, files, |manifest| {
            let path = PathPattern { parts: vec![Part::Text("news".into())], lenient: false };
            manifest.rules.headers.push(HeaderRule {
                source: RuleSource { file: "_headers".into(), line: 1 },
                scope: HeaderScope::Url(UrlPattern { origin: None, path }),
                environment: None,
                status: None,
                remove: Vec::new(),
                set: vec![HeaderLine {
                    name: "surrogate-key".into(),
                    value: vec![Part::Text("news x".into())],
                }],
                credentials: Vec::new(),
            });
        })
        .await;
    let mut route = support::route(HOST, Some(deployment.deployment_id), world.api.next_position());
    route.surrogate_keys = SurrogateKeys::Listed(Box::new(["a-of-the-route".to_owned()].into()));
    world.api.set_route(route);
    let mut connection = Connection::open(world.edge.addr).await;
    let paths = ["/", "/news", "/a.css"];
    let deployment_key = format!("d-{}", deployment.deployment_id);
    let project_key = format!("p-{}", support::project());
    let cases: &[(String, [&str; 3])] = &[
        (r#"{"all":true}"#.into(), ["MISS", "MISS", "MISS"]),
        (r#"{"keys":["news"]}"#.into(), ["HIT", "MISS", "HIT"]),
        (r#"{"keys":["new","other"]}"#.into(), ["HIT", "HIT", "HIT"]),
        (r#"{"keys":["a-of-the-route"]}"#.into(), ["MISS", "MISS", "MISS"]),
        (format!(r#"{{"keys":["{deployment_key}"]}}"#), ["MISS", "MISS", "MISS"]),
        (format!(r#"{{"keys":["{project_key}"],"soft":true}}"#), ["STALE", "STALE", "STALE"]),
        (format!(r#"{{"urls":["{HOST}/a.css?x"]}}"#), ["HIT", "HIT", "MISS"]),
        (format!(r#"{{"urls":["{HOST}/"],"soft":true}}"#), ["STALE", "HIT", "HIT"]),
        (r#"{"urls":["other.localhost/"]}"#.into(), ["HIT", "HIT", "HIT"]),
    ];
    for (purge, expected) in cases {
        for path in paths {
            eventually("it is in memory", async || {
                ask(&mut connection, path, "").await.header("x-cache") == Some("HIT")
            })
            .await;
        }
        let purge = serde_json::from_str(purge).unwrap();
        let position = world.api.next_position();
        world.api.emit(Change::Purge { project_id: support::project(), purge });
        eventually("the edge has heard of it", async || {
            let metrics = support::http::ask(
                world.edge.admin_addr.unwrap(),
                b"GET /metrics HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n",
            )
            .await;
            let seen = support::openmetrics::Exposition::parse(&metrics.text());
            #[allow(clippy::cast_precision_loss, reason = "a small number")]
            let position = position as f64;
            seen.get("loggia_proxy_events_position") >= position
        })
        .await;
        for (path, expected) in paths.into_iter().zip(expected) {
            let answer = ask(&mut connection, path, "").await;
            assert_eq!((answer.status, answer.header("x-cache")), (200, Some(*expected)), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fast_way_of_http2_answers_as_the_phases_do() {
    use http::Method;
    use support::https::{Http2, Streamed, with_https};

    let world = World::with(with_https).await;
    let larger = vec![b'x'; 40_000];
    let files: &[(&str, &[u8])] =
        &[("index.html", b"home"), ("app.js", b"script"), ("larger.txt", &larger), ("404.html", b"none")];
    world.publish(1, files).await;
    let client = Http2::open(&world).await;
    let comparable = |answer: Streamed| {
        let mut headers = answer.headers;
        let of_its_time =
            ["date", "x-request-id", "age", "x-cache-hits", "x-cache", "cache-status", "server-timing"];
        of_its_time.iter().for_each(|name| drop(headers.remove(*name)));
        (answer.status, headers, answer.body)
    };
    for (path, fields) in [
        ("/", &[][..]),
        ("/index.html", &[]),
        ("/app.js", &[("accept-encoding", "br"), ("user-agent", "x")]),
        ("/app.js", &[("if-none-match", "*")]),
        ("/app.js", &[("range", "bytes=1-2")]),
        ("/larger.txt", &[]),
        ("/missing", &[("accept", "text/html")]),
    ] {
        // Whoever looks behind the curtain is answered by the phases, also with a wrong secret.
        let looking = [fields, &[("fastly-debug", "1")]].concat();
        let by_phases = comparable(client.ask(Method::GET, path, &looking).await.unwrap());
        for _ in 0..3 {
            let answer = comparable(client.ask(Method::GET, path, fields).await.unwrap());
            assert_eq!(answer, by_phases, "{path} {fields:?}");
        }
    }
}
