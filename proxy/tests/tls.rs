//! HTTPS with the self-signed certificate, over HTTP/1.1 and HTTP/2.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use support::faulty_store::Fault;
use support::https::{self, connect, with_https};
use support::{HOST, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_served_over_tls() {
    let world = World::with(with_https).await;
    world.publish(1, &[("index.html", b"secure")]).await;
    let mut stream = connect(&world, b"http/1.1").await;
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("secure"), "{text}");
}

/// Status and body, or the error that ended the stream.
async fn ask(
    client: &mut h2::client::SendRequest<Bytes>,
    method: Method,
    path: &str,
) -> Result<String, h2::Error> {
    let (answer, _) = client.send_request(https::request(method, path, &[]), true)?;
    let (head, body) = answer.await?.into_parts();
    Ok(format!("{} {}", head.status.as_u16(), String::from_utf8_lossy(&https::rest(body).await?)))
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_has_the_same_rules() {
    let world = World::with(|config, dir| {
        with_https(config, dir);
        support::without_cache(config, dir);
    })
    .await;
    let large = vec![b'x'; 2_000_000];
    world.publish(1, &[("index.html", b"home"), ("large.bin", &large), ("404.html", b"none")]).await;
    let (mut client, connection) = h2::client::handshake(connect(&world, b"h2").await).await.unwrap();
    tokio::spawn(connection);

    assert_eq!(ask(&mut client, Method::GET, "/").await.unwrap(), "200 home");
    assert_eq!(ask(&mut client, Method::HEAD, "/").await.unwrap(), "200 ");
    assert_eq!(ask(&mut client, Method::GET, "/missing").await.unwrap(), "404 none");
    assert_eq!(ask(&mut client, Method::GET, "/index.html").await.unwrap(), "307 ");
    assert!(ask(&mut client, Method::POST, "/").await.unwrap().starts_with("405 "));
    assert_eq!(ask(&mut client, Method::GET, "/large.bin").await.unwrap().len(), 2_000_004);

    for fault in [Fault::CutAfter(1_000_000), Fault::Corrupt] {
        world.faults.set(fault);
        let answer = ask(&mut client, Method::GET, "/large.bin").await;
        assert!(answer.as_ref().is_err() || answer.as_ref().unwrap().starts_with("503"), "{fault:?}");
    }
    world.faults.set(Fault::Status(403));
    assert!(ask(&mut client, Method::GET, "/").await.unwrap().starts_with("503 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_the_names_of_its_certificate() {
    let world = World::with(with_https).await;
    world.publish(1, &[("index.html", b"home")]).await;
    for (host, status) in [
        (HOST, "200"),
        ("localhost", "404"),     // in the certificate, and no site
        ("example.com", "421"),   // a name of another connection
        ("a.b.localhost", "421"), // a wildcard is one label
        ("evil-localhost", "421"),
    ] {
        let mut stream = connect(&world, b"http/1.1").await;
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {text}");
        assert!(text.contains("\r\n\r\n"), "{host}: {text}");

        let (mut client, connection) = h2::client::handshake(connect(&world, b"h2").await).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().uri(format!("https://{host}/")).body(()).unwrap();
        let answer = client.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(answer.status().as_str(), status, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_heads_have_the_same_limits() {
    let world = World::with(with_https).await;
    world.publish(1, &[("index.html", b"home")]).await;
    let (mut client, connection) = h2::client::handshake(connect(&world, b"h2").await).await.unwrap();
    tokio::spawn(connection);
    let get = |path: &str| Request::builder().uri(format!("https://{HOST}{path}"));
    let many = (0..120).fold(get("/"), |request, n| request.header(format!("x-{n}"), "y"));
    let large = (0..20).fold(get("/"), |request, n| request.header(format!("x-{n}"), "y".repeat(1000)));
    for (request, status) in [
        (get("/").header("host", HOST), 200),
        (get("/").header("host", "other.localhost"), 400),
        (get(&format!("/{}", "a".repeat(9_000))), 414),
        (many, 431),
        (large, 431),
    ] {
        let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), status);
    }
    assert_eq!(ask(&mut client, Method::GET, "/").await.unwrap(), "200 home");
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_resets_end_the_connection() {
    let world = World::with(with_https).await;
    world.publish(1, &[("index.html", b"home")]).await;
    let (mut client, connection) = h2::client::handshake(connect(&world, b"h2").await).await.unwrap();
    let ended = tokio::spawn(connection);
    // What a person does who leaves pages quickly, and then what none does.
    let mut resets = 0;
    while resets < 50_000 {
        let Ok(ready) = client.ready().await else { break };
        client = ready;
        let request = Request::builder().uri(format!("https://{HOST}/")).body(()).unwrap();
        let Ok((_, mut stream)) = client.send_request(request, false) else { break };
        stream.send_reset(h2::Reason::CANCEL);
        resets += 1;
        tokio::task::yield_now().await;
    }
    assert!((100..50_000).contains(&resets), "{resets} resets");
    assert!(ended.await.unwrap().is_err());
    let (mut client, connection) = h2::client::handshake(connect(&world, b"h2").await).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(ask(&mut client, Method::GET, "/").await.unwrap(), "200 home");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_tls_connections_end() {
    let world = World::with(|config, dir| {
        with_https(config, dir);
        config.protection.head_timeout = Duration::from_millis(300);
        config.protection.keep_alive_timeout = Duration::from_millis(300);
    })
    .await;
    let ends = async |stream: &mut (dyn tokio::io::AsyncRead + Unpin + Send)| {
        let mut bytes = Vec::new();
        // How it ends is up to the library: an alert, a GOAWAY, or just the end.
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await;
        assert!(read.is_ok(), "it stays open");
    };
    ends(&mut TcpStream::connect(world.edge.https_addr.unwrap()).await.unwrap()).await;
    ends(&mut connect(&world, b"http/1.1").await).await;
    ends(&mut connect(&world, b"h2").await).await;
    let mut begun = connect(&world, b"h2").await;
    begun.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    ends(&mut begun).await;
}
