//! `loggia login`, `logout` and `whoami`.

use std::io::{IsTerminal, Read};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use loggia_client::{ApiClient, ClientError};
use loggia_types::api::{BeginDevice, DeviceCode, DeviceToken, PollDevice, TokenScope, WhoAmI};

use crate::api::Api;
use crate::credentials::Credentials;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct LoginOptions {
    /// Take a token from standard input instead of asking in a browser, e.g. on a server.
    #[arg(long)]
    with_token: bool,
    /// What the token may do: read, deploy or admin.
    #[arg(long, default_value = "admin")]
    scope: TokenScope,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    output: Output,
}

pub(crate) async fn login(options: LoginOptions) -> anyhow::Result<()> {
    let url = options.api.url()?;
    let token =
        if options.with_token { token_from_input()? } else { ask_in_browser(&url, options.scope).await? };
    let who: WhoAmI = ApiClient::new(&url, &token).get("/user").await.context("trying the token")?;
    Credentials::load()?.keep(&url, &token)?;
    options.output.one(&who, |who| format!("Signed in to {url} as {}.", name(who)))
}

fn token_from_input() -> anyhow::Result<String> {
    let mut token = String::new();
    if std::io::stdin().is_terminal() {
        token = rpassword::prompt_password("Token: ").context("reading the token")?;
    } else {
        std::io::stdin().read_to_string(&mut token).context("reading the token")?;
    }
    let token = token.trim().to_owned();
    if token.is_empty() {
        bail!("there is no token on standard input; make one in the dashboard under Settings, Tokens");
    }
    Ok(token)
}

/// RFC 8628: the person decides in a browser, perhaps of another machine.
async fn ask_in_browser(url: &str, scope: TokenScope) -> anyhow::Result<String> {
    let nobody = ApiClient::new(url, "");
    let body = BeginDevice { client: format!("loggia on {}", machine()), scope };
    let begun: DeviceCode = nobody.post("/device/code", &body).await.context("asking to sign in")?;
    eprintln!("Open {}\nand compare the code: {}", begun.verification_uri_complete, begun.user_code);
    eprintln!("Waiting …");
    let until = Instant::now() + Duration::from_secs(begun.expires_in);
    let mut interval = Duration::from_secs(begun.interval);
    let body = PollDevice { device_code: begun.device_code };
    loop {
        tokio::time::sleep(interval).await;
        let asked: Result<DeviceToken, ClientError> = nobody.post("/device/token", &body).await;
        match asked {
            Ok(answer) => return Ok(answer.token),
            Err(error) => match error.code() {
                Some("authorization_pending") => {}
                Some("slow_down") => interval += Duration::from_secs(5),
                _ if error.is_temporary() => {}
                _ => return Err(error).context("signing in"),
            },
        }
        if Instant::now() > until {
            bail!("nobody decided in time; run `loggia login` again");
        }
    }
}

fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "a machine".to_owned() } else { name.trim().to_owned() }
}

pub(crate) async fn logout(options: Options) -> anyhow::Result<()> {
    let url = options.api.url()?;
    if Credentials::load()?.forget(&url)? {
        options.output.done(&format!(
            "Signed out of {url}. The token itself stays until it is revoked: `loggia tokens list`."
        ));
    } else {
        options.output.done(&format!("You were not signed in to {url}."));
    }
    Ok(())
}

pub(crate) async fn whoami(options: Options) -> anyhow::Result<()> {
    let who: WhoAmI = options.api.client()?.get("/user").await?;
    let url = options.api.url()?;
    options.output.one(&who, |who| {
        let mut text = format!("{} at {url}", name(who));
        for membership in &who.organizations {
            text.push_str(&format!("\n  {}  {}", membership.slug, membership.role.as_str()));
        }
        text
    })
}

fn name(who: &WhoAmI) -> String {
    let scope = who.scope.map(|scope| format!(" (a token for {})", scope.as_str())).unwrap_or_default();
    match &who.user {
        Some(user) => format!("{} <{}>{scope}", user.name, user.email),
        None => "the token of the configuration".to_owned(),
    }
}
