//! Domains at the edge: hostnames that lead to another one, and names that a wildcard brings.

#![allow(clippy::unwrap_used, reason = "a test ends at a surprise")]

mod support;

use std::time::{Duration, Instant};

use loggia_proxy::{AccessLogConfig, AccessLogTarget};
use loggia_types::event::Change;
use loggia_types::route::{RedirectStatus, Route, RouteRedirect};
use serde_json::Value;
use support::http::{Answer, Connection};
use support::{World, eventually, hostname, project, route};

const WWW: &str = "www.example.com";

/// Nothing is deployed, which a redirect does not need.
fn leading(world: &World, redirect: Option<RouteRedirect>) {
    let route = route(WWW, None, world.api.next_position());
    world.api.set_route(Route { redirect: redirect.map(Box::new), ..route });
    let hostnames = vec![hostname(WWW)];
    world.api.emit(Change::Routes { project_id: project(), hostnames, wildcards: Vec::new() });
}

fn to(name: &str, status: RedirectStatus, is_elsewhere: bool) -> RouteRedirect {
    RouteRedirect { to: hostname(name), status, is_elsewhere }
}

async fn ask(connection: &mut Connection, host: &str, target: &str, lines: &str) -> Answer {
    connection.send(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")).await;
    connection.answer().await.unwrap()
}

fn told(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.header("location").unwrap_or("-"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostname_that_leads_elsewhere_does_so_before_anything_else() {
    let mut world = World::with(|config, dir| {
        let target = AccessLogTarget::File(dir.join("edge.log"));
        config.access_log = AccessLogConfig { target, sample: "1".parse().unwrap() };
    })
    .await;
    leading(&world, Some(to("example.com", RedirectStatus::Permanent, false)));
    let port = format!("{WWW}:8080");
    let cases = [
        (WWW, "/", "308 http://example.com/"),
        (WWW, "/a//b?x=1&y=%20", "308 http://example.com/a//b?x=1&y=%20"),
        (WWW, "//evil.example/%2e", "308 http://example.com//evil.example/%2e"),
        (port.as_str(), "/a", "308 http://example.com:8080/a"),
        (WWW, "/.git/config", "308 http://example.com/.git/config"),
        // The platform's own comes first.
        (WWW, "/.well-known/acme-challenge/x", "404 -"),
        (WWW, "/.loggia/health", "200 -"),
    ];
    let mut connection = Connection::open(world.edge.addr).await;
    for (host, target, expected) in cases {
        let by_phases = ask(&mut connection, host, target, "Expect: 100-continue\r\n").await;
        assert_eq!(told(&by_phases), expected, "{host}{target}");
        for _ in 0..3 {
            let answer = ask(&mut connection, host, target, "").await;
            assert_eq!(told(&answer), expected, "{host}{target}, at hand");
            assert_eq!(answer.header("cache-control"), by_phases.header("cache-control"));
        }
    }
    let redirect = ask(&mut connection, WWW, "/", "").await;
    assert_eq!(redirect.header("cache-control"), Some("public, max-age=0, must-revalidate"));
    assert_eq!(
        (redirect.header("content-length"), redirect.header("x-loggia-rule")),
        (Some("0"), Some("domain"))
    );
    let posted =
        format!("POST /form HTTP/1.1\r\nHost: {WWW}\r\nContent-Length: 3\r\nConnection: close\r\n\r\na=b");
    assert_eq!(told(&world.ask(&posted).await), "308 http://example.com/form", "the method is kept by 308");
    let broken = format!("GET /%zz HTTP/1.1\r\nHost: {WWW}\r\nConnection: close\r\n\r\n");
    assert_eq!(world.ask(&broken).await.status, 400);
    assert_eq!(world.faults.requests(), 0, "no manifest was needed");

    let AccessLogTarget::File(path) = world.config().access_log.target.clone() else { panic!("no file") };
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let asked = cases.len() * 4 + 3;
    eventually("every request is logged", async || lines().len() == asked).await;
    let redirects = lines().into_iter().filter(|line| line["status"] == 308).collect::<Vec<_>>();
    assert_eq!(redirects.len(), 5 * 4 + 2);
    assert!(
        redirects.iter().all(|line| line["rule"] == "domain" && line["project"] == "shop"),
        "{redirects:?}"
    );
    let counted = world.metrics().await.summary("loggia_proxy_requests_total");
    for line in
        [r#"{status="308",method="get",cache="none"} 21"#, r#"{status="308",method="other",cache="none"} 1"#]
    {
        assert!(counted.iter().any(|counted| counted == line), "{counted:?}");
    }

    // Known without the api, also to the next process.
    world.api.kill();
    world.restart_edge().await;
    let mut connection = Connection::open(world.edge.addr).await;
    assert_eq!(told(&ask(&mut connection, WWW, "/a", "").await), "308 http://example.com/a");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_primary_is_followed_within_a_second() {
    let world = World::new().await;
    let mut connection = Connection::open(world.edge.addr).await;
    for (redirect, expected) in [
        (Some(to("example.com", RedirectStatus::Permanent, false)), "308 http://example.com/"),
        (Some(to("example.org", RedirectStatus::Temporary, true)), "307 http://example.org/"),
        (None, "404 -"),
        (Some(to("example.com", RedirectStatus::Permanent, false)), "308 http://example.com/"),
    ] {
        leading(&world, redirect);
        let changed = Instant::now();
        while told(&ask(&mut connection, WWW, "/", "").await) != expected {
            assert!(changed.elapsed() < Duration::from_secs(1), "{expected} is not followed");
        }
        for _ in 0..3 {
            assert_eq!(told(&ask(&mut connection, WWW, "/", "").await), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_brings_names_that_were_asked_for_in_vain() {
    let world = World::new().await;
    assert_eq!(world.get_host("a.example.com").await.status, 404);
    let deployment = world.deploy(1, &[("index.html", b"hi")]).await;
    let position = world.api.next_position();
    world.api.set_route(route("a.example.com", Some(deployment.deployment_id), position));
    let wildcards = vec![hostname("example.com")];
    world.api.emit(Change::Routes { project_id: project(), hostnames: Vec::new(), wildcards });
    let changed = Instant::now();
    while world.get_host("a.example.com").await.summary() != "200 hi" {
        assert!(changed.elapsed() < Duration::from_secs(2), "it is not followed");
    }
}
