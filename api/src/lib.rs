//! The control plane: projects, deployments, webhooks, domains, and what builders and edges ask.
//!
//! [`routes`] is the URL table; a handler parses, calls [`ops`] for what takes more than one statement, and
//! [`db`] for the rest. Edges keep serving when all of this is down.

mod access;
mod app;
mod attempts;
mod audit;
mod cdn;
mod config;
mod db;
mod dns;
mod domains;
mod error;
mod extract;
mod idempotency;
mod mail;
mod metrics;
mod migrate;
mod names;
mod notify;
mod observe;
mod ops;
mod passwords;
mod rates;
mod routes;
mod table;
#[cfg(test)]
#[path = "../tests/routes/database.rs"]
mod test_database;
mod upkeep;
mod variables;
mod vault;
mod views;

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use loggia_runtime::AdminListen;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{
    CdnConfig, CloudflareConfig, Config, FastlyConfig, InvalidMailWay, InvalidSignUpMode, MailConfig,
    MailWay, PathWord, PublicUrl, ServiceUrl, SignUpMode, VarnishConfig,
};
pub use migrate::run as migrate;
pub use rates::{InvalidRate, Rate, RateConfig};
pub use vault::{InvalidKeyRing, KeyRing};

/// Serves until `shutdown`, then lets running requests end.
///
/// Returns early with an error when the port is taken, Postgres cannot be reached or a migration fails.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
    run_on(listener, config, shutdown).await
}

/// As [`run`], on a listener that is bound already.
pub async fn run_on(
    listener: TcpListener,
    config: Config,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    migrate::run(&config.database).await.context("bringing the database up to date")?;
    let app = app::App::new(config, shutdown.clone()).await?;
    let listen = listener.local_addr()?;
    if let AdminListen::On(address) = app.config.admin_listen {
        let listener = TcpListener::bind(address).await.context("LOGGIA_API_ADMIN_LISTEN")?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "The api's metrics are at http://{address}/metrics");
        tokio::spawn(metrics::serve(listener, app.clone(), shutdown.clone()));
    }
    let background = [
        tokio::spawn(notify::listen(app.clone(), shutdown.clone())),
        tokio::spawn(upkeep::run(app.clone(), shutdown.clone())),
        tokio::spawn(mail::outbox::run(app.clone(), shutdown.clone())),
        tokio::spawn(cdn::run(app.clone(), shutdown.clone())),
        tokio::spawn(domains::recheck::run(app.clone(), shutdown.clone())),
    ];
    tracing::info!(%listen, "The api listens on {listen}");
    let router = routes::router(app);
    let stopped = shutdown.clone();
    let serving = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { stopped.cancelled().await });
    tokio::select! {
        served = serving.into_future() => served.context("serving the api")?,
        () = overdue(&shutdown) => tracing::warn!("Requests were cut that did not end in time"),
    }
    for task in background {
        task.await.context("a background task of the api")?;
    }
    Ok(())
}

/// Requests that are under way when the process is told to stop have so long: an upload of a large file takes longer, and
/// goes on where it was at the next api.
const GRACE: Duration = Duration::from_secs(25);

async fn overdue(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

#[cfg(test)]
async fn migrate_for_tests(config: &tokio_postgres::Config) {
    migrate::run(config).await.expect("the migrations run");
}
