//! `loggia up`: everything in one process, on one machine.
//!
//! The parts are the same as in a fleet and meet over the same protocols; only Postgres and the object store
//! are private ones, unless `DATABASE_URL` and `LOGGIA_S3_ENDPOINT` name others.

mod postgres;
mod ready;
mod sample;
pub(crate) mod secrets;
mod settings;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use loggia_runtime::shutdown;
use loggia_storage::embedded::{EmbeddedS3, EmbeddedS3Config};
use loggia_types::BaseDomain;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use postgres::PrivatePostgres;
use secrets::Secrets;
use settings::Settings;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Where everything is kept.
    #[arg(long, env = "LOGGIA_DATA_DIR", default_value = "./loggia-data")]
    data_dir: PathBuf,
    /// Projects answer at {slug}.{base-domain}; browsers resolve *.localhost by themselves.
    #[arg(long, env = "LOGGIA_BASE_DOMAIN", default_value = "localhost")]
    base_domain: BaseDomain,
    /// Sites over HTTP.
    #[arg(long, default_value_t = 8080)]
    http_port: u16,
    /// Sites over HTTPS, with a self-signed certificate.
    #[arg(long, default_value_t = 8443)]
    https_port: u16,
    /// The api, on loopback.
    #[arg(long, default_value_t = 3000)]
    api_port: u16,
    /// A JSON object is written here once everything answers.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// A project's folder that is put into a local Git repository and pushed, on the first run.
    #[arg(long)]
    sample: Option<PathBuf>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    if let Some(file) = &options.ready_file {
        // A file of an earlier run must not look like this one's.
        let _ = std::fs::remove_file(file);
    }
    let data_dir = prepare_data_dir(&options.data_dir)?;
    let _lock = lock(&data_dir)?;
    let (secrets, is_new) = Secrets::load_or_create(&data_dir)?;

    let postgres = match std::env::var_os("DATABASE_URL") {
        Some(_) => None,
        None => Some(PrivatePostgres::start(&data_dir).await.context("starting the private Postgres")?),
    };
    let outcome = with_postgres(&options, &data_dir, &secrets, is_new, postgres.as_ref(), &stop).await;
    if let Some(file) = &options.ready_file {
        let _ = std::fs::remove_file(file);
    }
    if let Some(postgres) = postgres {
        postgres.stop().await.context("stopping the private Postgres")?;
    }
    outcome
}

async fn with_postgres(
    options: &Options,
    data_dir: &Path,
    secrets: &Secrets,
    is_new: bool,
    postgres: Option<&PrivatePostgres>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let store = match std::env::var_os("LOGGIA_S3_ENDPOINT") {
        Some(_) => None,
        None => Some(start_store(data_dir, secrets).await?),
    };
    let settings = Settings {
        options,
        data_dir,
        secrets,
        database_url: postgres.map(PrivatePostgres::url),
        store_url: store.as_ref().map(EmbeddedS3::endpoint_url),
    };
    let outcome = run_parts(options, data_dir, &settings, is_new, stop).await;
    if let Some(store) = store {
        store.shutdown().await;
    }
    outcome
}

/// Starts api, builder and edge, says when they answer, and waits for the end of one or of all.
async fn run_parts(
    options: &Options,
    data_dir: &Path,
    settings: &Settings<'_>,
    is_new: bool,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let sample = match &options.sample {
        Some(folder) => Some(sample::Sample::start(folder, data_dir, stop).await?),
        None => None,
    };
    let mut env = settings.environment(sample.as_ref().map(sample::Sample::authority))?;
    let api = loggia_api::Config::from_env(&mut env);
    let builder = loggia_builder::Config::from_env(&mut env);
    let proxy = loggia_proxy::Config::from_env(&mut env);
    env.finish()?;

    // Each part has its own token: the edge is the last to go, it serves while the others end.
    let mut parts = JoinSet::new();
    let (api_url, edge_url) = (settings.api_url(), settings.edge_url());
    parts.spawn(named("the api", loggia_api::run(api, stop.clone())));
    let readiness = format!("{api_url}/readyz");
    let started = tokio::select! {
        ready = ready::wait(&readiness) => ready,
        failed = first_end(&mut parts) => failed,
        () = stop.cancelled() => Ok(()),
    };
    if started.is_ok() && !stop.is_cancelled() {
        parts.spawn(build_if_possible(builder, stop.clone()));
        parts.spawn(named("the edge", loggia_proxy::run(proxy, stop.clone())));
    }
    let outcome = match started {
        Ok(()) => announce_and_wait(options, settings, sample, is_new, &edge_url, &mut parts, stop).await,
        failed => failed,
    };
    stop.cancel();
    while let Some(ended) = parts.join_next().await {
        ended.context("a part of loggia")??;
    }
    outcome
}

async fn announce_and_wait(
    options: &Options,
    settings: &Settings<'_>,
    sample: Option<sample::Sample>,
    is_new: bool,
    edge_url: &str,
    parts: &mut JoinSet<anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let health = format!("{edge_url}/.loggia/health");
    tokio::select! {
        ready = ready::wait(&health) => ready?,
        failed = first_end(parts) => return failed,
        () = stop.cancelled() => return Ok(()),
    }
    ready::announce(options, settings, is_new)?;
    if let Some(sample) = sample {
        let client = settings.api_client();
        tokio::spawn(sample.run(client, settings.api_url(), stop.clone()));
    }
    tokio::select! {
        ended = first_end(parts) => ended,
        () = stop.cancelled() => Ok(()),
    }
}

/// A part that ends before it was told to is a failure of the whole.
async fn first_end(parts: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    match parts.join_next().await {
        Some(ended) => ended.context("a part of loggia")?,
        None => bail!("nothing is running"),
    }
}

/// Sites are served and uploads taken also where nothing can be built.
async fn build_if_possible(config: loggia_builder::Config, stop: CancellationToken) -> anyhow::Result<()> {
    if let Err(error) = loggia_builder::run(config, stop.clone()).await {
        tracing::error!("Nothing is built here until this is mended and Loggia is started again: {error:#}");
        stop.cancelled().await;
    }
    Ok(())
}

async fn named(part: &'static str, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    work.await.with_context(|| format!("{part} failed"))
}

async fn start_store(data_dir: &Path, secrets: &Secrets) -> anyhow::Result<EmbeddedS3> {
    let root = data_dir.join("objects");
    std::fs::create_dir_all(&root).with_context(|| format!("creating {}", root.display()))?;
    let config = EmbeddedS3Config {
        root,
        listen: ([127, 0, 0, 1], 0).into(),
        access_key: secrets.s3_access_key.clone(),
        secret_key: secrets.s3_secret_key.clone(),
        buckets: vec![settings::BUCKET.to_owned()],
    };
    EmbeddedS3::start(config).await.context("starting the object store")
}

/// Others may pass through to what belongs to them (Postgres, builds), but not look around.
fn prepare_data_dir(dir: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(dir).with_context(|| format!("creating the data folder {}", dir.display()))?;
    let dir = dir.canonicalize()?;
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o711))?;
    Ok(dir)
}

fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let file = File::create(data_dir.join("lock")).context("creating the lock of the data folder")?;
    if file.try_lock().is_err() {
        bail!("another loggia uses {}; stop it, or choose another --data-dir", data_dir.display());
    }
    Ok(file)
}
