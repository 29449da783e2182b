//! 10 KB that everybody has in memory.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;

use super::{best, check, compare, rate, row};
use crate::contender::{Ask, Contender, Expected, Scheme};
use crate::edge::Edge;
use crate::instructions::{self, Counted, CountsDir};
use crate::load::{Connection, LoadOptions};
use crate::peers::nginx::{Nginx, Ports};
use crate::peers::{Peer, caddy, floor, static_web_server, varnish};
use crate::report::{Goal, Report};
use crate::rounds::Generator;
use crate::run::Run;
use crate::sites::{FILE, FILE_BYTES, HOT};

const MEASURE: &str = "hot 10 KB, HTTP/1.1 keep-alive";
pub(super) const INSTRUCTIONS: &str = "user instructions/request";
const NGINX_CACHE: &str = "nginx `proxy_cache` before the same S3";

pub(super) async fn throughput(run: &Run, report: &mut Report) -> anyhow::Result<()> {
    let peers = peers(run).await?;
    let ask = || [Ask::new(HOT, FILE)];
    let ports = run.nginx.ports;
    let mut contenders = vec![
        run.ours(ask()),
        run.nginx("nginx static, `sendfile on`", ports.with_sendfile, ask()),
        run.nginx("nginx static, `sendfile off`", ports.without_sendfile, ask()),
        run.nginx(NGINX_CACHE, ports.cache, ask()),
    ];
    contenders.extend(peers.iter().map(|peer| Contender {
        name: peer.name.to_owned(),
        scheme: Scheme::Http,
        addr: peer.addr,
        asks: ask().to_vec(),
        process: &peer.process,
    }));
    let generator = Generator::Wrk { connections: run.options.connections };
    let (floor, others) = contenders.split_last().context("there is a floor")?;
    let expected = Expected { status: 200, body_bytes: Some(FILE_BYTES) };
    check(expected, others).await?;
    // Of its answer only the whole has the length of ours.
    check(Expected { body_bytes: None, ..expected }, std::slice::from_ref(floor)).await?;
    let all = compare(run, report, MEASURE, generator, &contenders).await?;
    let ours = &all[0];
    let nginx = best(&all[1..3]).context("nginx was measured")?;
    report.rows.push(rate(MEASURE, ours, nginx, Goal::AtLeast(1.15)));
    for measured in &all[3..] {
        let goal = match measured.name.as_str() {
            NGINX_CACHE => Goal::AtLeast(1.6),
            varnish::NAME => Goal::AtLeast(2.3),
            static_web_server::NAME => Goal::AtLeast(2.2),
            caddy::NAME => Goal::AtLeast(6.0),
            _ => Goal::Nothing,
        };
        report.rows.push(rate("the same", ours, measured, goal));
    }
    Ok(())
}

/// Those that are installed; the floor is the last one.
async fn peers(run: &Run) -> anyhow::Result<Vec<Peer>> {
    let (dir, core) = (&run.dir, run.options.server_core);
    let root = run.sites.folder(HOT);
    let mut peers = Vec::new();
    peers.extend(varnish::start(dir, core, run.world.s3, run.sites.prefix(HOT)?).await?);
    peers.extend(static_web_server::start(dir, core, &root).await?);
    peers.extend(caddy::start(dir, core, &root).await?);
    let head = format!("GET {FILE} HTTP/1.1\r\nHost: {HOT}\r\n\r\n");
    let answer = Connection::open(run.edge.http).await?.ask(&head).await?;
    peers.push(floor::start(dir, core, answer.head + answer.body).await?);
    Ok(peers)
}

pub(super) async fn instructions(run: &Run, report: &mut Report) -> anyhow::Result<()> {
    if !instructions::is_available() {
        report.notes.push("Instructions were not counted: valgrind is not installed.".to_owned());
        return Ok(());
    }
    let load = LoadOptions::fixed(run.edge.http, HOT, FILE);
    let ours = count_edge(run, "edge", run.scale.counted, load).await?;
    for (name, peer, json, goal) in [
        ("nginx", "nginx static, `sendfile on`", false, Goal::AtMost(0.8)),
        ("nginx-json", "nginx static with the fields of our log", true, Goal::Nothing),
    ] {
        let load = LoadOptions::fixed(run.nginx.ports.with_sendfile, HOT, FILE);
        let port = |ports: &Ports| if json { ports.with_json_log } else { ports.with_sendfile };
        let theirs = count_nginx(run, name, run.scale.counted, port, load).await?;
        report.rows.push(row(MEASURE, peer, ours, theirs, INSTRUCTIONS, goal));
    }
    Ok(())
}

/// As [`count_edge`], of an nginx that is asked at one of its ports.
pub(super) async fn count_nginx(
    run: &Run,
    name: &str,
    counted: (u64, u64),
    port: impl Fn(&Ports) -> SocketAddr,
    load: LoadOptions,
) -> anyhow::Result<f64> {
    let start = async |counts: CountsDir| {
        let command = |program: &Path| counts.command(&run.options, program);
        let (dir, world, sites) = (&run.dir, &run.world, &run.sites);
        let nginx = Nginx::start("nginx-counted", dir, world, sites, &run.certificate, command).await?;
        let addr = port(&nginx.ports);
        Ok(Counted { process: nginx.process, load: LoadOptions { addr, ..load.clone() } })
    };
    instructions::per_request(name, &run.options, counted, &run.dir, start).await
}

/// `load` says what is asked; the edge that is counted is another one, at another address.
pub(super) async fn count_edge(
    run: &Run,
    name: &str,
    counted: (u64, u64),
    load: LoadOptions,
) -> anyhow::Result<f64> {
    let start = async |counts: CountsDir| {
        let command = counts.command(&run.options, &run.options.edge);
        let edge = Edge::start("edge-counted", &run.dir, &run.world, &run.certificate, command).await?;
        Ok(Counted { process: edge.process, load: LoadOptions { addr: edge.http, ..load.clone() } })
    };
    instructions::per_request(name, &run.options, counted, &run.dir, start).await
}
