//! What the api has to be told.

mod cdn;
pub(crate) mod mail;
mod people;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use loggia_runtime::{AdminListen, Env, Secret, TrustedHops};
use loggia_storage::StoreConfig;
use loggia_types::build::BuildLimits;
use loggia_types::{BaseDomain, Hostname};

use crate::rates::RateConfig;
use crate::vault::KeyRing;

pub use cdn::{CdnConfig, CloudflareConfig, FastlyConfig, PathWord, ServiceUrl, VarnishConfig};
pub use people::{InvalidSignUpMode, SignUpMode};

pub use mail::{InvalidMailWay, MailConfig, MailWay};

#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    /// Where people and forges reach this api, without a trailing slash.
    pub public_url: String,
    pub database: tokio_postgres::Config,
    pub database_connections: usize,
    pub base_domain: BaseDomain,
    /// How visitors reach the edge.
    pub edge_url: PublicUrl,
    pub store: StoreConfig,
    /// Uploads are checked here before they go to the store.
    pub temp_dir: PathBuf,
    /// `None`: the system's resolvers.
    pub dns_resolver: Option<SocketAddr>,
    /// What the CNAME records of domains have to say. `None`: each project's own name.
    pub edge_cname: Option<Hostname>,
    /// What their A and AAAA records have to say. Empty: the addresses that the name of the CNAME has.
    pub edge_addresses: Vec<IpAddr>,
    pub build_lease: Duration,
    pub build_limits: BuildLimits,
    pub builder_token: Secret,
    pub edge_token: Secret,
    /// Made valid at start, so that an installation can be set up without a person.
    pub admin_token: Option<Secret>,
    pub cdn: CdnConfig,
    /// Metrics, for operators: it asks nobody who they are.
    pub admin_listen: AdminListen,
    /// Proxies in front of this api, whose `X-Forwarded-For` is believed.
    pub trusted_hops: TrustedHops,
    pub rates: RateConfig,
    pub mail: MailConfig,
    /// Seals what is secret in the database.
    pub secrets: KeyRing,
    /// Makes the first person, once.
    pub setup_token: Option<Secret>,
    pub sign_up: SignUpMode,
}

/// Scheme and port of the edge; the hostname in between is the project's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    scheme: String,
    /// With its colon, or empty.
    port: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a public URL is http or https, a name, and perhaps a port, without a path")]
pub struct InvalidPublicUrl;

impl PublicUrl {
    pub fn of(&self, hostname: &Hostname) -> String {
        format!("{}://{hostname}{}", self.scheme, self.port)
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;
    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let url = url::Url::parse(text).map_err(|_| InvalidPublicUrl)?;
        let plain = matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none();
        if !plain {
            return Err(InvalidPublicUrl);
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self { scheme: url.scheme().to_owned(), port })
    }
}

/// Addresses with commas between them.
struct Addresses(Vec<IpAddr>);

impl FromStr for Addresses {
    type Err = std::net::AddrParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(|address| address.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl Config {
    /// Whether a browser's `Origin` is the dashboard's, which this api serves.
    pub(crate) fn is_own_origin(&self, origin: &str) -> bool {
        let own = url::Url::parse(&self.public_url).map(|url| url.origin().ascii_serialization());
        own.is_ok_and(|own| own == origin)
    }

    /// Reads the environment; mistakes are collected in `env`.
    pub fn from_env(env: &mut Env) -> Self {
        Self {
            listen: env.parsed("LOGGIA_API_LISTEN", "127.0.0.1:3000"),
            public_url: trimmed(&env.parsed::<String>("LOGGIA_API_PUBLIC_URL", "http://localhost:3000")),
            database: env.required("DATABASE_URL", "postgres://loggia:secret@db.internal/loggia"),
            database_connections: env.parsed("LOGGIA_DATABASE_CONNECTIONS", "16"),
            base_domain: env.parsed("LOGGIA_BASE_DOMAIN", "localhost"),
            edge_url: env.parsed("LOGGIA_EDGE_PUBLIC_URL", "http://localhost:8080"),
            store: StoreConfig {
                endpoint_url: env.optional("LOGGIA_S3_ENDPOINT", "http://127.0.0.1:9000"),
                region: env.parsed("LOGGIA_S3_REGION", "us-east-1"),
                bucket: env.parsed("LOGGIA_S3_BUCKET", "loggia"),
                access_key: env.required("LOGGIA_S3_ACCESS_KEY", "loggia"),
                secret_key: env
                    .secret("LOGGIA_S3_SECRET_KEY", "the secret key of the bucket")
                    .reveal()
                    .to_owned(),
            },
            temp_dir: env.parsed("LOGGIA_API_TEMP_DIR", "/tmp"),
            dns_resolver: env.optional("LOGGIA_DNS_RESOLVER", "127.0.0.1:53"),
            edge_cname: env.optional("LOGGIA_EDGE_CNAME", "edge.example.net"),
            edge_addresses: env
                .optional::<Addresses>("LOGGIA_EDGE_ADDRESSES", "192.0.2.1,2001:db8::1")
                .map(|addresses| addresses.0)
                .unwrap_or_default(),
            build_lease: Duration::from_secs(env.parsed("LOGGIA_BUILD_LEASE_SECS", "30")),
            build_limits: build_limits(env),
            builder_token: token(env, "LOGGIA_BUILDER_TOKEN", "the secret that builders show"),
            edge_token: token(env, "LOGGIA_EDGE_TOKEN", "the secret that edges show"),
            admin_token: env
                .optional::<String>("LOGGIA_ADMIN_TOKEN", "a secret of at least 32 characters")
                .map(Secret::new),
            cdn: CdnConfig::from_env(env),
            mail: MailConfig::from_env(env),
            secrets: people::secrets(env),
            setup_token: env
                .optional::<String>("LOGGIA_SETUP_TOKEN", "a secret of at least 32 characters")
                .map(Secret::new),
            sign_up: env.parsed("LOGGIA_SIGN_UP", "invite"),
            admin_listen: env.parsed("LOGGIA_API_ADMIN_LISTEN", "127.0.0.1:3080"),
            trusted_hops: env.optional("LOGGIA_API_TRUSTED_HOPS", "10.0.0.0/8,fd00::/8").unwrap_or_default(),
            rates: RateConfig {
                account: env.parsed("LOGGIA_API_RATE_PER_ACCOUNT", "3000/600"),
                address: env.parsed("LOGGIA_API_RATE_PER_ADDRESS", "300/100"),
                webhooks: env.parsed("LOGGIA_API_RATE_OF_WEBHOOKS", "6000/1000"),
            },
        }
    }
}

/// Limits of one build, for every project.
fn build_limits(env: &mut Env) -> BuildLimits {
    let memory_mb: u64 = env.parsed("LOGGIA_BUILD_MEMORY_MB", "2048");
    BuildLimits {
        memory_bytes: memory_mb.saturating_mul(1024 * 1024),
        cpu_millis: env.parsed("LOGGIA_BUILD_CPU_MILLIS", "2000"),
        processes: env.parsed("LOGGIA_BUILD_PROCESSES", "512"),
        total_secs: env.parsed("LOGGIA_BUILD_TIMEOUT_SECS", "1200"),
    }
}

fn trimmed(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

/// Shorter secrets can be guessed over the network.
const TOKEN_LEN_MIN: usize = 32;

fn token(env: &mut Env, name: &str, what: &str) -> Secret {
    let secret = env.secret(name, what);
    if !secret.reveal().is_empty() && secret.reveal().len() < TOKEN_LEN_MIN {
        env.mistake(format!(
            "{name} has fewer than {TOKEN_LEN_MIN} characters (make one: openssl rand -hex 32)"
        ));
    }
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_with_commas_between_them() {
        let of = |text: &str| text.parse::<Addresses>().map(|addresses| addresses.0.len()).ok();
        let cases = [
            ("192.0.2.1", Some(1)),
            ("192.0.2.1, 2001:db8::1", Some(2)),
            ("192.0.2.1,", None),
            ("edge", None),
        ];
        for (text, expected) in cases {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn the_edges_url_keeps_scheme_and_port_only() {
        let hostname: Hostname = "shop.localhost".parse().expect("valid");
        let of = |text: &str| text.parse::<PublicUrl>().map(|url| url.of(&hostname));
        assert_eq!(of("http://localhost:8080").as_deref(), Ok("http://shop.localhost:8080"));
        assert_eq!(of("https://pages.example.com").as_deref(), Ok("https://shop.localhost"));
        for bad in ["localhost:8080", "ftp://x", "http://x/path", "http://x?y"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
