//! What `loggia login` keeps: a token for each api, in a file that only its owner reads.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::up::secrets::write_private;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// The api that was signed in to last: the one that is meant when none is named.
    pub(crate) last: Option<String>,
    tokens: BTreeMap<String, String>,
}

/// `$XDG_CONFIG_HOME/loggia/credentials.json`, in `~/.config` by default (XDG Base Directory Specification).
fn file() -> anyhow::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    Ok(config
        .context("HOME is not set; use --token or LOGGIA_TOKEN")?
        .join("loggia")
        .join("credentials.json"))
}

impl Credentials {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let file = file()?;
        match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is not what `loggia login` wrote; delete it", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }

    pub(crate) fn token(&self, url: &str) -> Option<&str> {
        self.tokens.get(url).map(String::as_str)
    }

    pub(crate) fn keep(&mut self, url: &str, token: &str) -> anyhow::Result<()> {
        self.tokens.insert(url.to_owned(), token.to_owned());
        self.last = Some(url.to_owned());
        self.save()
    }

    /// Whether there was one.
    pub(crate) fn forget(&mut self, url: &str) -> anyhow::Result<bool> {
        let known = self.tokens.remove(url).is_some();
        if self.last.as_deref() == Some(url) {
            self.last = self.tokens.keys().next().cloned();
        }
        self.save()?;
        Ok(known)
    }

    fn save(&self) -> anyhow::Result<()> {
        let file = file()?;
        let folder = file.parent().context("a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        write_private(&file, &serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("writing {}", file.display()))
    }
}
