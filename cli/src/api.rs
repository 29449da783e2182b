//! Which api a command speaks to, and as whom.

use loggia_client::ApiClient;

#[derive(Debug, clap::Args)]
pub(crate) struct Api {
    #[arg(long, env = "LOGGIA_API_URL", default_value = "http://127.0.0.1:3000")]
    api_url: String,
    #[arg(long, env = "LOGGIA_TOKEN", hide_env_values = true)]
    token: String,
}

impl Api {
    pub(crate) fn client(&self) -> ApiClient {
        ApiClient::new(&self.api_url, &self.token)
    }
}
