//! What an edge needs to know, from the environment.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderName;
use loggia_runtime::{Env, Secret};
use loggia_storage::StoreConfig;
use loggia_types::BaseDomain;

use crate::access_log::AccessLogConfig;
use loggia_runtime::{AdminListen, TrustedHops};

#[derive(Debug, Clone)]
pub struct Config {
    pub http_listen: SocketAddr,
    pub https: Option<HttpsConfig>,
    /// Metrics and health, for operators.
    pub admin_listen: AdminListen,
    pub access_log: AccessLogConfig,
    /// Where the api answers, e.g. `http://127.0.0.1:3000`.
    pub api_url: String,
    pub token: Secret,
    /// For the texts of error pages only; the api knows which hostname is whose.
    pub base_domain: BaseDomain,
    pub store: StoreConfig,
    /// Holds what a restart without the api and the store has to know: routes, manifests, and files if they are to be.
    pub state_dir: PathBuf,
    /// Worker threads; 0 means one per core.
    pub threads: usize,
    /// How long downloads may go on after another process has taken over.
    pub handover_drain: Duration,
    pub protection: Protection,
    pub cache: CacheConfig,
    pub cdn: CdnConfig,
}

/// What an edge keeps of the store.
#[derive(Debug, Clone, Copy)]
pub struct CacheConfig {
    /// For all files together, in memory.
    pub memory_bytes: u64,
    /// Larger files are streamed past the cache, and so is what needs more than a quarter of it.
    pub object_bytes_max: u64,
    /// For files in the state folder, where they survive a restart; 0 is off.
    pub disk_bytes: u64,
    /// For manifests in the state folder; 0 is off.
    pub manifests_disk_bytes: u64,
}

/// Who is in front of the edge, and what it calls itself there.
#[derive(Debug, Clone)]
pub struct CdnConfig {
    /// In `X-Served-By` and `Cache-Status`.
    pub name: EdgeName,
    /// Addresses of CDNs: they get `Surrogate-Key`, `Surrogate-Control` and `CDN-Cache-Control`.
    pub addresses: TrustedHops,
    /// Whoever sends it as `Fastly-Debug` sees these headers too.
    pub debug_secret: Option<Secret>,
}

/// What an edge is called where visitors can see it: a token (RFC 9110 §5.6.2) of letters, digits, `-`, `.` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeName(Box<str>);

impl FromStr for EdgeName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let begins_right = text.starts_with(|first: char| first.is_ascii_alphabetic());
        if begins_right && text.len() <= 63 && text.bytes().all(is_plain) {
            Ok(Self(text.into()))
        } else {
            Err("not a name of a letter and up to 62 letters, digits, -, . and _")
        }
    }
}

impl std::fmt::Display for EdgeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number of bytes, written `1048576`, `512KiB`, `256MiB` or `4GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
        let (number, shift) = units
            .into_iter()
            .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?.trim_end(), shift)))
            .unwrap_or((text, 0));
        let number: u64 = number.parse().map_err(|_| "not a number of bytes like 256MiB")?;
        number.checked_mul(1 << shift).map(Self).ok_or("more bytes than there can be")
    }
}

/// What clients may do to an edge.
#[derive(Debug, Clone)]
pub struct Protection {
    /// Proxies whose `X-Forwarded-*` are believed.
    pub trusted_hops: TrustedHops,
    /// In which they name the visitor's country.
    pub country_header: Option<HeaderName>,
    /// Open connections in all.
    pub connections: usize,
    /// Open connections from one address, or one /64 of IPv6. Not from trusted hops. `None`: the usual number, and any
    /// from this machine itself, where what connects often stands for many visitors.
    pub connections_per_address: Option<usize>,
    /// Requests from one address in a second; 0 means any number.
    pub requests_per_second: u32,
    /// For a whole head, and for the first byte of a connection.
    pub head_timeout: Duration,
    /// For the first byte of a further request.
    pub keep_alive_timeout: Duration,
    /// For a whole body.
    pub body_timeout: Duration,
    /// A client that takes nothing for so long is cut.
    pub send_stall: Duration,
    /// And one that takes less than this.
    pub send_bytes_per_second: u64,
}

#[derive(Debug, Clone)]
pub struct HttpsConfig {
    pub listen: SocketAddr,
    /// Shown to clients that ask for a name of which `dir` has none, or for none at all.
    pub default: Option<CertificateFiles>,
    /// Certificates that are chosen by name.
    pub dir: Option<PathBuf>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateFiles {
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
            admin_listen: env.parsed("LOGGIA_PROXY_ADMIN_LISTEN", "127.0.0.1:9080"),
            access_log: AccessLogConfig {
                target: env.parsed("LOGGIA_PROXY_ACCESS_LOG", "off"),
                sample: env.parsed("LOGGIA_PROXY_ACCESS_LOG_SAMPLE", "1"),
            },
            api_url: env.required("LOGGIA_API_URL", "http://127.0.0.1:3000"),
            token: env.secret("LOGGIA_EDGE_TOKEN", "the secret that edges share with the api"),
            base_domain: env.parsed("LOGGIA_BASE_DOMAIN", "localhost"),
            store: store_from_env(env),
            state_dir: env.parsed("LOGGIA_PROXY_STATE_DIR", "/var/lib/loggia/proxy"),
            threads: env.parsed("LOGGIA_PROXY_THREADS", "0"),
            handover_drain: secs(env, "LOGGIA_PROXY_RELOAD_DRAIN_SECS", "3600"),
            protection: Protection::from_env(env),
            cache: CacheConfig::from_env(env),
            cdn: CdnConfig::from_env(env),
        }
    }
}

impl CacheConfig {
    fn from_env(env: &mut Env) -> Self {
        Self {
            memory_bytes: env.parsed::<ByteSize>("LOGGIA_PROXY_CACHE_BYTES", "256MiB").0,
            object_bytes_max: env.parsed::<ByteSize>("LOGGIA_PROXY_CACHE_OBJECT_BYTES", "16MiB").0,
            disk_bytes: env.parsed::<ByteSize>("LOGGIA_PROXY_CACHE_DISK_BYTES", "0").0,
            manifests_disk_bytes: env.parsed::<ByteSize>("LOGGIA_PROXY_MANIFESTS_DISK_BYTES", "512MiB").0,
        }
    }
}

impl Default for CacheConfig {
    /// That of an empty environment.
    fn default() -> Self {
        Self::from_env(&mut Env::from_values([]))
    }
}

impl CdnConfig {
    fn from_env(env: &mut Env) -> Self {
        Self {
            name: env.parsed("LOGGIA_PROXY_NAME", "edge"),
            addresses: env.optional("LOGGIA_PROXY_CDN_ADDRESSES", "199.232.0.0/16").unwrap_or_default(),
            debug_secret: env
                .optional::<String>("LOGGIA_PROXY_DEBUG_SECRET", "a long random text")
                .map(Secret::new),
        }
    }
}

impl Default for CdnConfig {
    /// That of an empty environment.
    fn default() -> Self {
        Self::from_env(&mut Env::from_values([]))
    }
}

impl Default for Protection {
    /// That of an empty environment.
    fn default() -> Self {
        Self::from_env(&mut Env::from_values([]))
    }
}

impl Protection {
    fn from_env(env: &mut Env) -> Self {
        Self {
            trusted_hops: env
                .optional("LOGGIA_PROXY_TRUSTED_HOPS", "10.0.0.0/8,fd00::/8")
                .unwrap_or_default(),
            country_header: env.optional("LOGGIA_PROXY_COUNTRY_HEADER", "CF-IPCountry"),
            connections: at_least_one(env, "LOGGIA_PROXY_CONNECTIONS", "20000"),
            connections_per_address: env
                .optional::<NonZeroUsize>("LOGGIA_PROXY_CONNECTIONS_PER_ADDRESS", "1024")
                .map(NonZeroUsize::get),
            requests_per_second: env.parsed("LOGGIA_PROXY_REQUESTS_PER_SECOND", "0"),
            head_timeout: secs(env, "LOGGIA_PROXY_HEAD_TIMEOUT_SECS", "10"),
            keep_alive_timeout: secs(env, "LOGGIA_PROXY_KEEP_ALIVE_SECS", "60"),
            body_timeout: secs(env, "LOGGIA_PROXY_BODY_TIMEOUT_SECS", "10"),
            send_stall: secs(env, "LOGGIA_PROXY_SEND_STALL_SECS", "30"),
            send_bytes_per_second: env.parsed("LOGGIA_PROXY_SEND_BYTES_PER_SECOND", "1024"),
        }
    }
}

fn at_least_one(env: &mut Env, name: &str, default: &str) -> usize {
    env.parsed::<NonZeroUsize>(name, default).get()
}

fn secs(env: &mut Env, name: &str, default: &str) -> Duration {
    Duration::from_secs(env.parsed::<std::num::NonZeroU32>(name, default).get().into())
}

fn https_from_env(env: &mut Env) -> Option<HttpsConfig> {
    let listen = env.optional("LOGGIA_PROXY_TLS_LISTEN", "0.0.0.0:8443");
    let cert = env.optional("LOGGIA_PROXY_TLS_CERT", "/etc/loggia/tls.crt");
    let key = env.optional("LOGGIA_PROXY_TLS_KEY", "/etc/loggia/tls.key");
    let dir = env.optional("LOGGIA_PROXY_TLS_DIR", "/etc/loggia/certs");
    let is_half = cert.is_some() != key.is_some();
    let default = cert.zip(key).map(|(cert, key)| CertificateFiles { cert, key });
    match (listen, default, dir) {
        (None, None, None) if !is_half => None,
        (Some(listen), default, dir) if !is_half && (default.is_some() || dir.is_some()) => {
            Some(HttpsConfig { listen, default, dir })
        }
        _ => {
            env.mistake(
                "HTTPS needs LOGGIA_PROXY_TLS_LISTEN, and LOGGIA_PROXY_TLS_CERT with LOGGIA_PROXY_TLS_KEY or \
                 LOGGIA_PROXY_TLS_DIR or all three: set them or none"
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
        assert_eq!(config.admin_listen, AdminListen::On(([127, 0, 0, 1], 9080).into()));
        assert_eq!(config.access_log.target, crate::AccessLogTarget::Off);
        assert_eq!((config.protection.connections, config.protection.requests_per_second), (20_000, 0));
        let printed = format!("{config:?}");
        assert!(!printed.contains("edge-secret") && !printed.contains("s3-secret"), "{printed}");
    }

    #[test]
    fn mistakes_in_what_operators_see_are_reported_together() {
        let mut env = env(&[
            ("LOGGIA_PROXY_ADMIN_LISTEN", "9080"),
            ("LOGGIA_PROXY_ACCESS_LOG", "edge.log"),
            ("LOGGIA_PROXY_ACCESS_LOG_SAMPLE", "10%"),
        ]);
        Config::from_env(&mut env);
        let message = env.finish().expect_err("three mistakes").to_string();
        for name in ["ADMIN_LISTEN=\"9080\"", "ACCESS_LOG=\"edge.log\"", "SAMPLE=\"10%\""] {
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn countries_are_in_no_header_unless_one_is_named() {
        let country_header = |values: &[(&str, &str)]| {
            let mut env = env(values);
            let config = Config::from_env(&mut env);
            env.finish().map(|()| config.protection.country_header)
        };
        assert_eq!(country_header(&[]).expect("complete"), None);
        let named = country_header(&[("LOGGIA_PROXY_COUNTRY_HEADER", "CF-IPCountry")]).expect("complete");
        assert_eq!(named, Some(HeaderName::from_static("cf-ipcountry")));
        let message = country_header(&[("LOGGIA_PROXY_COUNTRY_HEADER", "a country")]).expect_err("no name");
        assert!(message.to_string().contains("CF-IPCountry"), "{message}");
    }

    #[test]
    fn limits_are_not_zero_and_hops_are_networks() {
        let mut wrong =
            env(&[("LOGGIA_PROXY_CONNECTIONS", "0"), ("LOGGIA_PROXY_TRUSTED_HOPS", "10.0.0.0/8,proxy")]);
        Config::from_env(&mut wrong);
        let message = wrong.finish().expect_err("two mistakes").to_string();
        assert!(message.contains("LOGGIA_PROXY_CONNECTIONS") && message.contains("\"proxy\""), "{message}");
    }

    #[test]
    fn tls_settings_belong_together() {
        let (listen, dir) = (("LOGGIA_PROXY_TLS_LISTEN", "0.0.0.0:8443"), ("LOGGIA_PROXY_TLS_DIR", "/certs"));
        let (cert, key) = (("LOGGIA_PROXY_TLS_CERT", "/tls.crt"), ("LOGGIA_PROXY_TLS_KEY", "/tls.key"));
        let cases: [(&[(&str, &str)], bool); 9] = [
            (&[], true),
            (&[listen, cert, key], true),
            (&[listen, dir], true),
            (&[listen, cert, key, dir], true),
            (&[listen], false),
            (&[cert, key], false),
            (&[dir], false),
            (&[listen, cert], false),
            (&[listen, key, dir], false),
        ];
        for (values, is_right) in cases {
            let mut env = env(values);
            let config = Config::from_env(&mut env);
            assert_eq!(config.https.is_some(), is_right && !values.is_empty(), "{values:?}");
            let message = env.finish().map_or_else(|error| error.to_string(), |()| String::new());
            assert_eq!(message.contains("LOGGIA_PROXY_TLS_CERT"), !is_right, "{values:?}: {message}");
        }
    }
}
