//! The process itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use loggia_storage::embedded::{EmbeddedS3, EmbeddedS3Config};
use tokio::net::TcpListener;

use super::{ACCESS_KEY, BUCKET, SECRET_KEY, api};

#[derive(Debug, clap::Args)]
pub(crate) struct WorldOptions {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    s3: SocketAddr,
    #[arg(long)]
    api: SocketAddr,
}

/// Until it is told to end.
pub(crate) async fn run(options: WorldOptions) -> anyhow::Result<()> {
    let stop = loggia_runtime::shutdown::on_signal()?;
    // nginx and Varnish cannot sign: they get the bucket as a public one, the edge signs all the same.
    let s3 = EmbeddedS3::start_with_public_reads(EmbeddedS3Config {
        root: options.dir,
        listen: options.s3,
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        buckets: vec![BUCKET.to_owned()],
    })
    .await?;
    let listener = TcpListener::bind(options.api).await?;
    tokio::select! {
        served = async { axum::serve(listener, api::router()).await } => served?,
        () = stop.cancelled() => {}
    }
    s3.shutdown().await;
    Ok(())
}
