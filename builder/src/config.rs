//! What an operator can set, read once from the environment.

use std::path::PathBuf;
use std::str::FromStr;

use loggia_runtime::{Env, Secret};
use loggia_storage::StoreConfig;
use loggia_types::ContentHash;

use crate::checkout::GitPolicy;
use crate::executor::{DEFAULT_IMAGE, ExecutorChoice, ExecutorConfig, Ipv4Network};

#[derive(Debug, Clone)]
pub struct Config {
    pub api_url: String,
    pub token: Secret,
    /// Tells this builder's containers and log lines from another's; stays the same across restarts.
    pub name: String,
    pub work_dir: PathBuf,
    /// Builds at one time.
    pub concurrency: usize,
    pub executor: ExecutorChoice,
    pub executor_config: ExecutorConfig,
    pub store: StoreConfig,
    pub git: GitPolicy,
}

impl Config {
    /// Mistakes are kept in `env`: call [`Env::finish`] before using the result.
    pub fn from_env(env: &mut Env) -> Self {
        let work_dir: PathBuf = env.parsed("LOGGIA_BUILDER_WORK_DIR", "/var/lib/loggia/builder");
        let name =
            env.optional("LOGGIA_BUILDER_NAME", "builder-1").unwrap_or_else(|| default_name(&work_dir));
        Self {
            api_url: env.required("LOGGIA_API_URL", "http://127.0.0.1:3000"),
            token: env.secret("LOGGIA_BUILDER_TOKEN", "the token by which the api knows its builders"),
            concurrency: env.parsed::<Concurrency>("LOGGIA_BUILDER_CONCURRENCY", "1").0,
            executor: env.parsed("LOGGIA_BUILD_EXECUTOR", "auto"),
            executor_config: executor_from_env(env, &name, &work_dir),
            store: store_from_env(env),
            git: GitPolicy { http_hosts: list(env, "LOGGIA_GIT_HTTP_HOSTS", "forge.internal:3000") },
            name,
            work_dir,
        }
    }
}

fn executor_from_env(env: &mut Env, builder: &str, work_dir: &std::path::Path) -> ExecutorConfig {
    let toolchain_dirs: Option<Paths> = env.optional("LOGGIA_BUILD_TOOLCHAIN_DIRS", "/opt/node:/opt/hugo");
    ExecutorConfig {
        builder: builder.to_owned(),
        docker_host: env.optional("DOCKER_HOST", "unix:///var/run/docker.sock"),
        image: env.parsed("LOGGIA_BUILD_IMAGE", DEFAULT_IMAGE),
        docker_network: env.parsed("LOGGIA_BUILD_NETWORK", "bridge"),
        docker_runtime: env.optional("LOGGIA_BUILD_RUNTIME", "runsc"),
        // On a network that inspects TLS this machine's own tools were told of its authorities by SSL_CERT_FILE.
        ca_file: ["LOGGIA_BUILD_CA_FILE", "SSL_CERT_FILE"]
            .iter()
            .find_map(|name| env.optional(name, "/etc/ssl/certs/ca-certificates.crt")),
        uid: env.optional("LOGGIA_BUILD_UID", "1000"),
        gid: None,
        toolchain_dirs: toolchain_dirs.map(|paths| paths.0).unwrap_or_default(),
        hidden_dirs: vec![work_dir.to_owned()],
        blocked_networks: Vec::new(),
        allowed_networks: list::<Ipv4Network>(
            env,
            "LOGGIA_BUILD_ALLOWED_NETWORKS",
            "10.1.2.3/32,10.2.0.0/16",
        ),
    }
}

/// The bucket, by the variables that every process of Loggia knows it by.
fn store_from_env(env: &mut Env) -> StoreConfig {
    StoreConfig {
        endpoint_url: env.optional("LOGGIA_S3_ENDPOINT", "http://127.0.0.1:9000"),
        region: env.parsed("LOGGIA_S3_REGION", "us-east-1"),
        bucket: env.parsed("LOGGIA_S3_BUCKET", "loggia"),
        access_key: env.required("LOGGIA_S3_ACCESS_KEY", "loggia"),
        secret_key: env.secret("LOGGIA_S3_SECRET_KEY", "the secret of that access key").reveal().to_owned(),
    }
}

fn list<T: FromStr<Err: std::fmt::Display>>(env: &mut Env, name: &str, example: &str) -> Vec<T> {
    env.optional::<List<T>>(name, example).map(|list| list.0).unwrap_or_default()
}

/// The machine's name alone would be shared by two builders on it, and each would remove the other's containers as
/// leftovers. Their work folders differ.
fn default_name(work_dir: &std::path::Path) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "builder",
        host => host,
    };
    let folder = ContentHash::of(work_dir.as_os_str().as_encoded_bytes()).to_hex();
    format!("{host}-{}", &folder[..6])
}

/// 1 to 64 builds at a time.
struct Concurrency(usize);

impl FromStr for Concurrency {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(count @ 1..=64) => Ok(Self(count)),
            _ => Err("a builder runs 1 to 64 builds at a time"),
        }
    }
}

/// Values between commas.
struct List<T>(Vec<T>);

impl<T: FromStr> FromStr for List<T> {
    type Err = T::Err;
    fn from_str(text: &str) -> Result<Self, T::Err> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Absolute folders between colons, as in `PATH`.
struct Paths(Vec<PathBuf>);

impl FromStr for Paths {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let paths: Vec<_> = text.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        match paths.iter().all(|path| path.is_absolute()) {
            true => Ok(Self(paths)),
            false => Err("folders are named by absolute paths"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> (Config, Result<(), String>) {
        let required = [
            ("LOGGIA_API_URL", "http://127.0.0.1:3000"),
            ("LOGGIA_BUILDER_TOKEN", "hunter2"),
            ("LOGGIA_S3_ACCESS_KEY", "a"),
            ("LOGGIA_S3_SECRET_KEY", "s3cret"),
        ];
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut env = Env::from_values(required.iter().chain(values).map(owned));
        let config = Config::from_env(&mut env);
        (config, env.finish().map_err(|error| error.to_string()))
    }

    #[test]
    fn lists_are_split_and_defaults_suffice() {
        let (config, mistakes) = read(&[
            ("LOGGIA_GIT_HTTP_HOSTS", "localhost:3000, forge"),
            ("LOGGIA_BUILD_ALLOWED_NETWORKS", "10.0.0.0/8"),
            ("LOGGIA_BUILD_TOOLCHAIN_DIRS", "/opt/a:/opt/b"),
        ]);
        assert_eq!(mistakes, Ok(()));
        assert_eq!(config.git.http_hosts, ["localhost:3000", "forge"]);
        assert_eq!(config.executor_config.allowed_networks.len(), 1);
        assert_eq!(config.executor_config.toolchain_dirs.len(), 2);
        assert_eq!((config.concurrency, config.executor), (1, ExecutorChoice::Auto));
        assert_eq!(config.name, config.executor_config.builder);
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn mistakes_name_the_variable() {
        for (name, value) in [
            ("LOGGIA_BUILDER_CONCURRENCY", "0"),
            ("LOGGIA_BUILD_EXECUTOR", "vm"),
            ("LOGGIA_BUILD_ALLOWED_NETWORKS", "10.0.0.0/8,all"),
            ("LOGGIA_BUILD_TOOLCHAIN_DIRS", "node"),
        ] {
            let (_, mistakes) = read(&[(name, value)]);
            assert!(mistakes.is_err_and(|text| text.contains(name)), "{name}={value}");
        }
    }
}
