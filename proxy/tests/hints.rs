//! Early Hints: who gets them, and what is left on the answer.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use http::Method;
use loggia_proxy::Config;
use loggia_types::manifest::NewManifest;
use loggia_types::rules::{HeaderLine, HeaderRule, HeaderScope, Part, PathPattern, RuleSource, UrlPattern};
use support::World;
use support::faulty_store::Fault;
use support::https::{Http2, Streamed, with_https};

const STYLE: &str = "</a.css>; rel=preload; as=style";
const SCRIPT: &str = "</a.js>; rel=modulepreload";
const CANONICAL: &str = "<https://shop.example/>; rel=canonical";
const NAVIGATES: (&str, &str) = ("sec-fetch-mode", "navigate");

/// Pages with collected links, and one whose rule sets links.
fn links(manifest: &mut NewManifest) {
    let collected = format!("{STYLE}, {SCRIPT}");
    for entry in &mut manifest.entries {
        entry.link = entry.path.as_str().ends_with("html").then(|| collected.clone().into());
    }
    let path = PathPattern { parts: vec![Part::Text("ruled".into())], lenient: false };
    let value = vec![Part::Text(format!("{SCRIPT}, {CANONICAL}").into())];
    manifest.rules.headers.push(HeaderRule {
        source: RuleSource { file: "_headers".into(), line: 1 },
        scope: HeaderScope::Url(UrlPattern { origin: None, path }),
        environment: None,
        status: None,
        remove: Vec::new(),
        set: vec![HeaderLine { name: "link".into(), value }],
        credentials: Vec::new(),
    });
}

async fn world_with(adjust: impl FnOnce(&mut Config)) -> World {
    let world = World::with(|config, dir| {
        with_https(config, dir);
        adjust(config);
    })
    .await;
    let files: &[(&str, &[u8])] =
        &[("index.html", b"home"), ("ruled.html", b"ruled"), ("404.html", b"none"), ("a.css", b"style")];
    world.promote(world.deploy_with(1, files, links).await);
    world
}

async fn navigate(client: &Http2, path: &str) -> Streamed {
    client.ask(Method::GET, path, &[NAVIGATES]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_navigation_gets_hints_before_its_page() {
    let world = world_with(|_| {}).await;
    let client = Http2::open(&world).await;
    // From the store, from memory, and whatever is at hand then.
    for _ in 0..4 {
        let page = navigate(&client, "/").await;
        assert_eq!(page.early, [[format!("{STYLE}, {SCRIPT}")]]);
        assert_eq!((page.summary().as_str(), page.links().len()), ("200 home", 0));
    }
    for _ in 0..3 {
        let page = client.ask(Method::GET, "/", &[]).await.unwrap();
        assert_eq!((page.early.len(), page.links()), (0, vec![format!("{STYLE}, {SCRIPT}")]));
    }

    let ruled = navigate(&client, "/ruled").await;
    assert_eq!(ruled.summary(), "200 ruled");
    assert_eq!(ruled.early.concat().last().map(String::as_str), Some(SCRIPT));
    assert_eq!(ruled.links(), [CANONICAL]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_navigate_finds_the_links_on_the_answer() {
    type Fields<'f> = &'f [(&'f str, &'f str)];
    let world = world_with(|_| {}).await;
    let client = Http2::open(&world).await;
    let all = format!("{STYLE}, {SCRIPT}");
    let etag = client.get("/").await.unwrap().headers["etag"].to_str().unwrap().to_owned();
    let cases: &[(Method, &str, Fields<'_>, u16)] = &[
        (Method::GET, "/", &[], 200),
        (Method::GET, "/", &[("sec-fetch-mode", "cors")], 200),
        (Method::GET, "/", &[NAVIGATES, ("sec-fetch-dest", "iframe")], 200),
        (Method::HEAD, "/", &[NAVIGATES], 200),
        (Method::GET, "/", &[NAVIGATES, ("range", "bytes=0-1")], 206),
        (Method::GET, "/", &[NAVIGATES, ("if-none-match", &etag)], 304),
        (Method::GET, "/index.html", &[NAVIGATES], 307),
        (Method::GET, "/none", &[NAVIGATES], 404),
        (Method::GET, "/a.css", &[NAVIGATES], 200),
    ];
    for (method, path, fields, status) in cases {
        let answer = client.ask(method.clone(), path, fields).await.unwrap();
        assert_eq!(answer.status.as_u16(), *status, "{method} {path} {fields:?}");
        assert!(answer.early.is_empty(), "{method} {path} {fields:?}");
        if *path == "/" {
            assert_eq!(answer.links(), [all.as_str()], "{method} {fields:?}");
        }
    }
    let answer = world.get_with("/", "Sec-Fetch-Mode: navigate").await;
    assert_eq!((answer.summary().as_str(), answer.header("link")), ("200 home", Some(all.as_str())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hop_gets_the_links_on_the_answer() {
    let world = world_with(|config| config.protection.trusted_hops = "127.0.0.0/8".parse().unwrap()).await;
    let page = navigate(&Http2::open(&world).await, "/").await;
    assert_eq!((page.early.len(), page.links().len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_are_no_promise() {
    let world = world_with(|config| support::without_cache(config, "".as_ref())).await;
    let client = Http2::open(&world).await;
    assert_eq!(navigate(&client, "/").await.early.len(), 1);
    world.faults.set(Fault::Status(500));
    let page = navigate(&client, "/").await;
    assert_eq!((page.early.len(), page.status.as_u16(), page.links().len()), (1, 503, 0));
}
