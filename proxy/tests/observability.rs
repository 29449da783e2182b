//! What operators see of an edge: metrics, the access log, and whether it is ready.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use loggia_proxy::{AccessLogConfig, AccessLogTarget, AdminListen, Config};
use serde_json::{Value, json};
use support::faulty_store::Fault;
use support::http::{Answer, Connection, ask};
use support::https::with_https;
use support::openmetrics::Exposition;
use support::{HOST, RunningEdge, World, eventually, without_cache};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn ask_admin(addr: SocketAddr, path: &str) -> Answer {
    ask(addr, format!("GET {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n").as_bytes()).await
}

async fn metrics(world: &World) -> Exposition {
    let answer = ask_admin(world.edge.admin_addr.unwrap(), "/metrics").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"))
    );
    Exposition::parse(&answer.text())
}

/// Status and body of `/readyz`.
async fn readiness(addr: SocketAddr) -> (u16, Value) {
    let answer = ask_admin(addr, "/readyz").await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// A world whose edge has seen the event of its last publication, so that nothing moves by itself any more.
async fn settled(files: &[(&str, &[u8])], adjust: impl FnOnce(&mut Config, &Path)) -> World {
    let world = World::with(adjust).await;
    eventually("the edge is connected", async || {
        metrics(&world).await.get("loggia_proxy_events_connected") == 1.0
    })
    .await;
    world.publish(1, files).await;
    eventually("the edge saw it", async || {
        metrics(&world).await.get("loggia_proxy_events_position") == 101.0
    })
    .await;
    world
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("edge.log")
}

fn with_log(sample: &str) -> impl FnOnce(&mut Config, &Path) + use<> {
    let sample = sample.parse().unwrap();
    move |config, dir| {
        config.access_log = AccessLogConfig { target: AccessLogTarget::File(log_file(dir)), sample };
    }
}

/// The lines of a log, once there are so many.
async fn lines(path: &Path, count: usize) -> Vec<Value> {
    let read = || std::fs::read_to_string(path).unwrap_or_default();
    eventually("the lines are written", async || read().lines().count() >= count).await;
    let lines: Vec<Value> = read().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), count);
    lines
}

fn path_of(world: &World) -> PathBuf {
    let AccessLogTarget::File(path) = &world.config().access_log.target else { panic!("no file") };
    path.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_counted_once_for_what_it_was() {
    // Long enough that its head is on the way before the end is seen to be wrong.
    let long = vec![b'x'; 1_000_000];
    let world =
        settled(&[("index.html", b"hello"), ("a.txt", b"0123456789"), ("long.bin", &long)], without_cache)
            .await;
    let page = world.get("/").await;
    let unchanged = format!("If-None-Match: {}", page.header("etag").unwrap());
    assert_eq!(world.get_with("/", &unchanged).await.status, 304);
    assert_eq!(world.get_with("/a.txt", "Range: bytes=2-4").await.status, 206);
    assert_eq!(world.get("/nope.js").await.status, 404);
    assert_eq!(world.get_host("stranger.localhost").await.status, 404);
    assert_eq!(world.get_host("stranger.localhost").await.status, 404);
    assert_eq!(world.get("/index.html").await.status, 307);
    let head = format!("HEAD / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    assert_eq!(world.ask(&head).await.status, 200);
    assert_eq!(world.ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.status, 400);
    let sent = metrics(&world).await.get("loggia_proxy_sent_bytes_total");
    world.faults.set(Fault::Status(500));
    let down = world.get("/").await;
    assert_eq!(down.status, 503);
    world.faults.set(Fault::Corrupt);
    assert!(!world.get("/long.bin").await.is_whole);

    let metrics = metrics(&world).await;
    let mut expected = vec![
        r#"{status="200",method="get",cache="origin"} 2"#,
        r#"{status="200",method="head",cache="none"} 1"#,
        r#"{status="206",method="get",cache="origin"} 1"#,
        r#"{status="304",method="get",cache="none"} 1"#,
        r#"{status="307",method="get",cache="none"} 1"#,
        r#"{status="400",method="other",cache="none"} 1"#,
        r#"{status="404",method="get",cache="none"} 3"#,
        r#"{status="503",method="get",cache="origin"} 1"#,
    ];
    expected.sort_unstable();
    assert_eq!(metrics.summary("loggia_proxy_requests_total"), expected);
    assert_eq!(metrics.sum("loggia_proxy_request_duration_seconds_count"), 11.0);
    assert_eq!(metrics.get("loggia_proxy_origin_head_duration_seconds_count"), 3.0);
    let faults = [r#"{kind="content"} 1"#, r#"{kind="status"} 1"#];
    assert_eq!(metrics.summary("loggia_proxy_origin_faults_total"), faults);
    assert_eq!(metrics.summary("loggia_proxy_answers_cut_total"), [r#"{by="store"} 1"#]);
    assert!(sent >= 5.0 + 3.0, "{sent}");
    assert!(metrics.get("loggia_proxy_sent_bytes_total") >= sent + down.body.len() as f64);

    let resolutions = [r#"{result="fresh"} 7"#, r#"{result="miss"} 2"#, r#"{result="unknown"} 1"#];
    assert_eq!(metrics.summary("loggia_proxy_route_resolutions_total"), resolutions);
    let lookups = [r#"{result="found"} 1"#, r#"{result="unknown"} 1"#];
    assert_eq!(metrics.summary("loggia_proxy_api_lookups_total"), lookups);
    assert_eq!(metrics.summary("loggia_proxy_manifest_reads_total"), [r#"{result="found"} 1"#]);
    assert_eq!(metrics.get("loggia_proxy_routes"), 1.0);
    assert_eq!(metrics.get("loggia_proxy_routes_unsaved_total"), 0.0);
    assert_eq!(metrics.get("loggia_proxy_manifests"), 1.0);
    assert!(metrics.get("loggia_proxy_manifests_bytes") > 0.0);
    assert_eq!(metrics.get(r#"loggia_proxy_connections_accepted_total{listener="http"}"#), 11.0);
    assert!(metrics.get("process_start_time_seconds") > 1_700_000_000.0);
    assert_eq!(metrics.sum("loggia_proxy_build_info"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_who_leaves_is_no_fault_of_the_store() {
    // More than the buffers between edge and visitor hold.
    let world = settled(&[("long.bin", &vec![b'x'; 16 << 20])], with_log("1")).await;
    let mut stream = TcpStream::connect(world.edge.addr).await.unwrap();
    stream.write_all(format!("GET /long.bin HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    drop(stream);
    let line = &lines(&path_of(&world), 1).await[0];
    assert_eq!(
        (&line["status"], &line["cut_by"], &line["origin_fault"]),
        (&json!(200), &json!("client"), &Value::Null)
    );
    assert!(line["bytes"].as_u64().unwrap() < 16 << 20);
    let metrics = metrics(&world).await;
    assert_eq!(metrics.summary("loggia_proxy_answers_cut_total"), [r#"{by="client"} 1"#]);
    assert_eq!(metrics.sum("loggia_proxy_origin_faults_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_while_they_are_open() {
    let world = settled(&[("index.html", b"hello")], with_https).await;
    let open = async || metrics(&world).await.get(r#"loggia_proxy_connections{listener="http"}"#);
    let mut connection = Connection::open(world.edge.addr).await;
    connection.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);
    assert_eq!(open().await, 1.0);
    drop(connection);
    eventually("it is closed", async || open().await == 0.0).await;

    let mut stream = TcpStream::connect(world.edge.https_addr.unwrap()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let failures = r#"loggia_proxy_tls_handshake_failures_total{reason="refused"}"#;
    eventually("it is counted", async || metrics(&world).await.get(failures) == 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_the_access_log_says_what_happened_and_no_secret() {
    let world = settled(&[("index.html", b"hello")], with_log("1")).await;
    let headers = "X-Request-Id: mine\r\nUser-Agent: Tester/1\r\nCookie: secret\r\nAuthorization: secret\r\n\
                   Referer: https://u:secret@from.example/secret?secret";
    let answer = world.get_with("/?token=secret", headers).await;
    let stranger = world.ask("POST /x?secret HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n").await;
    assert_eq!((answer.status, stranger.status), (200, 400));

    let path = path_of(&world);
    let lines = lines(&path, 2).await;
    assert!(!std::fs::read_to_string(&path).unwrap().contains("secret"));
    let mut line = lines[0].clone();
    let time = line["time"].take();
    let time = time.as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    let duration = line["duration_ms"].take();
    assert!(duration.as_f64().unwrap() > 0.0);
    let id = line["request_id"].take();
    assert_eq!(answer.header("x-request-id"), id.as_str());
    assert_eq!(id.as_str().unwrap().len(), 32);
    assert!(line["deployment_id"].take().is_string() && line["project_id"].take().is_string());
    assert_eq!(
        line,
        json!({
            "time": null, "request_id": null, "duration_ms": null, "deployment_id": null, "project_id": null,
            "client": "127.0.0.1", "method": "GET", "host": HOST, "path": "/", "protocol": "HTTP/1.1",
            "status": 200, "bytes": 5, "cache": "origin", "project": "shop", "rule": null, "cut_by": null,
            "origin_fault": null, "user_agent": "Tester/1", "referer_host": "from.example",
        })
    );
    assert_eq!((&lines[1]["status"], &lines[1]["host"]), (&json!(400), &Value::Null));
    assert_eq!(stranger.header("x-request-id"), lines[1]["request_id"].as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bytes_make_one_valid_line() {
    let world = settled(&[("index.html", b"hello")], with_log("1")).await;
    let head = [
        b"GET /\"\\\xc3\xa9{} HTTP/1.1\r\nHost: shop.localhost\r\nUser-Agent: \"}\\n\t\xfe".as_slice(),
        &[b'x'; 1000],
        b"\r\nConnection: close\r\n\r\n",
    ]
    .concat();
    let answer = ask(world.edge.addr, &head).await;
    let lines = lines(&path_of(&world), 1).await;
    assert_eq!(lines[0]["status"], answer.status);
    assert_eq!(lines[0]["user_agent"].as_str().unwrap().chars().count(), 256);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_failures_are_logged_when_the_sample_is_nothing() {
    let adjust = |config: &mut Config, dir: &Path| {
        with_log("0")(config, dir);
        without_cache(config, dir);
    };
    let world = settled(&[("index.html", b"hello")], adjust).await;
    assert_eq!(world.get("/").await.status, 200);
    world.faults.set(Fault::Status(503));
    assert_eq!(world.get("/").await.status, 503);
    let lines = lines(&path_of(&world), 1).await;
    assert_eq!((&lines[0]["status"], &lines[0]["origin_fault"]), (&json!(503), &json!("status")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_log_goes_on_in_a_new_file_and_the_end_is_written() {
    let mut world = settled(&[("index.html", b"hello")], with_log("1")).await;
    let path = path_of(&world);
    let moved = path.with_extension("log.1");
    world.get("/").await;
    lines(&path, 1).await;
    std::fs::rename(&path, &moved).unwrap();
    let mut asked = 1;
    eventually("there is a new file", async || {
        world.get("/").await;
        asked += 1;
        path.exists()
    })
    .await;
    world.edge.stop.cancel();
    (&mut world.edge.task).await.unwrap().unwrap();
    let count = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(count(&moved) + count(&path), asked, "nothing is lost, also not what waited at the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_disturbs_nobody() {
    let world = settled(&[("index.html", b"hello")], |config, _| {
        config.access_log.target = AccessLogTarget::File("/dev/full".into());
    })
    .await;
    assert_eq!(world.get("/").await.summary(), "200 hello");
    let failed = r#"loggia_proxy_access_log_lines_total{result="failed"}"#;
    eventually("it is counted", async || metrics(&world).await.get(failed) == 1.0).await;
    assert_eq!(world.get("/").await.summary(), "200 hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_is_ready_as_long_as_it_is_of_use() {
    let mut world = settled(&[("index.html", b"hello")], without_cache).await;
    let admin = world.edge.admin_addr.unwrap();
    let well = (200, json!({ "ready": true, "reasons": [], "degraded": [] }));
    assert_eq!(world.get("/").await.status, 200);
    assert_eq!(readiness(admin).await, well);
    assert_eq!(ask_admin(admin, "/healthz").await.summary(), "200 ok\n");

    world.faults.set(Fault::Close);
    for _ in 0..3 {
        assert_eq!(world.get("/").await.status, 503);
    }
    assert_eq!(readiness(admin).await, (200, json!({ "ready": true, "reasons": [], "degraded": ["store"] })));

    world.api.kill();
    eventually("it is of no use", async || readiness(admin).await.0 == 503).await;
    let (_, said) = readiness(admin).await;
    assert_eq!(
        said,
        json!({ "ready": false, "reasons": ["api_and_store_failing"], "degraded": ["api", "store"] })
    );
    assert_eq!(metrics(&world).await.get("loggia_proxy_ready"), 0.0);
    assert_eq!(ask_admin(admin, "/healthz").await.status, 200);

    // The store alone comes back: what is known is served without the api.
    world.faults.set(Fault::None);
    assert_eq!(world.get("/").await.status, 200);
    assert_eq!(readiness(admin).await, (200, json!({ "ready": true, "reasons": [], "degraded": ["api"] })));
    world.api.resume();
    eventually("all is well", async || readiness(admin).await == well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_knows_nobody_is_not_ready() {
    let mut world = settled(&[("index.html", b"hello")], |_, _| {}).await;
    assert_eq!(world.get("/").await.status, 200);
    world.api.kill();
    let new = Config { state_dir: world.config().state_dir.join("new"), ..world.config().clone() };
    let new = RunningEdge::start(new).await;
    let expected = (503, json!({ "ready": false, "reasons": ["no_routes"], "degraded": [] }));
    assert_eq!(readiness(new.admin_addr.unwrap()).await, expected);

    world.restart_edge().await;
    let restarted = world.edge.admin_addr.unwrap();
    assert_eq!(readiness(restarted).await.0, 200, "it has routes on disk");
    world.api.resume();
    eventually("the new one heard", async || readiness(new.admin_addr.unwrap()).await.0 == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_edge_says_so_while_it_drains() {
    let world = settled(&[("index.html", b"hello")], |_, _| {}).await;
    let admin = world.edge.admin_addr.unwrap();
    // Its body never ends, so this request holds up the draining for the two seconds that bodies get.
    let mut slow = TcpStream::connect(world.edge.addr).await.unwrap();
    let head =
        format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 12];
    slow.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100");
    world.edge.stop.cancel();
    let (status, said) = readiness(admin).await;
    assert_eq!((status, &said["reasons"]), (503, &json!(["stopping"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_do_not_reach_what_is_for_operators() {
    let world = settled(&[("index.html", b"hello"), ("404.html", b"gone")], |_, _| {}).await;
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(world.get(path).await.summary(), "404 gone", "{path}");
    }
    assert_eq!(world.get("/.loggia/health").await.summary(), "200 ok\n");
    let admin = world.edge.admin_addr.unwrap();
    assert_eq!(ask_admin(admin, "/").await.status, 404);
    assert_eq!(ask_admin(admin, "/.loggia/health").await.status, 404);
    let post = b"POST /metrics HTTP/1.1\r\nHost: edge\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(admin, post).await.status, 404);

    let off = Config {
        admin_listen: AdminListen::Off,
        state_dir: world.config().state_dir.join("other"),
        ..world.config().clone()
    };
    assert_eq!(RunningEdge::start(off).await.admin_addr, None);
}
