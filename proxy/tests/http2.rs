//! HTTP/2 connections: streams beside each other, clients that take little or nothing, and how connections end.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use h2::Reason;
use h2::client::Builder;
use http::Method;
use loggia_proxy::{AccessLogTarget, Config};
use serde_json::Value;
use support::https::{Http2, connect, request, rest, with_https};
use support::{HOST, World, eventually};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{sleep, timeout};

fn large() -> Vec<u8> {
    (0..4_000_000_u32).map(|n| n.to_le_bytes()[1]).collect()
}

async fn world_with(adjust: impl FnOnce(&mut Config)) -> World {
    let world = World::with(|config, dir| {
        with_https(config, dir);
        adjust(config);
    })
    .await;
    let large = large();
    let files: &[(&str, &[u8])] = &[("index.html", b"home"), ("404.html", b"none"), ("large.bin", &large)];
    world.publish(1, files).await;
    // The route and the manifest are known from here on.
    assert_eq!(world.get("/").await.summary(), "200 home");
    world
}

fn narrow() -> Builder {
    let mut settings = Builder::new();
    settings.initial_window_size(16 * 1024);
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_answered_beside_each_other() {
    let world = world_with(|_| {}).await;
    let client = Http2::open(&world).await;
    let answers = join_all((0..90).map(|n| {
        let path = if n % 3 == 0 { "/none" } else { "/" };
        client.get(path)
    }));
    for (n, answer) in answers.await.into_iter().enumerate() {
        assert_eq!(answer.unwrap().summary(), if n % 3 == 0 { "404 none" } else { "200 home" });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_arrive_through_small_windows() {
    let world = world_with(|_| {}).await;
    let client = Http2::open_with(&world, &narrow()).await;
    let large = large();
    for answer in join_all((0..4).map(|_| client.get("/large.bin"))).await {
        assert!(answer.unwrap().body == large);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_given_up_disturbs_no_other() {
    let world = world_with(|_| {}).await;
    let client = Http2::open_with(&world, &narrow()).await;
    let given_up = client.begin(request(Method::GET, "/large.bin", &[])).await.unwrap().await.unwrap();
    let mut given_up = given_up.into_body();
    let (others, ()) = tokio::join!(join_all((0..2).map(|_| client.get("/large.bin"))), async {
        assert!(given_up.data().await.unwrap().is_ok());
        // Dropping it resets the stream.
        drop(given_up);
    });
    let large = large();
    for answer in others {
        assert!(answer.unwrap().body == large);
    }
    assert_eq!(client.get("/").await.unwrap().summary(), "200 home");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_nothing_is_cut_and_the_others_go_on() {
    let world = world_with(|config| config.protection.send_stall = Duration::from_millis(400)).await;
    let client = Http2::open_with(&world, &narrow()).await;
    let begin = async || client.begin(request(Method::GET, "/large.bin", &[])).await.unwrap().await.unwrap();
    let (stuck, mut slow) = (begin().await.into_body(), begin().await.into_body());
    // It takes 4 KiB in each 100 ms, many times as much as it has to, for many times as long as one may take nothing.
    for _ in 0..20 {
        let piece = slow.data().await.unwrap().unwrap();
        slow.flow_control().release_capacity(piece.len()).unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    let error = rest(stuck).await.unwrap_err();
    assert!(error.is_reset() && error.is_remote(), "{error}");
    assert_eq!(rest(slow).await.map(|rest| rest.len() > 3_000_000).ok(), Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_bodies_are_dropped_or_refused_and_the_connection_lives_on() {
    let world = world_with(|_| {}).await;
    let client = Http2::open(&world).await;
    let piece = Bytes::from(vec![b'x'; 16 * 1024]);
    let post = |fields: &[(&str, &str)]| request(Method::POST, "/", fields);
    let get = request(Method::GET, "/", &[]);
    let twice = post(&[("content-length", "1"), ("content-length", "1")]);
    let cases = [
        (get, vec![piece.clone()], 200),
        (post(&[]), vec![piece.clone(), piece.clone()], 405),
        (post(&[("content-length", "16384")]), vec![piece.clone()], 405),
        (post(&[]), vec![piece; 6], 413),
        (post(&[("content-length", "70000")]), vec![Bytes::from(vec![b'x'; 70_000])], 413),
        (twice, vec![Bytes::from_static(b"x")], 400),
    ];
    for (request, pieces, status) in cases {
        let what = format!("{request:?}");
        assert_eq!(client.send(request, &pieces).await.unwrap().status.as_u16(), status, "{what}");
    }
    // A body that never ends.
    let (answer, _body) = client.requests.clone().send_request(post(&[]), false).unwrap();
    assert_eq!(answer.await.unwrap().status().as_u16(), 408);
    assert_eq!(client.get("/").await.unwrap().summary(), "200 home");
}

#[tokio::test(flavor = "multi_thread")]
async fn running_downloads_finish_when_the_edge_stops() {
    let mut world = world_with(|config| {
        let file = config.state_dir.with_file_name("edge.log");
        config.access_log.target = AccessLogTarget::File(file);
    })
    .await;
    let client = Http2::open_with(&world, &narrow()).await;
    let download = client.begin(request(Method::GET, "/large.bin", &[])).await.unwrap().await.unwrap();
    world.edge.stop.cancel();
    // The edge says that it takes no more requests.
    eventually("the edge says goodbye", async || client.get("/").await.is_err()).await;
    assert!(rest(download.into_body()).await.unwrap() == large());
    timeout(Duration::from_secs(4), &mut world.edge.task).await.unwrap().unwrap().unwrap();

    let AccessLogTarget::File(log) = &world.config().access_log.target else { panic!("no file") };
    let lines = std::fs::read_to_string(log).unwrap();
    let line: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((&line["path"], &line["protocol"]), (&"/large.bin".into(), &"HTTP/2".into()));
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &4_000_000.into()));
}

const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const GOAWAY: u8 = 7;

/// Head and payload of the next frame.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> ([u8; 9], Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload).await.unwrap();
    (head, payload)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_ends_with_a_goodbye() {
    let world = world_with(|config| config.protection.keep_alive_timeout = Duration::from_millis(300)).await;
    let mut stream = connect(&world, b"h2").await;
    stream.write_all(BEGIN).await.unwrap();
    let goodbye = async {
        loop {
            let (head, payload) = frame(&mut stream).await;
            if head[3] == GOAWAY {
                return payload;
            }
        }
    };
    let payload = timeout(Duration::from_secs(10), goodbye).await.unwrap();
    assert_eq!(payload[4..8], [0; 4], "no error");
    // It is not confirmed, and the connection ends all the same. How it ends is up to TLS.
    let ended = timeout(Duration::from_secs(10), stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "it stays open");
}

const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_with_a_goodbye_that_says_why() {
    let world = world_with(|_| {}).await;
    for (what, flood) in [("ping", PING.repeat(2_000)), ("settings", EMPTY_SETTINGS.repeat(4_000))] {
        let (mut reading, mut writing) = tokio::io::split(connect(&world, b"h2").await);
        // Much of it comes after the edge has had enough; where it is not taken, the connection is over.
        let sending = tokio::spawn(async move {
            let _ = writing.write_all(&[BEGIN, &flood].concat()).await;
            writing
        });
        let goodbye = async {
            loop {
                let (head, payload) = frame(&mut reading).await;
                if head[3] == GOAWAY {
                    return payload;
                }
            }
        };
        let payload = timeout(Duration::from_secs(10), goodbye).await.expect(what);
        assert_eq!(payload[4..8], u32::from(Reason::ENHANCE_YOUR_CALM).to_be_bytes(), "{what}");
        // The sender stays: the end is the edge's.
        let _writing = sending.await.unwrap();
        let ended = timeout(Duration::from_secs(10), reading.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{what}: it stays open");
    }
    assert_eq!(Http2::open(&world).await.get("/").await.unwrap().summary(), "200 home");
}

/// One HEADERS frame that ends its stream, its fields spelled out (RFC 7541 §6.2.2).
fn headers(stream: u8, fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_bytes(), value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text);
        }
    }
    let len = u8::try_from(block.len()).unwrap();
    [&[0, 0, len, 1, 5, 0, 0, 0, stream], block.as_slice()].concat()
}

/// What comes on a stream first: a status (in our answers one of the static table, RFC 7541 A), or a reset.
async fn outcome(stream: &mut (impl AsyncRead + Unpin), id: u8) -> String {
    loop {
        let (head, payload) = frame(stream).await;
        match (head[8] == id, head[3], payload.first()) {
            (true, 1, Some(0x88)) => return "200".to_owned(),
            (true, 1, Some(0x8c)) => return "400".to_owned(),
            (true, 1, _) => return format!("head {payload:?}"),
            (true, 3, _) => return format!("{:?}", Reason::from(u32::from(payload[3]))),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_requests_are_refused_one_by_one() {
    let world = world_with(|_| {}).await;
    let mut stream = connect(&world, b"h2").await;
    stream.write_all(BEGIN).await.unwrap();
    let host = HOST.as_bytes();
    let other: &[u8] = b"other.localhost";
    type Fields<'f> = &'f [(&'f str, &'f [u8])];
    let cases: &[(&[u8], Fields<'_>, &str)] = &[
        (b"/", &[(":authority", host)], "200"),
        (b"/a\x01b", &[(":authority", host)], "PROTOCOL_ERROR"),
        (b"/a\nb", &[(":authority", host)], "PROTOCOL_ERROR"),
        (b"/a b", &[(":authority", host)], "PROTOCOL_ERROR"),
        (b"/?a\x7fb", &[(":authority", host)], "PROTOCOL_ERROR"),
        (b"/%00", &[(":authority", host)], "400"),
        (b"http://shop.localhost/", &[(":authority", host)], "PROTOCOL_ERROR"),
        (b"shop", &[(":authority", host)], "PROTOCOL_ERROR"),
        (b"/", &[(":authority", host), ("host", other)], "400"),
        (b"/", &[(":authority", host), ("host", host), ("host", host)], "400"),
        (b"/", &[(":authority", b"user@shop.localhost")], "400"),
        (b"/", &[("host", host)], "200"),
        (b"/", &[], "400"),
        (b"/", &[(":authority", host), ("connection", b"close")], "PROTOCOL_ERROR"),
        (b"/", &[(":authority", host), ("transfer-encoding", b"chunked")], "PROTOCOL_ERROR"),
        (b"/", &[(":authority", host)], "200"),
    ];
    for (at, (path, fields, expected)) in cases.iter().enumerate() {
        let id = u8::try_from(2 * at + 1).unwrap();
        let pseudo: Fields<'_> = &[(":method", b"GET"), (":scheme", b"https"), (":path", path)];
        stream.write_all(&headers(id, &[pseudo, fields].concat())).await.unwrap();
        let outcome = timeout(Duration::from_secs(10), outcome(&mut stream, id)).await.unwrap();
        assert_eq!(outcome, *expected, "{:?} {fields:?}", String::from_utf8_lossy(path));
    }
}

/// A slow line: no more than so many bytes in each 50 ms.
struct Slow<S> {
    stream: S,
    bytes: usize,
    left: usize,
    ticks: tokio::time::Interval,
}

impl<S: AsyncRead + Unpin> AsyncRead for Slow<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while self.ticks.poll_tick(context).is_ready() {
            self.left = self.bytes;
        }
        if self.left == 0 {
            return Poll::Pending;
        }
        let mut bytes = vec![0; self.left.min(buffer.remaining())];
        let mut part = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        self.left -= part.filled().len();
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Slow<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_on_a_slow_line_gets_the_end_too() {
    let world = world_with(|config| config.protection.keep_alive_timeout = Duration::from_millis(200)).await;
    let ticks = tokio::time::interval(Duration::from_millis(50));
    // 4 MB take 5 s, while the edge has written all of it much earlier.
    let stream = Slow { stream: connect(&world, b"h2").await, bytes: 40_000, left: 0, ticks };
    let mut settings = Builder::new();
    settings.initial_window_size(8_000_000).initial_connection_window_size(8_000_000);
    let (requests, connection) = settings.handshake(stream).await.unwrap();
    let client = Http2 { requests, connection: tokio::spawn(connection) };
    assert!(client.get("/large.bin").await.unwrap().body == large());
}
