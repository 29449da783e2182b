//! `loggia rules test URL…`: the edge's answers, made here.

use std::path::PathBuf;
use std::process::ExitCode;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method};
use loggia_serve::RequestHead;
use loggia_types::CountryCode;
use loggia_types::build::Environment;
use loggia_types::manifest::Coding;
use loggia_types::rules::Scheme;
use serde_json::{Map, Value, json};

use super::address::{Address, Header};
use crate::local_site::{self, Answer, LocalSite};

/// Show what the edge would answer to requests, and which rule makes the answer.
///
/// The site is read as `loggia deploy DIR` would read it: its files, _redirects, _headers, loggia.toml and
/// netlify.toml. Nothing is sent anywhere. Mistakes in the rules go to standard error.
///
/// Exit code: 0 when there is an answer, also a 404; 1 when the folder could not be deployed; 2 for wrong arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    loggia rules test /old /blog/2024 --dir dist\n  \
    loggia rules test /shop --country DE -H 'Accept-Language: de'\n  \
    loggia rules test https://blog.example.com/ --environment preview --json")]
pub(crate) struct Options {
    /// A path (asked of https://www.example.org, as the primary production hostname) or a whole URL, whose scheme and
    /// host count for rules.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<Address>,
    /// The folder with the built site.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// The project's folder above it, where a build also looks for loggia.toml, netlify.toml and wrangler's files.
    #[arg(long, value_name = "DIR")]
    project_root: Option<PathBuf>,
    #[arg(long, default_value = "GET", value_parser = parse_method)]
    method: Method,
    /// A header of the request, as 'Name: value'. Can be given several times.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<Header>,
    /// Where the visitor is: two letters, for rules with Country=.
    #[arg(long, value_name = "CC")]
    country: Option<CountryCode>,
    /// production or preview. A preview's answers have X-Robots-Tag: noindex and X-Loggia-Rule.
    #[arg(long, default_value = "production", value_parser = parse_environment)]
    environment: Environment,
    /// Print one JSON object for each URL.
    #[arg(long)]
    json: bool,
}

/// Methods are told apart by case, but nobody means `get` by it.
fn parse_method(text: &str) -> Result<Method, http::method::InvalidMethod> {
    text.to_ascii_uppercase().parse()
}

fn parse_environment(text: &str) -> Result<Environment, String> {
    match text {
        "production" => Ok(Environment::Production),
        "preview" => Ok(Environment::Preview),
        _ => Err("it is production or preview".to_owned()),
    }
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let site = super::open(&options.dir, options.project_root.clone()).await?;
    super::print_problems(&site.problems());
    for (number, address) in options.urls.iter().enumerate() {
        let answer = ask(&site, &options, address).await?;
        if options.json {
            println!("{}", as_json(&options, address, &answer));
        } else {
            let gap = if number > 0 { "\n" } else { "" };
            print!("{gap}{}", as_text(&options, address, &answer));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(site: &LocalSite, options: &Options, address: &Address) -> anyhow::Result<Answer> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(address.host.as_str())?);
    for header in &options.headers {
        headers.append(&header.name, header.value.clone());
    }
    let request = RequestHead {
        method: &options.method,
        target: address.target.as_bytes(),
        headers: &headers,
        scheme: address.scheme,
        host: address.host.as_str(),
        country: options.country.as_ref().map(CountryCode::as_str),
    };
    site.answer(&local_site::policy(options.environment), request).await
}

fn url(address: &Address) -> String {
    let scheme = if address.scheme == Scheme::Https { "https" } else { "http" };
    format!("{scheme}://{}{}", address.host, address.target)
}

fn as_json(options: &Options, address: &Address, answer: &Answer) -> Value {
    let mut headers = Map::new();
    for name in answer.parts.headers.keys() {
        let lines = answer.parts.headers.get_all(name).into_iter();
        let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        headers.insert(name.as_str().to_owned(), lines.join(", ").into());
    }
    json!({
        "method": options.method.as_str(),
        "url": url(address),
        "status": answer.parts.status.as_u16(),
        "headers": headers,
        "file": answer.file.as_ref().map(|file| json!({
            "path": file.path,
            "coding": file.coding.map(Coding::as_str),
        })),
        "rule": answer.rule,
    })
}

fn as_text(options: &Options, address: &Address, answer: &Answer) -> String {
    let mut text = format!("{} {}\n", options.method, url(address));
    text.push_str(&format!("  {}\n", answer.parts.status));
    if let Some(rule) = &answer.rule {
        text.push_str(&format!("  by {rule}\n"));
    }
    if let Some(file) = &answer.file {
        let coding = file.coding.map(|coding| format!(" ({})", coding.as_str())).unwrap_or_default();
        text.push_str(&format!("  file {}{coding}\n", file.path));
    }
    for (name, value) in &answer.parts.headers {
        text.push_str(&format!("    {name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    text
}
