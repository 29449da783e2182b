//! What visitors get: files, shells, redirects, validators and ranges, over real sockets and a real store.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use support::http::{Connection, ask_all};
use support::{HOST, World, eventually, route};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_served_with_our_headers_only() {
    let world = World::new().await;
    world
        .publish(
            1,
            &[("index.html", b"<h1>hi</h1>"), ("a b/\u{fc}+%41.txt", b"odd name"), ("empty.txt", b"")],
        )
        .await;

    let page = world.get("/").await;
    assert_eq!(page.summary(), "200 <h1>hi</h1>");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("public, max-age=0, must-revalidate"));
    assert_eq!(page.header("server"), Some("loggia"));
    assert!(page.header("date").is_some() && page.header("last-modified").is_some());
    let names: Vec<String> =
        page.head.lines().skip(1).filter_map(|l| l.split_once(':')).map(|(n, _)| n.to_lowercase()).collect();
    assert!(!names.iter().any(|name| name.starts_with("x-amz")), "{names:?}");
    assert_eq!(names.iter().filter(|name| *name == "etag").count(), 1);

    let odd = world.get("/a%20b/%C3%BC%2B%2541.txt").await;
    assert_eq!(odd.summary(), "200 odd name");
    let empty = world.get("/empty.txt").await;
    assert_eq!((empty.status, empty.header("content-length")), (200, Some("0")));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_request_reaches_the_store() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"hi")]).await;
    let answer = world
        .get_with("/?token=secret", "Cookie: session=secret\r\nX-Amz-Acl: public\r\nAuthorization: secret")
        .await;
    assert_eq!(answer.status, 200);
    let head = world.faults.last_head().to_lowercase();
    assert!(head.starts_with("get /loggia/"), "{head}");
    assert!(!head.contains("session=") && !head.contains("x-amz-acl") && !head.contains("token"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_links_show_the_shell_and_missing_scripts_do_not() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"shell"), ("app.js", b"js")]).await;
    assert_eq!(world.get_with("/deep/link", "Accept: text/html").await.summary(), "200 shell");
    let script = world.get_with("/missing.js", "Accept: */*").await;
    assert_eq!((script.status, script.header("cache-control")), (404, Some("no-store")));
    assert_eq!(world.get("/app.js").await.summary(), "200 js");
    let redirect = world.get("/index.html?a=b").await;
    assert_eq!((redirect.status, redirect.header("location")), (307, Some("/?a=b")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_page_comes_from_the_site() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"home"), ("404.html", b"gone fishing")]).await;
    let missing = world.get("/nope").await;
    assert_eq!(missing.summary(), "404 gone fishing");
    assert_eq!(missing.header("cache-control"), Some("no-store"));
    assert_eq!(missing.header("etag"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn conditional_and_head_requests_do_not_ask_the_store() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"hello")]).await;
    let page = world.get("/").await;
    let etag = page.header("etag").unwrap().to_owned();
    let before = world.faults.requests();

    let unchanged = world.get_with("/", &format!("If-None-Match: {etag}")).await;
    assert_eq!((unchanged.status, unchanged.header("etag")), (304, Some(etag.as_str())));
    assert!(unchanged.body.is_empty());

    let mut connection = Connection::open(world.edge.addr).await;
    connection.send(&format!("HEAD / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).await;
    assert!(connection.answer().await.is_none(), "no body follows a HEAD");
    let head = world.ask(&format!("HEAD / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert!(head.body.is_empty());
    assert_eq!(world.faults.requests(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_parts_of_the_file() {
    let world = World::new().await;
    world.publish(1, &[("movie.bin", b"0123456789")]).await;
    for (range, summary, content_range) in [
        ("bytes=2-4", "206 234", "bytes 2-4/10"),
        ("bytes=7-", "206 789", "bytes 7-9/10"),
        ("bytes=-2", "206 89", "bytes 8-9/10"),
        ("bytes=10-", "416 ", "bytes */10"),
    ] {
        let answer = world.get_with("/movie.bin", &format!("Range: {range}")).await;
        assert_eq!(answer.summary(), summary, "{range}");
        assert_eq!(answer.header("content-range"), Some(content_range), "{range}");
    }
    let several = world.get_with("/movie.bin", "Range: bytes=0-1,4-5").await;
    let content_type = several.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, bytes: &str| {
        format!(
            "--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {range}/10\r\n\r\n\
             {bytes}\r\n"
        )
    };
    let expected = format!("206 {}{}--{boundary}--\r\n", part("0-1", "01"), part("4-5", "45"));
    assert_eq!(several.summary(), expected);
    assert!(several.is_whole, "Content-Length is right");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_streamed_whole() {
    let world = World::new().await;
    let large: Vec<u8> = (0..6_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    world.publish(1, &[("large.bin", &large)]).await;
    let answer = world.get("/large.bin").await;
    assert!(answer.is_whole && answer.body == large);
}

#[tokio::test(flavor = "multi_thread")]
async fn traversal_over_raw_sockets_finds_nothing() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"home"), ("404.html", b"none"), (".env", b"SECRET")]).await;
    for path in [
        "/../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/..%5c..%5cetc",
        "/a/../../x",
        "/%00",
        "/x%0d%0aSet-Cookie:%20a",
        "/%c0%ae%c0%ae/x",
        "/.env",
        "/%2eenv",
        "/.loggia/manifest",
        "/%2eloggia/manifest",
        "/x/../.loggia/manifest",
        "/\\..\\x",
    ] {
        let answer = world.get(path).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.summary());
        assert!(!answer.text().contains("SECRET") && !answer.head.contains("Set-Cookie"), "{path}");
    }
    let slashes = world.get("//evil.example//x?q=1").await;
    assert_eq!((slashes.status, slashes.header("location")), (307, Some("/evil.example/x?q=1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_exactly_one_host_are_refused() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"home")]).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\nHost: shop.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\nHost: other.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@shop.localhost\r\n\r\n",
        "GET http://other.localhost/ HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        assert_eq!(world.ask(request).await.status, 400, "{request}");
    }
    let absolute = "GET http://shop.localhost/ HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(world.ask(absolute).await.summary(), "200 home");
    for method in ["CONNECT", "TRACE"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n");
        assert!(matches!(world.ask(&request).await.status, 400 | 405), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_large_are_refused() {
    let world = World::new().await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n", "a".repeat(9000));
    assert_eq!(world.ask(&long).await.status, 414);
    let many = "X-Many: y\r\n".repeat(120);
    let many = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{many}Connection: close\r\n\r\n");
    assert_eq!(world.ask(&many).await.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_body_is_never_taken_for_a_request() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"home"), ("secret.html", b"smuggled")]).await;
    let smuggled = format!("GET /secret HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let next = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    for method in ["POST", "GET", "PUT"] {
        let mut connection = Connection::open(world.edge.addr).await;
        let len = smuggled.len();
        connection
            .send(&format!("{method} / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len}\r\n\r\n{smuggled}"))
            .await;
        let first = connection.answer().await.unwrap();
        assert_eq!(first.status, if method == "GET" { 200 } else { 405 }, "{method}");
        connection.send(&next).await;
        if let Some(second) = connection.answer().await {
            assert_eq!(second.summary(), "200 home", "after {method}");
        }
    }
    // Both at once, and with a body that never ends.
    let chunked = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}");
    let long = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9999999\r\n\r\n{}",
        smuggled.repeat(3000)
    );
    let both = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    );
    for request in [chunked, long, both] {
        for answer in ask_all(world.edge.addr, request.as_bytes()).await {
            assert!(!answer.text().contains("smuggled"), "{}", answer.summary());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_told_what_is_allowed() {
    let world = World::new().await;
    world.publish(1, &[("index.html", b"home")]).await;
    for (method, status) in [("OPTIONS", 204), ("DELETE", 405), ("PATCH", 405)] {
        let request = format!("{method} / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        let answer = world.ask(&request).await;
        assert_eq!((answer.status, answer.header("allow")), (status, Some("GET, HEAD, OPTIONS")), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_speaks_for_itself_in_html_and_json() {
    let world = World::new().await;
    let unknown = world.get_host("nobody.localhost").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("No project answers at nobody.localhost"), "{}", unknown.text());
    let json = world.ask("GET / HTTP/1.1\r\nHost: nobody.localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n").await;
    assert!(json.text().starts_with("{\"code\":\"unknown_host\""), "{}", json.text());

    world.api.set_route(route("new.localhost", None, 1));
    let empty = world.get_host("new.localhost").await;
    assert_eq!((empty.status, empty.header("cache-control")), (404, Some("no-store")));
    assert!(empty.text().contains("nothing has been deployed"), "{}", empty.text());

    assert_eq!(
        world.ask("GET /.loggia/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.summary(),
        "200 ok\n"
    );
    assert_eq!(world.get("/.loggia/anything").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn running_requests_finish_when_the_edge_stops() {
    let mut world = World::new().await;
    let large = vec![7_u8; 8_000_000];
    world.publish(1, &[("large.bin", &large)]).await;
    let mut connection = Connection::open(world.edge.addr).await;
    connection.send(&format!("GET /large.bin HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    eventually("the store was asked", async || world.faults.last_head().contains("large.bin")).await;
    world.edge.stop.cancel();
    let answer = connection.answer().await.unwrap();
    assert!(answer.is_whole && answer.body == large);
    assert!(connection.answer().await.is_none(), "the connection ends");
    (&mut world.edge.task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_an_error_before_anything_starts() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new().await;
    let addr = taken.local_addr().unwrap();
    let mut config = world.config().clone();
    config.http_listen = addr;
    let error = loggia_proxy::run(config, tokio_util::sync::CancellationToken::new()).await.unwrap_err();
    let message = format!("{error:#}");
    assert!(message.contains(&format!("cannot listen on {addr}")) && message.contains("in use"), "{message}");
}
