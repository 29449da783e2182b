//! The whole of it: the world, the edge, its peers, the rows, the table.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::time::{Instant, sleep};

use crate::contender::{Ask, Contender, Scheme};
use crate::edge::{Certificate, Edge};
use crate::machine::{LOGS, describe, first_line};
use crate::options::{Options, Scale};
use crate::peers::nginx::Nginx;
use crate::probe;
use crate::process::pinned;
use crate::report::{self, Report};
use crate::rows;
use crate::sites::{FILE, HOT, Sites};
use crate::tools;
use crate::world::World;

/// More than any buffer of a log waits.
const LOGGED_WITHIN: Duration = Duration::from_secs(10);

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What all rows have in common. The edge and nginx run all the time: one that nobody asks takes nothing.
#[derive(Debug)]
pub(crate) struct Run {
    pub options: Options,
    pub scale: Scale,
    pub dir: PathBuf,
    pub sites: Sites,
    pub certificate: Certificate,
    pub edge: Edge,
    pub nginx: Nginx,
    // Last, since the others need it until they have ended.
    pub world: World,
}

/// False: a goal was missed.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    let stop = loggia_runtime::shutdown::on_signal()?;
    tokio::select! {
        done = measure(options) => done,
        () = stop.cancelled() => bail!("interrupted"),
    }
}

async fn measure(options: Options) -> anyhow::Result<bool> {
    let groups = rows::Group::chosen(&options.only)?;
    let options = options.checked()?;
    check_tools()?;
    let mut folder = tempfile::Builder::new();
    let folder = folder.prefix("loggia-bench-");
    let folder = options.dir.as_ref().map_or_else(|| folder.tempdir(), |dir| folder.tempdir_in(dir))?;
    let mut report = Report { about: about(&options), ..Report::default() };
    {
        let mut run = Run::prepare(&options, folder.path()).await?;
        for group in groups {
            eprintln!("measuring: {group}");
            if let Err(error) = group.measure(&run, &mut report).await {
                // Half an hour of other rows is not thrown away for it.
                eprintln!("loggia-bench: measuring {group}: {error:#}");
                report.failed.push(group.to_string());
            }
            run.world.check()?;
            run.edge.process.check()?;
        }
    }
    write(&options, &report)?;
    Ok(report.is_good())
}

impl Run {
    async fn prepare(options: &Options, dir: &Path) -> anyhow::Result<Self> {
        let scale = Scale::of(options);
        let world = World::start(dir, options.load_core).await?;
        eprintln!("publishing");
        let sites = Sites::publish(dir, &world, options, &scale).await?;
        let certificate = certificate(dir)?;
        eprintln!("starting the edge and nginx");
        let command = pinned(options.server_core, &options.edge);
        let edge = Edge::start("edge", dir, &world, &certificate, command).await?;
        let on_core = |program: &Path| pinned(options.server_core, program);
        let nginx = Nginx::start("nginx", dir, &world, &sites, &certificate, on_core).await?;
        let (options, dir) = (options.clone(), dir.to_owned());
        let run = Self { options, scale, dir, sites, certificate, edge, nginx, world };
        run.check_log().await?;
        Ok(run)
    }

    /// An edge without its log would be another one.
    async fn check_log(&self) -> anyhow::Result<()> {
        let ask = Ask::new(HOT, FILE);
        probe::ask(&self.ours([ask.clone()]), &ask).await?;
        let log = self.dir.join(LOGS[0]);
        let deadline = Instant::now() + LOGGED_WITHIN;
        while std::fs::metadata(&log).map_or(0, |log| log.len()) == 0 {
            ensure!(Instant::now() < deadline, "the edge does not log requests");
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    pub(crate) fn ours(&self, asks: impl IntoIterator<Item = Ask>) -> Contender<'_> {
        Contender {
            name: "Loggia".to_owned(),
            scheme: Scheme::Http,
            addr: self.edge.http,
            asks: asks.into_iter().collect(),
            process: &self.edge.process,
        }
    }

    pub(crate) fn nginx(
        &self,
        name: &str,
        addr: SocketAddr,
        asks: impl IntoIterator<Item = Ask>,
    ) -> Contender<'_> {
        Contender {
            name: name.to_owned(),
            scheme: Scheme::Http,
            addr,
            asks: asks.into_iter().collect(),
            process: &self.nginx.process,
        }
    }
}

fn check_tools() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        ["taskset", "wrk", "h2load", "nginx"].into_iter().filter(|program| !tools::has(program)).collect();
    match missing[..] {
        [] => Ok(()),
        _ => bail!("missing: {}; scripts/setup.sh --bench installs them", missing.join(", ")),
    }
}

/// One key for all. ECDSA on P-256, as certificates of today are.
pub(crate) fn certificate(dir: &Path) -> anyhow::Result<Certificate> {
    let names = vec!["localhost".to_owned(), "*.localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    let (cert, key) = (dir.join("bench.crt"), dir.join("bench.key"));
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    Ok(Certificate { cert, key })
}

fn about(options: &Options) -> Vec<String> {
    let edge = first_line(&options.edge.display().to_string(), &["--version"]);
    let version = |program: &str, args: &[&str]| {
        let found = tools::find(program).map(|path| first_line(&path.display().to_string(), args));
        found.unwrap_or_else(|| format!("no {program}"))
    };
    let peers = [
        version("nginx", &["-v"]),
        version("varnishd", &["-V"]),
        version("static-web-server", &["--version"]).replace("Version:", "static-web-server"),
        format!("caddy {}", version("caddy", &["version"])),
    ];
    let generators = [
        version("wrk", &["-v"]).split(" [").next().unwrap_or_default().to_owned(),
        version("h2load", &["--version"]),
        version("valgrind", &["--version"]),
    ];
    let quick = if options.quick { " --quick" } else { "" };
    vec![
        format!(
            "`loggia-bench run --rounds {} --seconds {} --connections {} --server-core {} --load-core {}{quick}`",
            options.rounds, options.seconds, options.connections, options.server_core, options.load_core
        ),
        describe(),
        format!("{edge} beside {}", peers.join(", ")),
        format!("asked by {}", generators.join(", ")),
    ]
}

fn write(options: &Options, report: &Report) -> anyhow::Result<()> {
    let text = report.markdown();
    println!("{text}");
    if let Some(out) = &options.out {
        std::fs::write(out, &text).with_context(|| format!("writing {}", out.display()))?;
    }
    options.paste.as_deref().map_or(Ok(()), |document| report::paste(document, report::EDGE, &text))
}
