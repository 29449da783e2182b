//! `loggia dev DIR`: a folder, served as the edge would serve a deployment of it.
//!
//! Answers come from the engine; here are only the sockets and the bytes of files. What protects an edge from
//! strangers (limits of connections, strict reading of heads) is not here: it listens on loopback unless told
//! otherwise, and trusts who asks.

mod body;
mod listen;
mod report;
mod request;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use loggia_publish::Effort;
use loggia_runtime::shutdown;
use loggia_types::CountryCode;
use loggia_types::build::Environment;

use self::report::Report;
use crate::local_site::LocalSite;

/// Serve a folder on this machine exactly as the edge would.
///
/// Redirects, headers, HTML handling, 404 pages, ranges and compressed answers are the same, because the same code
/// makes them. Files are read again when they change. Requests count as https ones, as in production, unless
/// X-Forwarded-Proto says http; CF-IPCountry says where a visitor is.
///
/// Different from a deployment: nothing is known of earlier ones (no files of theirs), Last-Modified is the time of
/// the newest file, and compressed answers are a little larger, since they are made while you wait.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    loggia dev dist\n  \
    loggia dev dist --port 3001 --preview\n  \
    loggia dev dist --country DE")]
pub(crate) struct Options {
    /// The folder with the built site.
    dir: PathBuf,
    /// 0 takes any free port.
    #[arg(long, default_value_t = 8888)]
    port: u16,
    /// The address to listen on; 0.0.0.0 lets the whole network in.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Answer as a preview does: with X-Robots-Tag: noindex, and X-Loggia-Rule naming the rule that fired.
    #[arg(long)]
    preview: bool,
    /// Where visitors are whose requests do not say it (CF-IPCountry): two letters, for rules with Country=.
    #[arg(long, value_name = "CC")]
    country: Option<CountryCode>,
    /// The project's folder above it, where a build also looks for loggia.toml, netlify.toml and wrangler's files.
    #[arg(long, value_name = "DIR")]
    project_root: Option<PathBuf>,
}

/// What every connection needs.
#[derive(Debug)]
struct Server {
    site: LocalSite,
    environment: Environment,
    country: Option<CountryCode>,
    report: Report,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let above = options.project_root.into_iter().collect();
    // Found out before a port is taken.
    let site = LocalSite::open(&options.dir, above, Effort::Quick).await?;
    if site.file_count() == 0 {
        bail!("{} has no files; was the site built?", options.dir.display());
    }
    let listener = listen::bind(SocketAddr::new(options.listen, options.port)).await?;
    let server = Server {
        report: Report::default(),
        environment: if options.preview { Environment::Preview } else { Environment::Production },
        country: options.country,
        site,
    };
    server.report.problems(&server.site.problems());
    println!(
        "Serving {} ({} files) at http://{}\nCtrl-C ends it.",
        options.dir.display(),
        server.site.file_count(),
        listen::shown(listener.local_addr()?)
    );
    listen::serve(listener, Arc::new(server), stop).await;
    Ok(())
}
