use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use loggia_types::build::Environment;
use loggia_types::content_hash::ContentHash;
use loggia_types::manifest::{Facts, HtmlHandling, NewEntry, NewManifest, NewRetired, NotFound};
use loggia_types::route::ServeSettings;
use loggia_types::rules::{Rules, Scheme};
use loggia_types::{DeploymentId, DeploymentRef, FolderRef, Manifest, ProjectId, Timestamp, media_type};
use proptest::prelude::*;

use super::*;
use crate::head;
use crate::request::RequestHead;

mod answers;
mod html_modes;
mod order;
mod paths;

const CREATED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

fn deployment_id() -> DeploymentId {
    DeploymentId::from_parts(2, 2)
}

/// A file's content is its path; names with `-hash.` are immutable.
pub(crate) fn entry(path: &str) -> NewEntry {
    NewEntry {
        path: path.parse().expect("a valid path"),
        hash: ContentHash::of(path.as_bytes()),
        size: path.len() as u64,
        folder: FolderRef::of_attempt(deployment_id(), 1),
        source_path: path.parse().expect("a valid path"),
        content_type: media_type::for_path(path),
        fingerprinted: path.contains("-hash."),
        immutable: path.contains("-hash."),
        variants: Vec::new(),
        link: None,
    }
}

fn facts() -> Facts {
    Facts {
        deployment: DeploymentRef { project_id: ProjectId::from_parts(1, 1), deployment_id: deployment_id() },
        created_at: Timestamp::from_unix_secs(1_700_000_000).expect("valid"),
        commit: None,
        branch: None,
        framework: None,
        dialect: Dialect::default(),
        html_handling: HtmlHandling::default(),
        not_found: NotFound::Auto,
        permanent: false,
        problems: Vec::new(),
    }
}

fn encoded(facts: Facts, rules: Rules, entries: Vec<NewEntry>, retired: Vec<NewRetired>) -> Manifest {
    let bytes = Manifest::encode(NewManifest { facts, rules, entries, retired }).expect("encodes");
    Manifest::parse(bytes).expect("parses")
}

pub(crate) fn manifest_of(entries: Vec<NewEntry>) -> Manifest {
    encoded(facts(), Rules::default(), entries, Vec::new())
}

fn site_of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Site {
    Site::open(manifest_of(paths.into_iter().map(entry).collect()))
}

fn site_in(mode: HtmlHandling, paths: &[&str]) -> Site {
    let facts = Facts { html_handling: mode, ..facts() };
    let entries = paths.iter().map(|path| entry(path)).collect();
    Site::open(encoded(facts, Rules::default(), entries, Vec::new()))
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"));
    }
    map
}

const PRIMARY: Policy<'static> = Policy {
    settings: &ServeSettings { not_found: NotFound::Auto },
    environment: Environment::Production,
    is_primary: true,
    is_platform_host: true,
};

fn request<'r>(method: &'r Method, target: &'r [u8], headers: &'r HeaderMap) -> RequestHead<'r> {
    RequestHead { method, target, headers, scheme: Scheme::Https, host: "shop.example.org", country: None }
}

fn ask(site: &Site, method: &Method, target: &str, lines: &[(&'static str, &str)]) -> String {
    ask_with(site, &PRIMARY, method, target.as_bytes(), lines)
}

fn ask_with(
    site: &Site,
    policy: &Policy<'_>,
    method: &Method,
    target: &[u8],
    lines: &[(&'static str, &str)],
) -> String {
    let headers = headers(lines);
    match Asked::parse(request(method, target, &headers)) {
        Ok(asked) => summary(&decide(site, policy, &asked).answer),
        Err(_) => "400".into(),
    }
}

fn get(site: &Site, target: &str) -> String {
    ask(site, &Method::GET, target, &[])
}

fn summary(answer: &Answer<'_>) -> String {
    match answer {
        Answer::Content(content) => {
            let path = content.entry.path();
            match (content.extent, content.role) {
                (Extent::Part(ranges), _) => {
                    let ranges =
                        ranges.as_slice().iter().map(|range| format!("{}-{}", range.first, range.last));
                    format!("206 {}", ranges.collect::<Vec<_>>().join(","))
                }
                (Extent::NotModified, _) => "304".into(),
                (Extent::NotSatisfiable, _) => "416".into(),
                (Extent::Whole, Role::StandIn(status)) => format!("{} {path}", status.code()),
                (Extent::Whole, Role::Shell) => format!("200 shell {path}"),
                (Extent::Whole, Role::Retired(_)) => format!("200 retired {path}"),
                (Extent::Whole, Role::File | Role::Rewritten) => format!("200 {path}"),
            }
        }
        Answer::Redirect { status, location } => format!("{status} {location}"),
        Answer::Nothing(status) => status.code().to_string(),
        Answer::Unauthorized => "401".into(),
        Answer::MethodNotAllowed => "405".into(),
        Answer::NotAcceptable => "406".into(),
        Answer::PreconditionFailed => "412".into(),
        Answer::Options => "204".into(),
    }
}

/// Status and headers that matter, in one line.
fn head(site: &Site, target: &str, lines: &[(&'static str, &str)], names: &[&str]) -> String {
    head_with(site, &PRIMARY, target, lines, names)
}

fn head_with(
    site: &Site,
    policy: &Policy<'_>,
    target: &str,
    lines: &[(&'static str, &str)],
    names: &[&str],
) -> String {
    let headers = headers(lines);
    let asked = Asked::parse(request(&Method::GET, target.as_bytes(), &headers)).expect("a good target");
    let decision = decide(site, policy, &asked);
    let parts = head::of_decision(site, policy, &asked, &decision).parts;
    let values =
        names.iter().map(|name| parts.headers.get(*name).and_then(|v| v.to_str().ok()).unwrap_or("-"));
    format!("{} {}", parts.status.as_u16(), values.collect::<Vec<_>>().join(" | "))
}

fn any_target() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("/"),
        Just("."),
        Just(".."),
        Just("a"),
        Just("b"),
        Just("index"),
        Just(".html"),
        Just("%2e"),
        Just("%2f"),
        Just("%5c"),
        Just("\\"),
        Just("%61"),
        Just("@"),
        Just("ü"),
        Just("?"),
        Just("#"),
        Just("%"),
        Just("%00"),
        Just("\r\n"),
        Just("404"),
    ];
    prop_oneof![
        proptest::collection::vec(piece, 0..14)
            .prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

fn any_site() -> impl Strategy<Value = Site> {
    let name = "(a|b|index|404)(/(a|b|index))?(/index)?(\\.html){0,2}";
    let paths = proptest::collection::btree_set(name, 0..8);
    (paths, proptest::sample::select(HtmlHandling::ALL.to_vec()))
        .prop_map(|(paths, mode)| site_in(mode, &paths.iter().map(String::as_str).collect::<Vec<_>>()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_redirect_is_safe_and_never_leads_to_another(site in any_site(), target in any_target()) {
        let headers = HeaderMap::new();
        let ask = |target: &[u8]| {
            let asked = Asked::parse(request(&Method::GET, target, &headers)).ok()?;
            Some(decide(&site, &PRIMARY, &asked).answer)
        };
        if let Some(Answer::Redirect { location, .. }) = ask(&target) {
            prop_assert!(location.starts_with('/'));
            prop_assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{location}");
            prop_assert!(location.bytes().all(|b| b.is_ascii_graphic()), "{location}");
            let next = ask(location.as_bytes());
            prop_assert!(!matches!(next, None | Some(Answer::Redirect { .. })), "{location}: {next:?}");
        }
    }

    #[test]
    fn every_file_can_be_reached_at_its_name(site in any_site()) {
        for entry in site.manifest().entries() {
            let mut target = format!("/{}", entry.path());
            let headers = HeaderMap::new();
            for _ in 0..2 {
                let asked = Asked::parse(request(&Method::GET, target.as_bytes(), &headers)).expect("good");
                match decide(&site, &PRIMARY, &asked).answer {
                    Answer::Redirect { location, .. } => target = location,
                    Answer::Content(content) => prop_assert_eq!(content.entry.path(), entry.path()),
                    other => prop_assert!(false, "{}: {:?}", target, other),
                }
            }
        }
    }
}
