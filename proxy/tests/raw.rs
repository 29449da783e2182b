//! Hostile bytes over real sockets: what each gets, and whether its connection lives on.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::path::Path;
use std::time::Duration;

use loggia_proxy::Config;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::http::{Answer, Connection};
use support::{HOST, World, eventually};

const SMUGGLED: &str = "GET /secret HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
const GOOD: &str = "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";

async fn world() -> World {
    world_with(|_, _| {}).await
}

async fn world_with(adjust: impl FnOnce(&mut Config, &Path)) -> World {
    let world = World::with(adjust).await;
    let large: Vec<u8> = (0..4_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let files: &[(&str, &[u8])] = &[
        ("index.html", b"home"),
        ("404.html", b"none"),
        ("secret.html", b"smuggled"),
        ("folder/index.html", b"folder"),
        ("large.bin", &large),
    ];
    world.publish(1, files).await;
    // The route and the manifest are known from here on.
    assert_eq!(world.get("/").await.summary(), "200 home");
    world
}

fn impatient(config: &mut Config, _: &Path) {
    config.protection.head_timeout = Duration::from_millis(400);
    config.protection.body_timeout = Duration::from_millis(400);
    config.protection.keep_alive_timeout = Duration::from_millis(400);
    config.protection.send_stall = Duration::from_millis(400);
}

fn head(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: {HOST}\r\n{fields}\r\n")
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_get_one_answer_and_the_connection_closes() {
    let world = world().await;
    let get = "GET / HTTP/1.1";
    let post = "POST / HTTP/1.1";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let body = |fields: &str, body: &str| format!("{}{body}", head(post, fields));
    let cases: Vec<(String, u16)> = vec![
        // the first line
        (head("GET  / HTTP/1.1", ""), 400),
        (head("GET / HTTP/1.1 ", ""), 400),
        (head("GET\t/\tHTTP/1.1", ""), 400),
        (head("GET / http/1.1", ""), 400),
        (head("GET / HTTP/1.1.1", ""), 400),
        (head("GET / HTTP/0.9", ""), 505),
        (head("GET / HTTP/2.0", ""), 505),
        (head("GET /\0 HTTP/1.1", ""), 400),
        (head("GET example HTTP/1.1", ""), 400),
        (head("GET shop.localhost:80 HTTP/1.1", ""), 400),
        (head("GET * HTTP/1.1", ""), 400),
        (head("CONNECT shop.localhost:443 HTTP/1.1", ""), 405),
        (head("TRACE / HTTP/1.1", ""), 405),
        ("GET /\r\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\x02\x01".to_owned(), 400),
        // line ends and fields
        (format!("GET / HTTP/1.1\nHost: {HOST}\n\n"), 400),
        (format!("GET / HTTP/1.1\r\nHost: {HOST}\n\r\n"), 400),
        (format!("GET / HTTP/1.1\rHost: {HOST}\r\r"), 400),
        (format!("GET / HTTP/1.1\r\n Host: {HOST}\r\n\r\n"), 400),
        (head(get, "X: a\r\n b\r\n"), 400),
        (head(get, "X : a\r\n"), 400),
        (head(get, ": a\r\n"), 400),
        (head(get, "X\0: a\r\n"), 400),
        (head(get, "X: a\0\r\n"), 400),
        (head(get, "X\r\n"), 400),
        // hosts
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n".to_owned(), 400),
        (head(get, "Host: shop.localhost\r\n"), 400),
        ("GET / HTTP/1.1\r\nHost: u@shop.localhost\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: shop.localhost/x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: shop.localhost:99999\r\n\r\n".to_owned(), 400),
        (head("GET http://other.localhost/ HTTP/1.1", ""), 400),
        // sizes
        (head(&format!("GET /{} HTTP/1.1", "a".repeat(9_000)), ""), 414),
        (format!("GET /{}", "a".repeat(40_000)), 414),
        (head(get, &format!("X: {}\r\n", "a".repeat(17_000))), 431),
        (head(get, &"X: y\r\n".repeat(100)), 431),
        // protocols and expectations
        (head(get, "Connection: Upgrade\r\nUpgrade: websocket\r\n"), 400),
        (head(get, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"), 400),
        (head(get, "Expect: the impossible\r\n"), 417),
        // framing
        (body("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
        (body("Transfer-Encoding: chunked\r\nContent-Length: 50\r\n", "0\r\n\r\n"), 400),
        (body("Content-Length: 0\r\nContent-Length: 47\r\n", ""), 400),
        (body("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400),
        (body("Content-Length: +5\r\n", "hello"), 400),
        (body("Content-Length: 5,5\r\n", "hello"), 400),
        (body("Content-Length: 99999999999999999999\r\n", ""), 400),
        (body("Transfer-Encoding: gzip\r\n", ""), 501),
        (body("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 400),
        (body("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"), 400),
        (body("Transfer-Encoding: \u{b}chunked\r\n", "0\r\n\r\n"), 400),
        (body("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400),
        (format!("POST / HTTP/1.0\r\nHost: {HOST}\r\n{chunked}\r\n0\r\n\r\n"), 400),
        // chunks
        (body(chunked, "5\nhello\r\n0\r\n\r\n"), 400),
        (body(chunked, "5;\n\r\nhello\r\n0\r\n\r\n"), 400),
        (body(chunked, "0x5\r\nhello\r\n0\r\n\r\n"), 400),
        (body(chunked, "-5\r\nhello\r\n0\r\n\r\n"), 400),
        (body(chunked, "5\r\nhello!\r\n0\r\n\r\n"), 400),
        (body(chunked, "5 \r\nhello\r\n0\r\n\r\n"), 400),
        (body(chunked, &format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(300))), 400),
        (body(chunked, &format!("0\r\n{}\r\n", "X: y\r\n".repeat(2_000))), 400),
        (body(chunked, "ffffffffffffffff0\r\n"), 400),
        (body(chunked, "ffffff\r\n"), 413),
        (body(chunked, SMUGGLED), 400),
        (body("Content-Length: 9999999\r\n", &SMUGGLED.repeat(3_000)), 413),
        (body("Content-Length: 9999999\r\nExpect: 100-continue\r\n", ""), 413),
    ];
    for (request, status) in cases {
        let shown = &request[..request.len().min(200)];
        let mut connection = Connection::open(world.edge.addr).await;
        connection.send(&format!("{request}{SMUGGLED}")).await;
        let answers = connection.answers().await;
        assert_eq!(statuses(&answers), [status], "{shown:?}");
        let answer = &answers[0];
        assert!(answer.is_whole && !answer.text().contains("smuggled"), "{shown:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
        assert!(answer.header("date").is_some(), "{shown:?}");
    }
    let json = world.ask(&head("GET  / HTTP/1.1", "Accept: application/json\r\n")).await;
    assert_eq!(json.header("content-type"), Some("application/json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_requests_are_answered_and_the_connection_lives_on() {
    let world = world().await;
    let cases: Vec<(String, &str)> = vec![
        (GOOD.to_owned(), "200 home"),
        (format!("\r\n{GOOD}"), "200 home"),
        (head("GET http://shop.localhost/ HTTP/1.1", ""), "200 home"),
        ("GET / HTTP/1.1\r\nhOsT:\tSHOP.localhost:80 \r\nX: \u{fc}\r\n\r\n".to_owned(), "200 home"),
        (head("GET / HTTP/1.0", "Connection: keep-alive\r\n"), "200 home"),
        (head("GET /nothing HTTP/1.1", ""), "404 none"),
        (head("get / HTTP/1.1", ""), "405"),
        (head("POST / HTTP/1.1", "Content-Length: 0\r\n"), "405"),
        (format!("{}hello", head("POST / HTTP/1.1", "Content-Length: 5\r\n")), "405"),
        (format!("{}hello", head("GET / HTTP/1.1", "Content-Length: 5\r\n")), "200 home"),
        (
            format!(
                "{}5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n",
                head("PUT / HTTP/1.1", "Transfer-Encoding: chunked\r\n")
            ),
            "405",
        ),
        (head(&format!("GET /?{} HTTP/1.1", "a".repeat(8_000)), ""), "200 home"),
        (head("GET / HTTP/1.1", &"X: y\r\n".repeat(99)), "200 home"),
        (head("OPTIONS * HTTP/1.1", ""), "204 "),
    ];
    for (request, expected) in cases {
        let shown = &request[..request.len().min(200)];
        let mut connection = Connection::open(world.edge.addr).await;
        connection.send(&request).await;
        let answer = connection.answer().await.unwrap();
        assert!(answer.summary().starts_with(expected), "{shown:?}: {}", answer.summary());
        assert_ne!(answer.header("connection"), Some("close"), "{shown:?}");
        connection.send(GOOD).await;
        assert_eq!(connection.answer().await.unwrap().summary(), "200 home", "after {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_close_is_let_go() {
    let world = world().await;
    for request in [
        head("GET / HTTP/1.1", "Connection: close\r\n"),
        head("GET / HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"),
        head("GET / HTTP/1.0", ""),
    ] {
        let mut connection = Connection::open(world.edge.addr).await;
        connection.send(&format!("{request}{SMUGGLED}")).await;
        let answers = connection.answers().await;
        assert_eq!(statuses(&answers), [200], "{request:?}");
        assert_eq!(answers[0].header("connection"), Some("close"), "{request:?}");
    }
    // Half a connection is enough for an answer, also when the file has to be fetched.
    for path in ["/", "/large.bin"] {
        let mut connection = Connection::open(world.edge.addr).await;
        connection.send(&head(&format!("GET {path} HTTP/1.1"), "")).await;
        connection.finish().await;
        let answers = connection.answers().await;
        assert!(statuses(&answers) == [200] && answers[0].is_whole, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let world = world().await;
    let get = |path: &str| head(&format!("GET {path} HTTP/1.1"), "");
    let close = |path: &str| head(&format!("GET {path} HTTP/1.1"), "Connection: close\r\n");
    let post = format!("{}hello", head("POST / HTTP/1.1", "Content-Length: 5\r\n"));
    let chunks = format!("{}1\r\na\r\n0\r\n\r\n", head("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n"));
    let bad = "GET / HTTP/1.1\r\nHost : x\r\n\r\n";
    for (requests, expected) in [
        (
            format!("{}{}{}", get("/"), get("/folder/"), close("/nothing")),
            vec!["200 home", "200 folder", "404 none"],
        ),
        (
            format!("{}{post}{chunks}{}", get("/"), close("/folder/")),
            vec!["200 home", "405", "405", "200 folder"],
        ),
        (format!("{}{bad}{SMUGGLED}", get("/")), vec!["200 home", "400"]),
        (format!("{}GET /fol", get("/")), vec!["200 home", "400"]),
    ] {
        for step in [1, 7, requests.len()] {
            let mut connection = Connection::open(world.edge.addr).await;
            for piece in requests.as_bytes().chunks(step) {
                connection.send_bytes(piece).await;
            }
            connection.finish().await;
            let answers = connection.answers().await;
            assert_eq!(answers.len(), expected.len(), "{requests:?}");
            for (answer, expected) in answers.iter().zip(&expected) {
                assert!(answer.summary().starts_with(expected), "{requests:?}: {}", answer.summary());
            }
        }
    }
}

/// CVE-2025-4366: a body that is left unread after an early answer would be the next request.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_never_a_request_whatever_was_answered() {
    let world = world().await;
    let etag = world.get("/").await.header("etag").unwrap().to_owned();
    let not_modified = format!("If-None-Match: {etag}\r\n");
    for (line, fields, status) in [
        ("GET / HTTP/1.1", not_modified.as_str(), "304"),
        ("HEAD / HTTP/1.1", "", "200"),
        ("HEAD /nothing HTTP/1.1", "", "404"),
        ("GET /nothing HTTP/1.1", "", "404"),
        ("GET /folder HTTP/1.1", "", "307"),
        ("GET /../x HTTP/1.1", "", "400"),
        ("POST / HTTP/1.1", "", "405"),
        ("OPTIONS / HTTP/1.1", "", "204"),
        ("GET /.loggia/health HTTP/1.1", "", "200"),
        ("GET /large.bin HTTP/1.1", "Range: bytes=0-1\r\n", "206"),
    ] {
        let length = format!("Content-Length: {}\r\n", SMUGGLED.len());
        let by_length = format!("{}{SMUGGLED}", head(line, &format!("{fields}{length}")));
        let coding = "Transfer-Encoding: chunked\r\n";
        let chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
        let by_chunks = format!("{}{chunk}", head(line, &format!("{fields}{coding}")));
        for request in [by_length, by_chunks] {
            let mut connection = Connection::open(world.edge.addr).await;
            connection.send(&request).await;
            connection.send(&head("GET /folder/ HTTP/1.1", "Connection: close\r\n")).await;
            let bytes = connection.rest().await;
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {text}");
            let count = if status == "400" { 1 } else { 2 };
            assert_eq!(text.matches("HTTP/1.1 ").count(), count, "{request:?}: {text}");
            assert!(!text.contains("smuggled"), "{request:?}");
            assert_eq!(text.ends_with("folder"), count == 2, "{request:?}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_our_word_gets_it_once() {
    let world = world().await;
    let mut connection = Connection::open(world.edge.addr).await;
    connection.send(&head("POST / HTTP/1.1", "Content-Length: 5\r\nExpect: 100-continue\r\n")).await;
    assert_eq!(connection.some(100).await, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.send("hello").await;
    assert_eq!(connection.answer().await.unwrap().status, 405);
    connection.send(GOOD).await;
    assert_eq!(connection.answer().await.unwrap().summary(), "200 home");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_cut_requests_end() {
    let world = world_with(impatient).await;
    let drip = Duration::from_millis(50);
    let slow_body = format!("{}hello", head("POST / HTTP/1.1", "Content-Length: 5\r\n"));
    let (slow_head, slow_body) = (GOOD.as_bytes(), slow_body.as_bytes());

    let mut connection = Connection::open(world.edge.addr).await;
    connection.drip(slow_head, drip).await;
    assert_eq!(statuses(&connection.answers().await), [408], "a head byte by byte");

    let mut connection = Connection::open(world.edge.addr).await;
    let body_at = slow_body.len() - 5;
    connection.send_bytes(&slow_body[..body_at + 1]).await;
    assert_eq!(statuses(&connection.answers().await), [408], "a body that stops");

    let mut connection = Connection::open(world.edge.addr).await;
    connection.send(&format!("{GOOD}GET /fol")).await;
    assert_eq!(statuses(&connection.answers().await), [200, 408], "a second head that stops");

    let mut connection = Connection::open(world.edge.addr).await;
    assert!(connection.rest().await.is_empty(), "silence gets no answer");
    let mut connection = Connection::open(world.edge.addr).await;
    connection.send(GOOD).await;
    assert_eq!(statuses(&connection.answers().await), [200], "nor silence after an answer");

    for cut in ["GET / HTTP/1.1\r\nHost: shop", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"] {
        let mut connection = Connection::open(world.edge.addr).await;
        connection.send(cut).await;
        connection.finish().await;
        assert_eq!(statuses(&connection.answers().await), [400], "{cut:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_cut_and_who_reads_slowly_is_not() {
    let world = world_with(|config, dir| {
        impatient(config, dir);
        config.protection.connections_per_address = Some(1);
        config.protection.keep_alive_timeout = Duration::from_secs(10);
        // An honest reader may stop for a moment too, on a busy machine.
        config.protection.send_stall = Duration::from_secs(1);
    })
    .await;
    let request = head("GET /large.bin HTTP/1.1", "");
    let mut idle = admitted(&world).await;
    idle.send(&request).await;
    assert!(idle.some(100).await.starts_with(b"HTTP/1.1 200"));
    // The only place of this address is free again when the edge gave up on it.
    let mut slow = admitted(&world).await;
    assert!(idle.rest().await.len() < 4_000_000);

    slow.send(&request).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let mut bytes = 0;
    // Longer than all the timeouts together.
    while bytes < 4_000_000 {
        ticks.tick().await;
        let piece = slow.some(24 * 1024).await;
        assert!(!piece.is_empty(), "cut after {bytes} bytes");
        bytes += piece.len();
    }
}

/// A connection, once there is a place for one.
async fn admitted(world: &World) -> Connection {
    let mut admitted = None;
    eventually("there is a place", async || {
        let mut connection = Connection::open_narrow(world.edge.addr).await;
        // A refused one may be closed before anything is sent.
        let is_served = connection.try_send(GOOD).await
            && connection.answer().await.is_some_and(|answer| answer.summary() == "200 home");
        admitted = is_served.then_some(connection);
        is_served
    })
    .await;
    admitted.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_connections() {
    let world = world_with(|config, _| config.protection.connections_per_address = Some(2)).await;
    let first = admitted(&world).await;
    let mut second = admitted(&world).await;
    let mut third = Connection::open(world.edge.addr).await;
    assert_eq!(statuses(&third.answers().await), [503]);
    drop(first);
    let _fourth = admitted(&world).await;
    second.send(GOOD).await;
    assert_eq!(second.answer().await.unwrap().summary(), "200 home");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_so_many_connections_in_all_also_for_trusted_hops() {
    let world = world_with(|config, _| {
        config.protection.trusted_hops = "127.0.0.0/8".parse().unwrap();
        config.protection.connections_per_address = Some(1);
        config.protection.connections = 3;
    })
    .await;
    let _open = [admitted(&world).await, admitted(&world).await, admitted(&world).await];
    let mut fourth = Connection::open(world.edge.addr).await;
    assert_eq!(statuses(&fourth.answers().await), [503]);
}

async fn ask(world: &World, forwarded: String) -> Answer {
    world.get_with("/", &format!("X-Forwarded-For: {forwarded}")).await
}

/// Asks until one is too many.
async fn limited(world: &World, forwarded: impl Fn(usize) -> String) -> Answer {
    for n in 0..200 {
        let answer = ask(world, forwarded(n)).await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("200 in a row are allowed, or took 40 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_limited_by_the_client_that_a_hop_names() {
    let limits = |hops: &'static str| {
        move |config: &mut Config, _: &Path| {
            config.protection.trusted_hops = hops.parse().unwrap();
            config.protection.requests_per_second = 5;
        }
    };
    let trusting = world_with(limits("127.0.0.1")).await;
    let answer = limited(&trusting, |_| "198.51.100.1, 127.0.0.1".to_owned()).await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    for last in 1..12 {
        assert_eq!(ask(&trusting, format!("198.51.100.{last}, 203.0.113.{last}")).await.status, 200);
    }

    let suspicious = world_with(limits("10.0.0.0/8")).await;
    limited(&suspicious, |n| format!("203.0.113.{n}")).await;
}

/// Requests that are broken at random: each gets answers that make sense, and an end.
#[tokio::test(flavor = "multi_thread")]
async fn broken_requests_end() {
    let world = world().await;
    let sound = [
        format!("{GOOD}{GOOD}"),
        format!(
            "{}{SMUGGLED}{GOOD}",
            head("POST / HTTP/1.1", &format!("Content-Length: {}\r\n", SMUGGLED.len()))
        ),
        format!(
            "{}5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n{GOOD}",
            head("PUT / HTTP/1.1", "Transfer-Encoding: chunked\r\n")
        ),
        head("HEAD http://shop.localhost/folder HTTP/1.0", "Connection: keep-alive\r\nRange: bytes=0-1\r\n"),
    ];
    let salt = [
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        "\0",
        ":",
        "/",
        "..",
        "%",
        "0",
        "GET ",
        "Host: a\r\n",
        "\u{ff}",
        "*",
        "#",
    ];
    // The same breaks each time, so that a failure can be repeated.
    let mut random = StdRng::seed_from_u64(890);
    for round in 0..400 {
        let mut bytes = sound[random.random_range(0..sound.len())].clone().into_bytes();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = random.random(),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => drop(bytes.splice(at..at, salt[random.random_range(0..salt.len())].bytes())),
                _ => bytes.truncate(at + 1),
            }
        }
        let mut connection = Connection::open(world.edge.addr).await;
        // It may be refused before all is sent.
        let _ = connection.try_send_bytes(&bytes).await;
        connection.finish().await;
        let answer = String::from_utf8_lossy(&connection.rest().await).into_owned();
        let shown = String::from_utf8_lossy(&bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 "), "{round}: {shown:?}: {answer:?}");
        for status in answer.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]) {
            let known = ["200", "204", "206", "307", "400", "404", "405", "413", "416", "417", "501", "505"];
            assert!(known.contains(&status), "{round}: {shown:?}: {answer:?}");
        }
        // One for each request, and one for what is left over and none.
        let count = answer.matches("HTTP/1.1 ").count();
        assert!(count <= shown.matches("HTTP/1.").count() + 1, "{round}: {shown:?}: {answer:?}");
    }
}
