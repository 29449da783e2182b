//! An edge whose sockets another process has taken over: what is open ends with what it is at. The two processes
//! themselves are tried in `e2e/tests/journeys/reloads.rs`.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Method;
use loggia_proxy::{Config, Edge, Ending};
use support::http::Connection;
use support::https::{self, connect, with_https};
use support::{HOST, World, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LARGE_BYTES: usize = 8 << 20;

/// A world whose edge can be told that it has been replaced.
struct Replaced {
    world: World,
    ending: Ending,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Replaced {
    async fn start(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut world = World::with(with_https).await;
        let large: Vec<u8> = (0..LARGE_BYTES).map(|at| u8::try_from(at % 251).unwrap()).collect();
        world.publish(1, &[("index.html", b"home"), ("large.bin", &large)]).await;
        let mut config = world.config().clone();
        config.state_dir = config.state_dir.join("replaced");
        adjust(&mut config);
        let edge = Edge::bind(config).await.unwrap();
        (world.edge.addr, world.edge.https_addr) = (edge.http_addr(), edge.https_addr());
        let ending = Ending::new(CancellationToken::new());
        let task = tokio::spawn(edge.serve_until(ending.clone()));
        Self { world, ending, task }
    }

    async fn has_ended(self) {
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("it ends").unwrap().unwrap();
    }

    fn addr_is_free(&self) -> bool {
        std::net::TcpListener::bind(self.world.edge.addr).is_ok()
    }
}

fn get(connection: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: {connection}\r\n\r\n")
}

type Requests = SendRequest<Bytes>;

async fn open_http2(world: &World) -> (Requests, JoinHandle<Result<(), h2::Error>>) {
    let (requests, connection) = h2::client::handshake(connect(world, b"h2").await).await.unwrap();
    (requests, tokio::spawn(connection))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_ends_with_its_next_answer_and_downloads_go_on() {
    let edge = Replaced::start(|_| {}).await;
    let (mut used, mut silent) =
        (Connection::open(edge.world.edge.addr).await, Connection::open(edge.world.edge.addr).await);
    used.send(&get("keep-alive")).await;
    assert_eq!(used.answer().await.unwrap().summary(), "200 home");
    // Of two connections of HTTP/2 one has a download whose window is full, and the other one nothing.
    let (mut requests, busy) = open_http2(&edge.world).await;
    let (answer, _) = requests.send_request(https::request(Method::GET, "/large.bin", &[]), true).unwrap();
    let body = answer.await.unwrap().into_body();
    let (idle_requests, idle) = open_http2(&edge.world).await;

    edge.ending.handed_over.cancel();
    eventually("it listens no more", async || edge.addr_is_free()).await;
    // Whether the client's last words still find the connection open is a matter of luck.
    drop(idle.await.unwrap());
    drop(idle_requests);
    for connection in [&mut used, &mut silent] {
        connection.send(&get("keep-alive")).await;
        let answer = connection.answer().await.expect("a request that was on its way");
        assert_eq!((answer.summary().as_str(), answer.header("connection")), ("200 home", Some("close")));
    }
    assert!(!edge.task.is_finished(), "a download is under way");
    let content = https::rest(body).await.expect("the whole file");
    assert_eq!(content.len(), LARGE_BYTES);
    assert!(content.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
    drop(busy.await.unwrap());
    drop((used, silent));
    edge.has_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_takes_too_long_is_cut_in_the_end() {
    let edge = Replaced::start(|config| config.handover_drain = Duration::from_millis(300)).await;
    let (mut requests, connection) = open_http2(&edge.world).await;
    let (answer, _) = requests.send_request(https::request(Method::GET, "/large.bin", &[]), true).unwrap();
    let body = answer.await.unwrap().into_body();
    edge.ending.handed_over.cancel();
    edge.has_ended().await;
    assert!(https::rest(body).await.is_err(), "nobody waits for it for ever");
    drop(connection.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_was_replaced_can_still_be_stopped() {
    let edge = Replaced::start(|_| {}).await;
    let mut silent = Connection::open(edge.world.edge.addr).await;
    silent.send(&get("keep-alive")).await;
    assert_eq!(silent.answer().await.unwrap().summary(), "200 home");
    edge.ending.handed_over.cancel();
    eventually("it listens no more", async || edge.addr_is_free()).await;
    assert!(!edge.task.is_finished(), "a request may be on its way");
    edge.ending.stop.cancel();
    edge.has_ended().await;
    assert!(silent.answer().await.is_none(), "it was closed");
}
