//! Which api a command speaks to, and as whom: what is said on the command line or in the environment, else what
//! `loggia login` kept.

use anyhow::{Context, bail};
use loggia_client::ApiClient;

use crate::credentials::Credentials;

const API_URL: &str = "http://127.0.0.1:3000";

#[derive(Debug, clap::Args)]
pub(crate) struct Api {
    /// The api; what `loggia login` was told when absent, else http://127.0.0.1:3000.
    #[arg(long, env = "LOGGIA_API_URL", global = true)]
    api_url: Option<String>,
    /// A token; the one that `loggia login` got when absent.
    #[arg(long, env = "LOGGIA_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
}

impl Api {
    pub(crate) fn url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.api_url {
            return Ok(url.trim_end_matches('/').to_owned());
        }
        let kept = Credentials::load()?.last;
        Ok(kept.unwrap_or_else(|| API_URL.to_owned()))
    }

    pub(crate) fn client(&self) -> anyhow::Result<ApiClient> {
        let url = self.url()?;
        let token = match &self.token {
            Some(token) => token.clone(),
            None => {
                let kept = Credentials::load().context("reading who is signed in")?;
                let Some(token) = kept.token(&url) else {
                    bail!(NotSignedIn(url));
                };
                token.to_owned()
            }
        };
        Ok(ApiClient::new(&url, &token))
    }
}

/// Nobody said as whom.
#[derive(Debug, thiserror::Error)]
#[error("you are not signed in to {0}; run `loggia login`, or set LOGGIA_TOKEN")]
pub(crate) struct NotSignedIn(pub(crate) String);
