use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loggia_e2e::eventually;
use loggia_e2e::fleet::{Fleet, SOON};
use loggia_e2e::generations::Generations;
use loggia_e2e::process::{Process, loggia};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const HOST: &str = "shop.localhost";
const RELOADS: usize = 50;

/// One download is under way while so many processes follow each other.
const RELOADS_OF_A_DOWNLOAD: usize = 10;

/// More than the buffers between two processes hold: its end is sent when most of it has been taken.
const LARGE_BYTES: usize = 24 << 20;

const PAGE_BYTES: usize = 60_000;

/// Bytes that tell where in a file they are.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at / 251 + at) % 251).unwrap()).collect()
}

/// An edge that is started through a link, as an installation is that keeps its releases side by side.
///
/// What is last here goes last: the folder with the logs.
struct Edge {
    generations: Generations,
    first: Process,
    _api: Process,
    link: PathBuf,
    fleet: Fleet,
}

impl Edge {
    async fn start() -> Self {
        let mut fleet = Fleet::new().await;
        let dir = fleet.dir.path().to_owned();
        let notify = dir.join("notify");
        let mut generations = Generations::listen(&notify);
        let key = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
        std::fs::create_dir(dir.join("certs")).unwrap();
        std::fs::write(dir.join("certs/shop.crt"), key.cert.pem()).unwrap();
        std::fs::write(dir.join("certs/shop.key"), key.signing_key.serialize_pem()).unwrap();
        // A client that keeps a connection and says nothing is waited for: an edge that closes it could cut a request.
        fleet.set("LOGGIA_PROXY_KEEP_ALIVE_SECS", "10");
        fleet.set("NOTIFY_SOCKET", notify.display().to_string());
        fleet.set("LOGGIA_PROXY_TLS_LISTEN", format!("127.0.0.1:{}", fleet.edge_tls_port()));
        fleet.set("LOGGIA_PROXY_TLS_DIR", dir.join("certs").display().to_string());

        let api = fleet.start_api().await;
        deploy(&fleet, &dir.join("site"));
        let link = dir.join("loggia");
        symlink(loggia(), &link).unwrap();
        let first = fleet.start_edge_at(&link).await;
        generations.begin(first.id()).await;
        eventually("the site is shown", SOON, || fleet.visitor.try_get(HOST, "/")).await;
        Self { generations, first, _api: api, link, fleet }
    }

    async fn only_the_current_process_lives(&self) {
        let current = self.generations.current();
        eventually("the processes before the last one end", SOON, || async {
            (self.generations.alive() == [current]).then_some(())
        })
        .await;
    }

    /// What the path of the running binary leads to from now on.
    fn install(&self, program: &Path) {
        let new = self.link.with_extension("new");
        symlink(program, &new).unwrap();
        std::fs::rename(&new, &self.link).unwrap();
    }
}

fn deploy(fleet: &Fleet, site: &Path) {
    std::fs::create_dir(site).unwrap();
    std::fs::write(site.join("index.html"), content(PAGE_BYTES)).unwrap();
    std::fs::write(site.join("large.bin"), content(LARGE_BYTES)).unwrap();
    let args = ["deploy", site.to_str().unwrap(), "--project", "shop", "--create"];
    let output = Command::new(loggia()).args(args).envs(fleet.command_line()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// One connection, read by hand: nothing here tries again by itself.
struct Connection(TcpStream);

struct Answer {
    body: Vec<u8>,
    is_last: bool,
}

impl Connection {
    async fn open(port: u16) -> Self {
        Self(TcpStream::connect(("127.0.0.1", port)).await.expect("refused"))
    }

    async fn ask(&mut self, path: &str, connection: &str) {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: {connection}\r\n\r\n");
        self.0.write_all(head.as_bytes()).await.expect("cut before a request");
    }

    /// The head of an answer: the length of its body, and whether the connection ends with it.
    async fn head(&mut self) -> (usize, bool) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("cut before an answer"));
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        (length.unwrap().parse().unwrap(), head.contains("connection: close"))
    }

    async fn get(&mut self, connection: &str) -> Answer {
        self.ask("/", connection).await;
        let (length, is_last) = self.head().await;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.expect("cut within an answer");
        Answer { body, is_last }
    }
}

/// Visitors who ask all the time and count right answers. Anything else is a panic.
struct Load {
    visitors: JoinSet<()>,
    stop: CancellationToken,
    answers: Arc<AtomicUsize>,
    /// Of the connections that were kept alive, those that an edge ended.
    ended: Arc<AtomicUsize>,
}

/// Between two requests of a visitor, so that there is something left of the processor.
const PAUSE: Duration = Duration::from_millis(5);

impl Load {
    fn start(fleet: &Fleet) -> Self {
        let mut load = Self {
            visitors: JoinSet::new(),
            stop: CancellationToken::new(),
            answers: Arc::default(),
            ended: Arc::default(),
        };
        for _ in 0..3 {
            let (stays, goes) = (load.stay(fleet.edge_port()), load.come_and_go(fleet.edge_port()));
            load.visitors.spawn(stays);
            load.visitors.spawn(goes);
        }
        let over_tls = load.come_over_tls(fleet.edge_tls_port());
        load.visitors.spawn(over_tls);
        load
    }

    /// Keeps a connection for as long as the edge does.
    fn stay(&self, port: u16) -> impl Future<Output = ()> + use<> {
        let (stop, answers, ended) = (self.stop.clone(), Arc::clone(&self.answers), Arc::clone(&self.ended));
        async move {
            let mut connection = Connection::open(port).await;
            while !stop.is_cancelled() {
                let answer = connection.get("keep-alive").await;
                assert!(answer.body == content(PAGE_BYTES), "other bytes");
                answers.fetch_add(1, Ordering::Relaxed);
                if answer.is_last {
                    ended.fetch_add(1, Ordering::Relaxed);
                    connection = Connection::open(port).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Opens a connection for each request.
    fn come_and_go(&self, port: u16) -> impl Future<Output = ()> + use<> {
        let (stop, answers) = (self.stop.clone(), Arc::clone(&self.answers));
        async move {
            while !stop.is_cancelled() {
                let answer = Connection::open(port).await.get("close").await;
                assert!(answer.body == content(PAGE_BYTES), "other bytes");
                answers.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn come_over_tls(&self, port: u16) -> impl Future<Output = ()> + use<> {
        let (stop, answers) = (self.stop.clone(), Arc::clone(&self.answers));
        // A connection that is never used again is never asked again by the client on its own.
        let client = reqwest::Client::builder()
            .danger_accept_invalid_certs(true)
            .pool_max_idle_per_host(0)
            .resolve(HOST, ([127, 0, 0, 1], port).into())
            .build()
            .unwrap();
        async move {
            while !stop.is_cancelled() {
                let answer = client.get(format!("https://{HOST}:{port}/")).send().await.expect("refused");
                let body = answer.bytes().await.expect("cut within an answer");
                assert!(body == content(PAGE_BYTES), "other bytes");
                answers.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Sends the visitors away. Panics if something went wrong for one of them, else tells how many kept connections the
    /// edge has ended.
    async fn end(mut self) -> usize {
        self.stop.cancel();
        while let Some(visitor) = self.visitors.join_next().await {
            visitor.unwrap();
        }
        self.ended.load(Ordering::Relaxed)
    }

    /// Waits until more has been answered: by whichever process takes visitors now.
    async fn goes_on(&self) {
        let before = self.answers.load(Ordering::Relaxed);
        eventually("visitors are answered", SOON, || async {
            (self.answers.load(Ordering::Relaxed) > before + 10).then_some(())
        })
        .await;
    }
}

/// A download that takes as long as the test wants.
struct Download {
    connection: Connection,
    read: Vec<u8>,
    length: usize,
}

impl Download {
    async fn begin(port: u16) -> Self {
        // Little is on the way, and most of it still has to be sent by the process that began.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let mut connection = Connection(socket.connect(([127, 0, 0, 1], port).into()).await.unwrap());
        connection.ask("/large.bin", "keep-alive").await;
        let (length, is_last) = connection.head().await;
        assert!(!is_last, "it began before the process was replaced");
        Self { connection, read: Vec::new(), length }
    }

    async fn read_on(&mut self, bytes: usize) {
        let until = self.length.min(self.read.len() + bytes);
        while self.read.len() < until {
            assert!(self.connection.0.read_buf(&mut self.read).await.expect("cut") > 0, "cut");
        }
    }

    async fn end(mut self) {
        self.read_on(self.length).await;
        assert!(self.read == content(LARGE_BYTES), "other bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_reloads_under_load_refuse_and_cut_nothing() {
    let mut edge = Edge::start().await;
    let port = edge.fleet.edge_port();
    let load = Load::start(&edge.fleet);
    load.goes_on().await;
    for _ in 0..RELOADS / RELOADS_OF_A_DOWNLOAD {
        let serving = edge.generations.current();
        let mut download = Download::begin(port).await;
        for _ in 0..RELOADS_OF_A_DOWNLOAD {
            edge.generations.advance().await;
            load.goes_on().await;
            download.read_on(LARGE_BYTES / RELOADS_OF_A_DOWNLOAD / 2).await;
        }
        assert!(edge.generations.alive().contains(&serving), "it still sends a download");
        download.end().await;
    }
    edge.only_the_current_process_lives().await;
    load.goes_on().await;
    let moved_on = load.end().await;
    assert!(moved_on >= RELOADS, "who is kept alive moves on at each reload: {moved_on}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_does_not_come_to_serve_changes_nothing() {
    let mut edge = Edge::start().await;
    let load = Load::start(&edge.fleet);
    let broken = edge.fleet.dir.path().join("broken");
    std::fs::write(&broken, "#!/bin/sh\necho this release is broken >&2\nexit 64\n").unwrap();
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (program, said) in [(&broken, "(exit status: 64)"), (&PathBuf::from("/nonexistent"), "No such file")]
    {
        edge.install(program);
        edge.generations.ask_for_successor();
        eventually("the failure is told", SOON, || async {
            let log = edge.first.log();
            log.lines().any(|line| line.contains("No successor") && line.contains(said)).then_some(())
        })
        .await;
        load.goes_on().await;
    }
    edge.install(&loggia());
    edge.generations.advance().await;
    load.goes_on().await;
    load.end().await;
    edge.only_the_current_process_lives().await;
}
