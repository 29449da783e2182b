//! A deployment at its limits (100,000 files, 5,000 static and 500 dynamic redirects, 500 blocks of headers), and small
//! ones beside it: what is measured (`benches/decide.rs`) and where allocations are counted (`tests/allocations.rs`).

#![allow(dead_code, reason = "each user takes what it needs")]

use loggia_types::manifest::{Coding, Facts, HtmlHandling, NewEntry, NewManifest, NewVariant, NotFound};
use loggia_types::rules::{
    Action, Destination, Dialect, HeaderLine, HeaderRule, HeaderScope, Part, PathPattern, RedirectRule,
    RedirectStatus, RuleSource, Rules, UrlPattern,
};
use loggia_types::{
    ContentHash, DeploymentId, DeploymentRef, FolderRef, ProjectId, SitePath, Timestamp, media_type,
};

/// `docs/BEHAVIOR.md` §3.
pub(crate) const STATIC: usize = 5_000;
pub(crate) const DYNAMIC: usize = 500;
pub(crate) const BLOCKS: usize = 500;

pub(crate) fn text(text: &str) -> Part {
    Part::Text(text.into())
}

pub(crate) fn name(name: &str) -> Part {
    Part::Name(name.into())
}

pub(crate) fn url(parts: Vec<Part>) -> UrlPattern {
    UrlPattern { origin: None, path: PathPattern { parts, lenient: true } }
}

pub(crate) fn redirect(line: usize, parts: Vec<Part>) -> RedirectRule {
    let to = Destination { origin: None, path: vec![text("/to/the/new/place")], query: None, fragment: None };
    RedirectRule {
        source: RuleSource { file: "_redirects".into(), line: u32::try_from(line).expect("few lines") },
        from: url(parts),
        query: Vec::new(),
        conditions: Vec::new(),
        forced: line.is_multiple_of(2),
        action: Action::Redirect { status: RedirectStatus::Found, to },
    }
}

pub(crate) fn block(parts: Vec<Part>) -> HeaderRule {
    HeaderRule {
        source: RuleSource { file: "_headers".into(), line: 1 },
        scope: HeaderScope::Url(url(parts)),
        environment: None,
        status: None,
        remove: Vec::new(),
        set: vec![HeaderLine { name: "x-a".into(), value: vec![text("1")] }],
        credentials: Vec::new(),
    }
}

/// `/old/17`, then `/section17/:slug/*`; a block for `/*`, then for `/p17/*`.
pub(crate) fn rules() -> Rules {
    let fixed = (0..STATIC).map(|n| redirect(n, vec![text(&format!("old/{n}"))]));
    let dynamic = (0..DYNAMIC).map(|n| {
        let parts = vec![text(&format!("section{n}/")), name("slug"), text("/"), Part::Splat];
        redirect(STATIC + n, parts)
    });
    let blocks = (1..BLOCKS).map(|n| block(vec![text(&format!("p{n}/")), Part::Splat]));
    Rules {
        redirects: fixed.chain(dynamic).collect(),
        headers: [block(vec![Part::Splat])].into_iter().chain(blocks).collect(),
    }
}

fn entry(path: &str) -> NewEntry {
    let path: SitePath = path.parse().expect("a valid path");
    let hash = ContentHash::of(path.as_str().as_bytes());
    NewEntry {
        hash,
        size: 10_000,
        folder: FolderRef::of_attempt(DeploymentId::from_parts(2, 2), 1),
        source_path: path.clone(),
        content_type: media_type::for_path(path.as_str()),
        fingerprinted: false,
        immutable: false,
        variants: Coding::ALL.map(|coding| NewVariant { coding, size: 2_000, hash }).to_vec(),
        link: None,
        path,
    }
}

/// The path of a page, without `.html`.
pub(crate) fn page(n: usize) -> String {
    format!("docs/section-{}/chapter-{}/page-{n}", n % 97, n % 13)
}

/// `files` of them, each in three codings: the home page, a `404.html`, one below the last block of headers, one in a
/// folder, and pages.
pub(crate) fn manifest(files: usize, rules: Rules, html_handling: HtmlHandling) -> NewManifest {
    let deployment_id = DeploymentId::from_parts(2, 2);
    let facts = Facts {
        deployment: DeploymentRef { project_id: ProjectId::from_parts(1, 1), deployment_id },
        created_at: Timestamp::from_unix_secs(1_700_000_000).expect("a moment"),
        commit: None,
        branch: None,
        framework: None,
        dialect: Dialect::Netlify,
        html_handling,
        not_found: NotFound::Auto,
        permanent: false,
        problems: Vec::new(),
    };
    let own = ["index.html", "404.html", "p499/x.html", "folder/index.html"];
    let pages = (0..files - own.len()).map(|n| entry(&format!("{}.html", page(n))));
    let entries = own.into_iter().map(entry).chain(pages).collect();
    NewManifest { facts, rules, entries, retired: Vec::new() }
}
