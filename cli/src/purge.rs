//! `loggia purge`: every edge, and a CDN in front, forgets something of a project.

use anyhow::Context;
use loggia_types::purge::{PurgeRequest, PurgeScope, PurgeUrl};
use loggia_types::{ProjectSlug, Purge, SurrogateKey};

use crate::api::Api;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("scope").required(true))]
pub(crate) struct Options {
    /// The project, by its slug.
    #[arg(long)]
    project: ProjectSlug,
    /// Purge everything of the project.
    #[arg(long, group = "scope")]
    all: bool,
    /// Purge what carries this surrogate key; several times for several.
    #[arg(long = "key", value_name = "KEY", group = "scope")]
    keys: Vec<SurrogateKey>,
    /// Purge this address; several times for several.
    #[arg(long = "url", value_name = "URL", group = "scope")]
    urls: Vec<PurgeUrl>,
    /// Let caches serve what they have while they fetch it anew.
    #[arg(long)]
    soft: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: Api,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let api = options.api.client()?;
    let request = PurgeRequest::from(options.purge());
    let answer = api.purge(&options.project, &request).await.context("purging")?;
    if options.json {
        println!("{}", serde_json::to_string(&answer)?);
        return Ok(());
    }
    let how = if answer.purged.soft { "stale from now on" } else { "purged" };
    match &answer.purged.scope {
        PurgeScope::All => println!("{how}: everything of {}", options.project),
        PurgeScope::Keys(keys) => keys.iter().for_each(|key| println!("{how}: {key}")),
        PurgeScope::Urls(urls) => urls.iter().for_each(|url| println!("{how}: {url}")),
    }
    Ok(())
}

impl Options {
    /// clap lets exactly one of the three through.
    fn purge(&self) -> Purge {
        let scope = match (self.keys.is_empty(), self.urls.is_empty()) {
            (false, _) => PurgeScope::Keys(self.keys.clone()),
            (true, false) => PurgeScope::Urls(self.urls.clone()),
            (true, true) => PurgeScope::All,
        };
        Purge { scope, soft: self.soft }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn exactly_one_scope_is_taken() {
        let parsed = |words: &str| {
            let args =
                ["purge", "--project", "shop", "--token", "t"].into_iter().chain(words.split_whitespace());
            let cli = Cli::try_parse_from(args).ok()?;
            Some(serde_json::to_string(&PurgeRequest::from(cli.options.purge())).expect("plain data"))
        };
        let cases = [
            ("--all", Some(r#"{"all":true}"#)),
            ("--all --soft", Some(r#"{"all":true,"soft":true}"#)),
            ("--key a --key b", Some(r#"{"keys":["a","b"]}"#)),
            ("--url https://shop.localhost/a --soft", Some(r#"{"urls":["shop.localhost/a"],"soft":true}"#)),
            ("", None),
            ("--all --key a", None),
            ("--key a --url shop.localhost", None),
            ("--key a,b", None),
            ("--url ftp://x", None),
        ];
        for (words, expected) in cases {
            assert_eq!(parsed(words).as_deref(), expected, "{words}");
        }
    }
}
