//! `loggia health URL`: one request, one exit code.

use std::time::Duration;

use anyhow::{Context, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// For example http://127.0.0.1:3000/readyz
    url: String,
}

const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let url = &options.url;
    let response = client.get(url).send().await.with_context(|| format!("{url} does not answer"))?;
    if !response.status().is_success() {
        bail!("{url} answers {}", response.status());
    }
    Ok(())
}
