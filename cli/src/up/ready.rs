//! «It is up»: found out by asking, told to people and to a file.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::Options;
use super::secrets;
use super::settings::Settings;

const ASK_EVERY: Duration = Duration::from_millis(50);
/// Migrations of a large database may take this long; nothing else does.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// Asks `url` until it answers with success.
pub(super) async fn wait(url: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
    let asking = async {
        loop {
            if let Ok(response) = client.get(url).send().await
                && response.status().is_success()
            {
                return;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    let secs = ANSWER_WITHIN.as_secs();
    tokio::time::timeout(ANSWER_WITHIN, asking)
        .await
        .with_context(|| format!("{url} did not answer within {secs} s"))
}

/// For programs that started us.
#[derive(Serialize)]
struct ReadyFile<'a> {
    api_url: String,
    edge_url: String,
    base_domain: &'a str,
    admin_token: &'a str,
    /// Until somebody made the first account.
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_url: Option<&'a str>,
}

/// The link to make the first person with, while there is none.
pub(super) async fn setup_link(settings: &Settings<'_>) -> anyhow::Result<Option<String>> {
    let state: loggia_types::api::SetupState = settings.api_client().get("/setup").await?;
    Ok(state.needed.then(|| settings.setup_url()))
}

pub(super) fn announce(
    options: &Options,
    settings: &Settings<'_>,
    is_new: bool,
    setup_link: Option<&str>,
) -> anyhow::Result<()> {
    let base = options.base_domain.as_str();
    println!();
    println!("Loggia is up.");
    println!(
        "  sites   http://<project>.{base}:{}  (https on port {})",
        options.http_port, options.https_port
    );
    println!("  api     {}", settings.api_url());
    if let Some(link) = setup_link {
        println!("  setup   {link}");
        println!("          Makes the first person, who then runs this installation. It works once.");
    }
    if is_new {
        println!("  token   {}", settings.admin_token());
        println!(
            "          The admin token, shown this once; it is kept in {}",
            settings.data_dir.join("secrets.json").display()
        );
    }
    println!();
    if let Some(file) = &options.ready_file {
        let ready = ReadyFile {
            api_url: settings.api_url(),
            edge_url: settings.edge_url(),
            base_domain: base,
            admin_token: settings.admin_token(),
            setup_url: setup_link,
        };
        secrets::write_private(file, &serde_json::to_vec(&ready)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// Asks a site until it answers. Where `*.localhost` is not resolved by the system, it is loopback all the same.
pub(super) async fn wait_for_site(url: &str) -> anyhow::Result<()> {
    let parsed = url::Url::parse(url)?;
    let (host, port) =
        (parsed.host_str().context("a host")?.to_owned(), parsed.port_or_known_default().context("a port")?);
    let client = reqwest::Client::builder()
        .resolve(&host, ([127, 0, 0, 1], port).into())
        .timeout(Duration::from_secs(2))
        .build()?;
    let asking = async {
        while !client.get(url).send().await.is_ok_and(|response| response.status().is_success()) {
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asking)
        .await
        .with_context(|| format!("{url} did not answer"))
}
