//! What an edge needs to know, from the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use loggia_runtime::{Env, Secret};
use loggia_storage::StoreConfig;
use loggia_types::BaseDomain;

#[derive(Debug, Clone)]
pub struct Config {
    pub http_listen: SocketAddr,
    pub https: Option<HttpsConfig>,
    /// Where the api answers, e.g. `http://127.0.0.1:3000`.
    pub api_url: String,
    pub token: Secret,
    /// For the texts of error pages only; the api knows which hostname is whose.
    pub base_domain: BaseDomain,
    pub store: StoreConfig,
    /// Holds the routes, so that a restart without the api still knows every hostname.
    pub state_dir: PathBuf,
    /// Worker threads; 0 means one per core.
    pub threads: usize,
}

#[derive(Debug, Clone)]
pub struct HttpsConfig {
    pub listen: SocketAddr,
    /// PEM, the server's certificate first.
    pub cert: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl Config {
    /// Mistakes are collected in `env`; [`Env::finish`] reports them together.
    pub fn from_env(env: &mut Env) -> Self {
        Self {
            http_listen: env.parsed("LOGGIA_PROXY_LISTEN", "0.0.0.0:8080"),
            https: https_from_env(env),
            api_url: env.required("LOGGIA_API_URL", "http://127.0.0.1:3000"),
            token: env.secret("LOGGIA_EDGE_TOKEN", "the secret that edges share with the api"),
            base_domain: env.parsed("LOGGIA_BASE_DOMAIN", "localhost"),
            store: store_from_env(env),
            state_dir: env.parsed("LOGGIA_PROXY_STATE_DIR", "/var/lib/loggia/proxy"),
            threads: env.parsed("LOGGIA_PROXY_THREADS", "0"),
        }
    }
}

fn https_from_env(env: &mut Env) -> Option<HttpsConfig> {
    let listen = env.optional("LOGGIA_PROXY_TLS_LISTEN", "0.0.0.0:8443");
    let cert = env.optional("LOGGIA_PROXY_TLS_CERT", "/etc/loggia/tls.crt");
    let key = env.optional("LOGGIA_PROXY_TLS_KEY", "/etc/loggia/tls.key");
    match (listen, cert, key) {
        (None, None, None) => None,
        (Some(listen), Some(cert), Some(key)) => Some(HttpsConfig { listen, cert, key }),
        _ => {
            env.mistake(
                "LOGGIA_PROXY_TLS_LISTEN, LOGGIA_PROXY_TLS_CERT and LOGGIA_PROXY_TLS_KEY belong together: \
                 set all of them or none"
                    .to_owned(),
            );
            None
        }
    }
}

fn store_from_env(env: &mut Env) -> StoreConfig {
    StoreConfig {
        endpoint_url: env.optional("LOGGIA_S3_ENDPOINT", "http://127.0.0.1:9000"),
        region: env.parsed("LOGGIA_S3_REGION", "us-east-1"),
        bucket: env.parsed("LOGGIA_S3_BUCKET", "loggia"),
        access_key: env.required("LOGGIA_S3_ACCESS_KEY", "loggia"),
        secret_key: env.secret("LOGGIA_S3_SECRET_KEY", "the secret key of the bucket").reveal().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(values: &[(&str, &str)]) -> Env {
        let required = [
            ("LOGGIA_API_URL", "http://api:3000"),
            ("LOGGIA_EDGE_TOKEN", "edge-secret"),
            ("LOGGIA_S3_ACCESS_KEY", "key"),
            ("LOGGIA_S3_SECRET_KEY", "s3-secret"),
        ];
        Env::from_values(
            required.iter().chain(values).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn defaults_fill_what_is_not_set_and_secrets_are_not_printed() {
        let mut env = env(&[]);
        let config = Config::from_env(&mut env);
        env.finish().expect("complete");
        assert_eq!(config.http_listen.to_string(), "0.0.0.0:8080");
        assert!(config.https.is_none());
        let printed = format!("{config:?}");
        assert!(!printed.contains("edge-secret") && !printed.contains("s3-secret"), "{printed}");
    }

    #[test]
    fn tls_settings_belong_together() {
        let mut incomplete = env(&[("LOGGIA_PROXY_TLS_LISTEN", "0.0.0.0:8443")]);
        Config::from_env(&mut incomplete);
        let message = incomplete.finish().expect_err("a certificate is missing").to_string();
        assert!(message.contains("LOGGIA_PROXY_TLS_CERT"), "{message}");
    }
}
