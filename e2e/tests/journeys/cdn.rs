//! A CDN in front of the edge keeps pages for a year, and follows a promote all the same.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use loggia_e2e::eventually;
use loggia_e2e::fleet::{Fleet, SOON, slug};
use loggia_e2e::process::loggia;
use loggia_e2e::varnish::{self, Varnish};
use loggia_e2e::visitor::{Answer, Visitor};
use loggia_types::api::CreatedProject;
use loggia_types::purge::PurgeRequest;

/// A promote through the event, the purge and the fetch takes a few milliseconds. Where the CDN is told before the edge has
/// heard, it keeps the old page until it is told again 6 s later (docs/decisions/0010).
const FOLLOWS_WITHIN: Duration = Duration::from_secs(10);

async fn deploy(fleet: &Fleet, project: &CreatedProject, text: &str) {
    let headers = "/*\n  Surrogate-Key: news\n";
    let files = [("index.html", text), ("a.css", "a {}"), ("_headers", headers)];
    fleet.upload(project, &files, None).await;
}

/// The page is in the CDN: asked until it is a hit.
async fn cached(visitor: &Visitor, host: &str, path: &str) -> Answer {
    eventually("the page is cached", SOON, || async {
        let answer = visitor.try_get(host, path).await?;
        (answer.header("x-cdn-cache") == "HIT").then_some(answer)
    })
    .await
}

/// How long it took until the page was seen.
async fn shows(visitor: &Visitor, host: &str, text: &str) -> Duration {
    let begin = Instant::now();
    eventually("the CDN shows the page", SOON, || async {
        (visitor.try_get(host, "/").await?.body == text).then_some(())
    })
    .await;
    begin.elapsed()
}

/// Every CDN was told everything, twice: from here on only new changes touch what is cached.
async fn settled(fleet: &Fleet) {
    eventually("the CDN is told everything", SOON, || async {
        let hooks = fleet.api.list_cdn_hooks().await.ok()?;
        (hooks.len() == 1 && hooks[0].waiting == 0 && hooks[0].settling == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_varnish_in_front_follows_promotes_and_purges_and_keeps_everything_else() {
    let mut fleet = Fleet::new().await;
    let port = varnish::port();
    fleet.set("LOGGIA_CDN_VARNISH_URLS", varnish::address(port));
    fleet.set("LOGGIA_PROXY_CDN_ADDRESSES", "127.0.0.1/32");
    let (_api, edge) = (fleet.start_api().await, fleet.start_edge().await);
    let varnish = Varnish::start(fleet.dir.path(), port, fleet.edge_port());
    let visitor = Visitor::new(varnish.port());
    let (shop, blog) = (fleet.project("shop").await, fleet.project("blog").await);
    deploy(&fleet, &shop, "one").await;
    deploy(&fleet, &blog, "blog").await;
    shows(&visitor, "shop.localhost", "one").await;
    settled(&fleet).await;

    for path in ["/", "/a.css"] {
        let hit = cached(&visitor, "shop.localhost", path).await;
        let leaked: Vec<_> =
            ["surrogate-key", "surrogate-control", "xkey"].map(|name| hit.header(name)).into();
        assert_eq!(leaked, ["", "", ""], "nothing of what edge and CDN tell each other");
        cached(&visitor, "blog.localhost", path).await;
    }

    // A promote.
    deploy(&fleet, &shop, "two").await;
    let took = shows(&visitor, "shop.localhost", "two").await;
    assert!(took < FOLLOWS_WITHIN, "{took:?}");
    still_hits(&visitor, "blog.localhost", &["/", "/a.css"]).await;
    settled(&fleet).await;
    assert_eq!(cached(&visitor, "shop.localhost", "/").await.body, "two");
    still_hits(&visitor, "blog.localhost", &["/", "/a.css"]).await;

    // A preview changes nothing of production.
    fleet.upload(&shop, &[("index.html", "next")], Some("next")).await;
    shows(&visitor, "next--shop.localhost", "next").await;
    settled(&fleet).await;
    still_hits(&visitor, "shop.localhost", &["/"]).await;

    // A roll back.
    fleet.api.roll_back(&slug("shop")).await.unwrap();
    let took = shows(&visitor, "shop.localhost", "one").await;
    assert!(took < FOLLOWS_WITHIN, "{took:?}");
    settled(&fleet).await;

    // One address, written as a person would.
    for path in ["/", "/a.css"] {
        cached(&visitor, "shop.localhost", path).await;
    }
    let said = command(&fleet, &["--project", "shop", "--url", "https://SHOP.localhost/a.css"]);
    assert_eq!(said, "purged: shop.localhost/a.css\n");
    misses(&visitor, "shop.localhost", "/a.css").await;
    still_hits(&visitor, "shop.localhost", &["/"]).await;
    settled(&fleet).await;

    // A soft purge while the edge is down: what is stale is better than nothing.
    cached(&visitor, "shop.localhost", "/a.css").await;
    edge.kill_9();
    let keys = Some(vec![format!("p-{}", shop.project.id)]);
    purge(&fleet, &PurgeRequest { keys, soft: true, ..PurgeRequest::default() }).await;
    settled(&fleet).await;
    for _ in 0..3 {
        assert_eq!(visitor.get("shop.localhost", "/").await.body, "one");
    }
    // A hard one means what it says.
    purge(&fleet, &PurgeRequest { all: true, ..PurgeRequest::default() }).await;
    eventually("the page is gone", SOON, || async {
        (visitor.get("shop.localhost", "/").await.status == 503).then_some(())
    })
    .await;
    still_hits(&visitor, "blog.localhost", &["/", "/a.css"]).await;
}

/// `loggia purge`, and what it prints.
fn command(fleet: &Fleet, args: &[&str]) -> String {
    let command = Command::new(loggia()).arg("purge").args(args).envs(fleet.command_line()).output().unwrap();
    assert!(command.status.success(), "{}", String::from_utf8_lossy(&command.stderr));
    String::from_utf8(command.stdout).unwrap()
}

async fn purge(fleet: &Fleet, body: &PurgeRequest) {
    fleet.api.purge(&slug("shop"), body).await.unwrap();
}

async fn still_hits(visitor: &Visitor, host: &str, paths: &[&str]) {
    for path in paths {
        assert_eq!(visitor.get(host, path).await.header("x-cdn-cache"), "HIT", "{host}{path}");
    }
}

async fn misses(visitor: &Visitor, host: &str, path: &str) {
    eventually("the page is fetched anew", SOON, || async {
        (visitor.get(host, path).await.header("x-cdn-cache") == "MISS").then_some(())
    })
    .await;
}

/// Takes purges as Fastly would. Answers 503 until it is told to be well; gives the keys of every call.
struct Cdn {
    url: String,
    is_well: Arc<AtomicBool>,
    keys: Receiver<String>,
}

impl Cdn {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_well = Arc::new(AtomicBool::new(false));
        // A call a second at most.
        let (sender, keys) = sync_channel(1000);
        let well = Arc::clone(&is_well);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = vec![0; 16 * 1024];
                let mut len = 0;
                while !head[..len].ends_with(b"\r\n\r\n") {
                    match stream.read(&mut head[len..]) {
                        Ok(read) if read > 0 => len += read,
                        _ => break,
                    }
                }
                let text = String::from_utf8_lossy(&head[..len]);
                let found = text.lines().find_map(|line| line.strip_prefix("surrogate-key: "));
                let status = if well.load(Ordering::SeqCst) { "200 OK" } else { "503 Later" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
                let _ = found.map(|keys| sender.send(keys.to_owned()));
            }
        });
        Self { url, is_well, keys }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_promote_made_stale_is_told_after_kill_9_of_the_api() {
    let mut fleet = Fleet::new().await;
    let cdn = Cdn::start();
    fleet.set("LOGGIA_CDN_FASTLY_API_URL", &cdn.url);
    fleet.set("LOGGIA_CDN_FASTLY_SERVICE_ID", "SU1Z0");
    fleet.set("LOGGIA_CDN_FASTLY_TOKEN", "a-token-that-must-not-be-logged");
    let api = fleet.start_api().await;
    let shop = fleet.project("shop").await;
    // Killed as soon as it has answered, and while the CDN takes nothing.
    fleet.upload(&shop, &[("index.html", "one")], None).await;
    api.kill_9();
    while cdn.keys.try_recv().is_ok() {}
    cdn.is_well.store(true, Ordering::SeqCst);
    let api = fleet.start_api().await;
    let expected = format!("a-{}-production", shop.project.id);
    let told = tokio::task::spawn_blocking(move || cdn.keys.recv_timeout(SOON * 2)).await.unwrap();
    assert_eq!(told, Ok(expected));
    assert!(!api.log().contains("must-not-be-logged"));
}
