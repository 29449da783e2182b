//! The secrets of an all-in-one installation: made once, kept in a file that only its owner reads.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Secrets {
    pub(crate) admin_token: String,
    pub(crate) builder_token: String,
    pub(crate) edge_token: String,
    pub(crate) s3_access_key: String,
    pub(crate) s3_secret_key: String,
    /// Installations from before there were people get theirs when they start next.
    #[serde(default = "setup_token")]
    pub(crate) setup_token: String,
    #[serde(default = "secrets_keys")]
    pub(crate) secrets_keys: String,
}

fn setup_token() -> String {
    token("loggia_setup_")
}

fn secrets_keys() -> String {
    format!("first:{}", data_encoding::HEXLOWER.encode(&rand::random::<[u8; 32]>()))
}

impl Secrets {
    /// True when they were made just now.
    pub(crate) fn load_or_create(data_dir: &Path) -> anyhow::Result<(Self, bool)> {
        let file = data_dir.join("secrets.json");
        match std::fs::read(&file) {
            Ok(bytes) => {
                let secrets: Self =
                    serde_json::from_slice(&bytes).with_context(|| format!("reading {}", file.display()))?;
                let known: serde_json::Value = serde_json::from_slice(&bytes)?;
                if known != serde_json::to_value(&secrets)? {
                    secrets.save(data_dir)?;
                }
                Ok((secrets, false))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secrets = Self::generate();
                secrets.save(data_dir)?;
                Ok((secrets, true))
            }
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }

    pub(crate) fn save(&self, data_dir: &Path) -> anyhow::Result<()> {
        let file = data_dir.join("secrets.json");
        write_private(&file, &serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("writing {}", file.display()))
    }

    fn generate() -> Self {
        Self {
            admin_token: token("loggia_user_"),
            builder_token: token("loggia_builder_"),
            edge_token: token("loggia_edge_"),
            s3_access_key: "loggia".to_owned(),
            s3_secret_key: token(""),
            setup_token: setup_token(),
            secrets_keys: secrets_keys(),
        }
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = file.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    std::fs::rename(temporary, file)
}

/// 256 random bits behind a prefix that secret scanners can look for.
fn token(prefix: &str) -> String {
    format!("{prefix}{}", data_encoding::BASE64URL_NOPAD.encode(&rand::random::<[u8; 32]>()))
}
