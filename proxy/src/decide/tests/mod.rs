use http::header::{HeaderName, HeaderValue};
use loggia_types::content_hash::ContentHash;
use loggia_types::manifest::{Facts, NewEntry, NotFound};
use loggia_types::{DeploymentId, DeploymentRef, FolderRef, ProjectId, Timestamp, media_type};
use proptest::prelude::*;

use super::*;

mod answers;
mod paths;

const CREATED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// A file's content is its path; names with `-hash.` are immutable.
pub(crate) fn manifest<'a>(paths: impl IntoIterator<Item = &'a str>) -> Manifest {
    let deployment_id = DeploymentId::from_parts(2, 2);
    let facts = Facts {
        deployment: DeploymentRef { project_id: ProjectId::from_parts(1, 1), deployment_id },
        created_at: Timestamp::from_unix_secs(1_700_000_000).expect("valid"),
        commit: None,
        branch: None,
        framework: None,
        html_handling: HtmlHandling::default(),
        not_found: NotFound::Auto,
        problems: Vec::new(),
    };
    let entry = |path: &str| NewEntry {
        path: path.parse().expect("a valid path"),
        hash: ContentHash::of(path.as_bytes()),
        size: path.len() as u64,
        folder: FolderRef::of_attempt(deployment_id, 1),
        content_type: media_type::for_path(path),
        fingerprinted: path.contains("-hash."),
        immutable: path.contains("-hash."),
    };
    let bytes = Manifest::encode(&facts, paths.into_iter().map(entry).collect()).expect("encodes");
    Manifest::parse(&bytes).expect("parses")
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"));
    }
    map
}

fn ask(site: &Manifest, method: &Method, target: &str, lines: &[(&'static str, &str)]) -> String {
    let settings = ServeSettings::default();
    let headers = headers(lines);
    summary(&decide(site, &settings, RequestHead { method, target: target.as_bytes(), headers: &headers }))
}

fn get(site: &Manifest, target: &str) -> String {
    ask(site, &Method::GET, target, &[])
}

fn summary(decision: &Decision<'_>) -> String {
    let name = |served: &Served<'_>| served.entry.path().to_owned();
    match decision {
        Decision::Whole(served) if served.role == Role::NotFoundPage => format!("404 {}", name(served)),
        Decision::Whole(served) if served.role == Role::Shell => format!("200 shell {}", name(served)),
        Decision::Whole(served) => format!("200 {}", name(served)),
        Decision::Part(_, range) => format!("206 {}-{}", range.first, range.last),
        Decision::NotModified(_) => "304".into(),
        Decision::RangeNotSatisfiable(_) => "416".into(),
        Decision::Redirect { location } => format!("307 {location}"),
        Decision::NotFound => "404".into(),
        Decision::MethodNotAllowed => "405".into(),
        Decision::Options => "204".into(),
        Decision::BadRequest(_) => "400".into(),
    }
}

/// Status and headers that matter, in one line.
fn head(site: &Manifest, target: &str, lines: &[(&'static str, &str)], names: &[&str]) -> String {
    let headers = headers(lines);
    let request = RequestHead { method: &Method::GET, target: target.as_bytes(), headers: &headers };
    let parts = headers::of_decision(&decide(site, &ServeSettings::default(), request), site, true);
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

fn any_site() -> impl Strategy<Value = Manifest> {
    let name = "(a|b|index|404)(/(a|b|index))?(/index)?(\\.html){0,2}";
    proptest::collection::btree_set(name, 0..8).prop_map(|paths| manifest(paths.iter().map(String::as_str)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_redirect_is_safe_and_never_leads_to_another(site in any_site(), target in any_target()) {
        let (headers, settings) = (HeaderMap::new(), ServeSettings::default());
        let ask = |target: &[u8]| {
            decide(&site, &settings, RequestHead { method: &Method::GET, target, headers: &headers })
        };
        if let Decision::Redirect { location } = ask(&target) {
            prop_assert!(location.starts_with('/'));
            prop_assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{location}");
            prop_assert!(location.bytes().all(|b| b.is_ascii_graphic()), "{location}");
            let next = ask(location.as_bytes());
            prop_assert!(!matches!(next, Decision::Redirect { .. } | Decision::BadRequest(_)), "{location}: {next:?}");
        }
    }

    #[test]
    fn every_file_can_be_reached_at_its_name(site in any_site()) {
        for entry in site.entries() {
            let mut target = format!("/{}", entry.path());
            let headers = HeaderMap::new();
            for _ in 0..2 {
                let settings = ServeSettings::default();
                let request = RequestHead { method: &Method::GET, target: target.as_bytes(), headers: &headers };
                match decide(&site, &settings, request) {
                    Decision::Redirect { location } => target = location,
                    Decision::Whole(served) => prop_assert_eq!(served.entry.path(), entry.path()),
                    other => prop_assert!(false, "{}: {:?}", target, other),
                }
            }
        }
    }
}
