//! The site that inputs meet: files of all kinds, among them ones that nobody may see.

use http::{HeaderMap, Method};
use loggia_serve::{Policy, Site};
use loggia_types::build::Environment;
use loggia_types::manifest::{
    Coding, Facts, HtmlHandling, NewEntry, NewManifest, NewRetired, NewVariant, NotFound, Retirement,
};
use loggia_types::route::ServeSettings;
use loggia_types::rules::{Dialect, Rules, Scheme};
use loggia_types::{
    ContentHash, DeploymentId, DeploymentRef, FolderRef, Manifest, ProjectId, Timestamp, media_type,
};

pub(crate) const HOST: &str = "shop.example.org";

pub(crate) const FILES: &[&str] = &[
    "index.html",
    "404.html",
    "a.html",
    "a/index.html",
    "a/b.html",
    "a/b/index.html",
    "b.html",
    "b/a.html",
    "c/index.html",
    "c/404.html",
    "index/index.html",
    "index.html.html",
    "index",
    "x",
    "x/index",
    "to",
    "d.html/index.html",
    "e.html.html",
    ".html",
    "c/.html",
    "a b.html",
    "ü.html",
    "a?b#c.html",
    "%2e%2e.html",
    "assets/app-hash.js",
    "assets/empty.css",
    "assets/large.bin",
    "sub/_headers",
    ".well-known/security.txt",
    ".well-known/.secret",
    ".well-known/404.html",
    ".git/config",
    ".git/404.html",
    ".git/index.html",
    ".env",
    ".env.html",
    "a/.env",
    "a/.git/404.html",
    "_headers",
    "_redirects",
    "_headers/index.html",
    "_headers.html",
    "loggia.toml",
    "netlify.toml",
    "wrangler.toml",
];

const RETIRED: &[&str] = &["assets/old-hash.js", ".git/old-hash.js", "b.old/index.html"];

fn deployment_id() -> DeploymentId {
    DeploymentId::from_parts(2, 2)
}

pub(crate) fn facts(dialect: Dialect, html_handling: HtmlHandling) -> Facts {
    Facts {
        deployment: DeploymentRef { project_id: ProjectId::from_parts(1, 1), deployment_id: deployment_id() },
        created_at: Timestamp::from_unix_secs(1_700_000_000).unwrap(),
        commit: None,
        branch: None,
        framework: None,
        dialect,
        html_handling,
        not_found: NotFound::Auto,
        permanent: false,
        problems: Vec::new(),
    }
}

fn size(path: &str) -> u64 {
    match path {
        "assets/empty.css" => 0,
        // The largest object that S3 knows.
        "assets/large.bin" => 5 << 40,
        _ => path.len() as u64,
    }
}

pub(crate) fn entry(path: &str) -> NewEntry {
    let content_type = media_type::for_path(path);
    let variant = |coding| NewVariant { coding, size: 7, hash: ContentHash::of(b"compressed") };
    let codings = if media_type::is_compressible(&content_type) { &Coding::ALL[..] } else { &[] };
    NewEntry {
        path: path.parse().unwrap(),
        hash: ContentHash::of(path.as_bytes()),
        size: size(path),
        folder: FolderRef::of_attempt(deployment_id(), 1),
        source_path: path.parse().unwrap(),
        content_type,
        fingerprinted: path.contains("-hash."),
        immutable: path.contains("-hash."),
        variants: codings.iter().copied().map(variant).collect(),
        link: path.ends_with("index.html").then(|| "</app.css>; rel=preload; as=style".into()),
    }
}

pub(crate) fn new_manifest(facts: Facts, rules: Rules) -> NewManifest {
    let retirement = Retirement {
        deployment_id: DeploymentId::from_parts(1, 1),
        retired_at: Timestamp::from_unix_secs(1_600_000_000).unwrap(),
        age: 1,
    };
    let retired = RETIRED.iter().map(|path| NewRetired { entry: entry(path), retirement });
    NewManifest {
        facts,
        rules,
        entries: FILES.iter().map(|path| entry(path)).collect(),
        retired: retired.collect(),
    }
}

pub(crate) fn site(facts: Facts, rules: Rules) -> Site {
    Site::open(Manifest::parse(Manifest::encode(new_manifest(facts, rules)).unwrap()).unwrap())
}

/// A preview on a platform host, and production on a domain of its own.
pub(crate) fn policies(settings: &ServeSettings) -> [Policy<'_>; 2] {
    let policy =
        |environment, is_primary| Policy { settings, environment, is_primary, is_platform_host: !is_primary };
    [policy(Environment::Preview, false), policy(Environment::Production, true)]
}

/// A request that owns its parts.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) target: Vec<u8>,
    pub(crate) headers: HeaderMap,
    pub(crate) scheme: Scheme,
    pub(crate) host: String,
    pub(crate) country: Option<String>,
}

impl Question {
    pub(crate) fn get(target: impl Into<Vec<u8>>) -> Self {
        Self {
            method: Method::GET,
            target: target.into(),
            headers: HeaderMap::new(),
            scheme: Scheme::Https,
            host: HOST.to_owned(),
            country: None,
        }
    }

    pub(crate) fn head(&self) -> loggia_serve::RequestHead<'_> {
        loggia_serve::RequestHead {
            method: &self.method,
            target: &self.target,
            headers: &self.headers,
            scheme: self.scheme,
            host: &self.host,
            country: self.country.as_deref(),
        }
    }
}
