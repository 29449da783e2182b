//! `loggia keys`: the keys that seal secrets. What is sealed lies in the database, which only the api reads; the keys lie in
//! the configuration, which only its owner changes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use loggia_api::KeyRing;
use loggia_client::ApiClient;
use loggia_types::Timestamp;
use loggia_types::api::SecretsKey;

use crate::up::secrets::Secrets;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the keys that the api has or lacks, and how many secrets each of them seals.
    List(Options),
    /// Make a new key, which seals from the next start on.
    Add {
        #[command(flatten)]
        options: Options,
        /// How it is called; the day by default.
        #[arg(long)]
        id: Option<String>,
    },
    /// Seal all secrets anew with the key that is used now. Everything goes on meanwhile; begin again when it was stopped.
    Rotate(Options),
    /// Take a key away that seals nothing any more.
    Drop {
        #[command(flatten)]
        options: Options,
        /// As `list` shows it.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Of an installation that `loggia up` runs: its keys are in there. Others have them in LOGGIA_SECRETS_KEYS.
    #[arg(long, env = "LOGGIA_DATA_DIR", default_value = "./loggia-data")]
    data_dir: PathBuf,
    #[arg(long, env = "LOGGIA_API_URL", default_value = "http://127.0.0.1:3000")]
    api_url: String,
    /// An operator's; that of `loggia up` by default.
    #[arg(long, env = "LOGGIA_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Options {
    /// Those of `loggia up`, if it keeps its data here.
    fn secrets(&self) -> anyhow::Result<Option<Secrets>> {
        match self.data_dir.join("secrets.json").exists() {
            true => Secrets::load_or_create(&self.data_dir).map(|(secrets, _)| Some(secrets)),
            false => Ok(None),
        }
    }

    fn client(&self) -> anyhow::Result<ApiClient> {
        let token = match &self.token {
            Some(token) => token.clone(),
            None => {
                self.secrets()?
                    .context("LOGGIA_TOKEN is not set: this takes an operator's token")?
                    .admin_token
            }
        };
        Ok(ApiClient::new(&self.api_url, &token))
    }
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(options) => list(&options).await,
        Command::Add { options, id } => add(&options, id),
        Command::Rotate(options) => rotate(&options).await,
        Command::Drop { options, id } => drop_key(&options, &id).await,
    }
}

async fn list(options: &Options) -> anyhow::Result<()> {
    let keys = options.client()?.list_keys().await.context("asking for the keys")?;
    for key in keys {
        let state = match key {
            SecretsKey { active: true, .. } => "seals what is new",
            SecretsKey { known: false, .. } => "MISSING in LOGGIA_SECRETS_KEYS: these secrets cannot be read",
            SecretsKey { secrets: 0, .. } => "can be dropped",
            _ => "opens what it sealed",
        };
        println!("{:<32} {:>8} secrets  {state}", key.id, key.secrets);
    }
    Ok(())
}

fn add(options: &Options, id: Option<String>) -> anyhow::Result<()> {
    let secrets = options.secrets()?;
    let ring = secrets.as_ref().map(|secrets| secrets.secrets_keys.as_str()).unwrap_or_default();
    let id = id.unwrap_or_else(|| free_id(ring, &Timestamp::now().0.date().to_string()));
    let entry = format!("{id}:{}", data_encoding::HEXLOWER.encode(&rand::random::<[u8; 32]>()));
    let Some(mut secrets) = secrets else {
        entry.parse::<KeyRing>()?;
        println!("{entry}");
        eprintln!(
            "Put this behind the keys in LOGGIA_SECRETS_KEYS of every api, with a comma between, and restart them one by one. Then \
             put it in front and restart them again: now it seals. `loggia keys rotate` seals anew what is there."
        );
        return Ok(());
    };
    secrets.secrets_keys = with_key(&secrets.secrets_keys, &entry)?;
    secrets.save(&options.data_dir)?;
    println!("The key {id} was added to {}.", options.data_dir.join("secrets.json").display());
    println!("Restart `loggia up`: it seals from then on. `loggia keys rotate` seals anew what is there.");
    Ok(())
}

/// The new key stands first: it seals.
fn with_key(ring: &str, entry: &str) -> anyhow::Result<String> {
    let ring = format!("{entry},{ring}");
    ring.parse::<KeyRing>()?;
    Ok(ring)
}

fn without_key(ring: &str, id: &str) -> anyhow::Result<String> {
    let items: Vec<&str> = ring.split(',').map(str::trim).collect();
    let is_named = |item: &&str| item.split_once(':').is_some_and(|(name, _)| name == id);
    ensure!(items.iter().any(is_named), "there is no key {id}");
    let rest: Vec<&str> = items.iter().copied().filter(|item| !is_named(item)).collect();
    let rest = rest.join(",");
    rest.parse::<KeyRing>()?;
    Ok(rest)
}

fn free_id(ring: &str, day: &str) -> String {
    let is_taken = |id: &str| ring.split(',').any(|item| item.trim().starts_with(&format!("{id}:")));
    let mut id = day.to_owned();
    let mut number = 2;
    while is_taken(&id) {
        id = format!("{day}-{number}");
        number += 1;
    }
    id
}

/// Secrets that somebody changes just now are left for the next pass; that is a matter of milliseconds.
const PAUSE: Duration = Duration::from_millis(500);
const IDLE_PASSES_MAX: u32 = 20;

async fn rotate(options: &Options) -> anyhow::Result<()> {
    let client = options.client()?;
    let (mut done, mut idle) = (0, 0);
    loop {
        let rotation = client.rotate_keys().await.with_context(|| {
            format!("after {done} secrets, which stay sealed anew; run this again to go on")
        })?;
        done += rotation.resealed;
        let unreadable = rotation.unreadable;
        if rotation.remaining == 0 {
            println!(
                "All secrets that can be opened are sealed with the key {}; {done} were sealed anew.",
                rotation.active
            );
            ensure!(
                unreadable == 0,
                "{unreadable} secrets cannot be opened: see `loggia keys list` and the api's log"
            );
            return Ok(());
        }
        println!(
            "{done} secrets sealed anew with the key {}, {} remain",
            rotation.active, rotation.remaining
        );
        idle = if rotation.resealed == 0 { idle + 1 } else { 0 };
        ensure!(
            idle < IDLE_PASSES_MAX,
            "{} secrets are being changed all the time; try again",
            rotation.remaining
        );
        if rotation.resealed == 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn drop_key(options: &Options, id: &str) -> anyhow::Result<()> {
    let keys = options.client()?.list_keys().await.context("asking for the keys that are in use")?;
    match keys.iter().find(|key| key.id == id) {
        Some(key) if key.secrets > 0 => {
            bail!("the key {id} still seals {} secrets; run `loggia keys rotate` first", key.secrets)
        }
        Some(key) if key.active => bail!("the key {id} seals what is new; add another one first"),
        _ => {}
    }
    let Some(mut secrets) = options.secrets()? else {
        println!(
            "The key {id} seals nothing: take it out of LOGGIA_SECRETS_KEYS of every api, and restart them."
        );
        println!("Backups of the database from before the rotation need it.");
        return Ok(());
    };
    secrets.secrets_keys = without_key(&secrets.secrets_keys, id)?;
    secrets.save(&options.data_dir)?;
    println!(
        "The key {id} is gone from {}. Restart `loggia up`.",
        options.data_dir.join("secrets.json").display()
    );
    println!("Backups of the database from before the rotation need it.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_gets_its_new_key_in_front_and_keeps_one_in_any_case() {
        let key = |digit: &str| digit.repeat(64);
        let ring = format!("first:{}", key("1"));
        let two = with_key(&ring, &format!("second:{}", key("2"))).expect("valid");
        assert_eq!(two, format!("second:{},{ring}", key("2")));
        assert!(with_key(&ring, &format!("first:{}", key("2"))).is_err(), "the name is taken");
        assert!(with_key(&ring, &format!("a b:{}", key("2"))).is_err());
        assert_eq!(without_key(&two, "second").expect("valid"), ring);
        assert!(without_key(&two, "third").is_err());
        assert!(without_key(&ring, "first").is_err(), "the last one");
        assert_eq!(free_id(&ring, "2026-11-01"), "2026-11-01");
        let taken = format!("2026-11-01:{},2026-11-01-2:{}", key("1"), key("2"));
        assert_eq!(free_id(&taken, "2026-11-01"), "2026-11-01-3");
    }
}
