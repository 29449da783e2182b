//! Runs the embedded S3 server on a directory until it is killed: `embedded_s3 DIR`.
//!
//! Prints the endpoint as its only line. The durability test kills it; it is also handy for trying other S3
//! clients on a directory (access key `test`, secret key `test-secret`, bucket `bucket`).
#![allow(clippy::print_stdout, reason = "the endpoint is what this program has to say")]

use std::path::PathBuf;

use anyhow::Context as _;
use loggia_storage::embedded::{EmbeddedS3, EmbeddedS3Config};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let root = std::env::args_os().nth(1).context("usage: embedded_s3 DIR")?;
    let server = EmbeddedS3::start(EmbeddedS3Config {
        root: PathBuf::from(root),
        listen: ([127, 0, 0, 1], 0).into(),
        access_key: "test".to_owned(),
        secret_key: "test-secret".to_owned(),
        buckets: vec!["bucket".to_owned()],
    })
    .await?;
    println!("{}", server.endpoint_url());
    tokio::signal::ctrl_c().await?;
    server.shutdown().await;
    Ok(())
}
