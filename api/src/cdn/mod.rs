//! CDNs in front of the edges: told to forget what a promote, a domain change or a purge made stale.
//!
//! There is no queue of its own: every hook follows the events of the database from the position up to which it was
//! told ([`follower`]). So what was acknowledged is told after any crash, nothing that people do ever waits for a CDN,
//! and one that was away catches up. docs/decisions/0010 says which keys are purged when, and why everything is told
//! twice.

mod batch;
mod cloudflare;
mod fastly;
mod follower;
mod varnish;

use std::time::Duration;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use self::batch::{Batch, Items};
use self::cloudflare::Cloudflare;
use self::fastly::Fastly;
use self::follower::Follower;
use self::varnish::Varnish;
use crate::app::App;
use crate::config::Config;
use crate::db::cdn_hooks::Pass;

type Request = http::Request<String>;

/// Fastly's and Cloudflare's control planes answer within one second when they are well.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One CDN.
#[derive(Debug, Clone)]
pub(crate) enum Hook {
    Fastly(Fastly),
    Cloudflare(Cloudflare),
    Varnish(Varnish),
}

impl Hook {
    pub(crate) fn all(config: &Config) -> Vec<Self> {
        let cdn = &config.cdn;
        let varnishes = cdn.varnish.iter().flat_map(Varnish::all).map(Self::Varnish);
        let fastly = cdn.fastly.clone().map(|fastly| Self::Fastly(Fastly(fastly)));
        let cloudflare = cdn.cloudflare.clone().map(|config_of| {
            Self::Cloudflare(Cloudflare { config: config_of, edge_url: config.edge_url.clone() })
        });
        fastly.into_iter().chain(cloudflare).chain(varnishes).collect()
    }

    /// Its name in the database: another address is another cache.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Fastly(_) => "fastly".to_owned(),
            Self::Cloudflare(_) => "cloudflare".to_owned(),
            Self::Varnish(varnish) => format!("varnish {}", varnish.url.as_str()),
        }
    }

    /// The calls that make it forget, each of which may be repeated.
    fn requests(&self, batch: &Batch) -> Vec<Request> {
        let of = |items: &Items, soft: bool| match self {
            Self::Fastly(fastly) => fastly.requests(items, soft),
            Self::Cloudflare(cloudflare) => cloudflare.requests(items),
            Self::Varnish(varnish) => varnish.requests(items, soft),
        };
        [of(&batch.hard, false), of(&batch.soft, true)].concat()
    }
}

/// Follows the events for every hook until `shutdown`.
pub(crate) async fn run(app: App, shutdown: CancellationToken) {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .user_agent(concat!("loggia/", env!("CARGO_PKG_VERSION")))
        // Following one would carry the token elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client without custom certificates always builds");
    let hooks = Hook::all(&app.config);
    let followers = hooks.into_iter().flat_map(|hook| Pass::ALL.map(|pass| (hook.clone(), pass)));
    join_all(
        followers
            .map(|(hook, pass)| Follower::new(app.clone(), client.clone(), hook, pass).run(shutdown.clone())),
    )
    .await;
}
