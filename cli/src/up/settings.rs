//! The environment that the parts of an all-in-one installation find: the process's own, and what `loggia up`
//! decides. Each part reads it with the same code as in a fleet.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use loggia_client::ApiClient;
use loggia_runtime::Env;

use super::Options;
use super::secrets::Secrets;

pub(super) const BUCKET: &str = "loggia";

pub(super) struct Settings<'a> {
    pub(super) options: &'a Options,
    pub(super) data_dir: &'a Path,
    pub(super) secrets: &'a Secrets,
    /// `None`: `DATABASE_URL` is set.
    pub(super) database_url: Option<String>,
    /// `None`: `LOGGIA_S3_ENDPOINT` is set.
    pub(super) store_url: Option<String>,
}

impl Settings<'_> {
    pub(super) fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.options.api_port)
    }

    pub(super) fn edge_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.options.http_port)
    }

    pub(super) fn setup_url(&self) -> String {
        format!("http://localhost:{}/setup#token={}", self.options.api_port, self.secrets.setup_token)
    }

    pub(super) fn admin_token(&self) -> &str {
        &self.secrets.admin_token
    }

    pub(super) fn api_client(&self) -> ApiClient {
        ApiClient::new(&self.api_url(), self.admin_token())
    }

    /// `git_authority`: the `host:port` of the sample's Git server, from which builds may check out over http.
    pub(super) fn environment(&self, git_authority: Option<String>) -> anyhow::Result<Env> {
        let mut values: BTreeMap<String, String> = std::env::vars().collect();
        let (http, api) = (self.options.http_port, self.options.api_port);
        let base = &self.options.base_domain;
        let folder = |name: &str| -> anyhow::Result<String> {
            let folder = self.data_dir.join(name);
            std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
            Ok(folder.display().to_string())
        };

        // What a person set in the environment stays.
        let defaults = [
            ("LOGGIA_API_LISTEN", format!("127.0.0.1:{api}")),
            ("LOGGIA_API_PUBLIC_URL", format!("http://localhost:{api}")),
            (
                "LOGGIA_EDGE_PUBLIC_URL",
                format!("http://{base}{}", if http == 80 { String::new() } else { format!(":{http}") }),
            ),
            ("LOGGIA_PROXY_LISTEN", format!("0.0.0.0:{http}")),
            // Any free port, which the log names: a second installation must not fail for it.
            ("LOGGIA_PROXY_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("LOGGIA_API_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            // Until there is a mail server to send them to.
            ("LOGGIA_MAIL_URL", format!("file://{}", folder("mail")?)),
            ("LOGGIA_S3_BUCKET", BUCKET.to_owned()),
        ];
        for (name, value) in defaults {
            values.entry(name.to_owned()).or_insert(value);
        }

        // What belongs to this installation and to no other.
        let mut set = |name: &str, value: String| values.insert(name.to_owned(), value);
        set("LOGGIA_BASE_DOMAIN", base.to_string());
        set("LOGGIA_API_URL", self.api_url());
        set("LOGGIA_API_TEMP_DIR", folder("tmp")?);
        set("LOGGIA_BUILDER_WORK_DIR", folder("builder")?);
        set("LOGGIA_PROXY_STATE_DIR", folder("proxy")?);
        set("LOGGIA_SETUP_TOKEN", self.secrets.setup_token.clone());
        set("LOGGIA_SECRETS_KEYS", self.secrets.secrets_keys.clone());
        set("LOGGIA_ADMIN_TOKEN", self.secrets.admin_token.clone());
        set("LOGGIA_BUILDER_TOKEN", self.secrets.builder_token.clone());
        set("LOGGIA_EDGE_TOKEN", self.secrets.edge_token.clone());
        if let Some(url) = &self.database_url {
            set("DATABASE_URL", url.clone());
        }
        if let Some(url) = &self.store_url {
            set("LOGGIA_S3_ENDPOINT", url.clone());
            set("LOGGIA_S3_ACCESS_KEY", self.secrets.s3_access_key.clone());
            set("LOGGIA_S3_SECRET_KEY", self.secrets.s3_secret_key.clone());
        }
        let (certificate, key) = loggia_proxy::tls::ensure_self_signed(Path::new(&folder("tls")?), base)?;
        set("LOGGIA_PROXY_TLS_LISTEN", format!("0.0.0.0:{}", self.options.https_port));
        set("LOGGIA_PROXY_TLS_CERT", certificate.display().to_string());
        set("LOGGIA_PROXY_TLS_KEY", key.display().to_string());
        if let Some(authority) = git_authority {
            let hosts = values.entry("LOGGIA_GIT_HTTP_HOSTS".to_owned()).or_default();
            *hosts = if hosts.is_empty() { authority } else { format!("{hosts},{authority}") };
        }
        Ok(Env::from_values(values))
    }
}
