//! Request targets, asked of sites in all modes of HTML handling, with and without rules.

use std::sync::LazyLock;

use http::{HeaderValue, Method};
use loggia_serve::compile::{Defaults, SourceFiles, compile};
use loggia_serve::{Site, Target as RequestTarget};
use loggia_types::manifest::{Facts, HtmlHandling, NotFound};
use loggia_types::route::ServeSettings;
use loggia_types::rules::{Dialect, Rules};

use crate::answers::{self, ensure};
use crate::harness::{Checked, Notes, Target};
use crate::world::{self, Question};

pub(crate) const TARGET: Target = Target {
    name: "request",
    dictionary: &[
        b"/",
        b"//",
        b"/.",
        b"/..",
        b"/./",
        b"/../",
        b"..",
        b".",
        b"%",
        b"%2e",
        b"%2E",
        b"%2f",
        b"%5c",
        b"\\",
        b"%00",
        b"%0d%0a",
        b"%25",
        b"%252e",
        b"%c3%bc",
        b"%C3%BC",
        "ü".as_bytes(),
        "u\u{308}".as_bytes(),
        b"%ff",
        b"?",
        b"#",
        b"&",
        b"=",
        b"+",
        b" ",
        b"*",
        b":",
        b"@",
        b"http://",
        b"https://evil.example",
        b"index",
        b"index.html",
        b".html",
        b"404.html",
        b"/a",
        b"/b",
        b"/c/",
        b"/a/b",
        b"/x",
        b"/to",
        b"/go/",
        b"/app/",
        b"/by/",
        b"/old",
        b"/private/",
        b"/secret",
        b"/gone",
        b"id=",
        b".git/",
        b".env",
        b"_headers",
        b".well-known/",
        b"assets/",
        b"old-hash.js",
        b"app-hash.js",
        b"a b",
        b"%20",
        b"d.html",
        b"e.html",
    ],
    len_max: 9 * 1024,
    check,
    made: Vec::new,
    repair: super::leave,
};

const REDIRECTS: &str = "
/old /a 301
/go/* /:splat
/by/:name /:name/ 308
/out/* https://example.com/:splat
/out/:label/* https://:label.example.com/:splat 302
/app/* /index.html 200
/show/* /:splat 200
/hide/* /.git/:splat 200
/conf /_headers 200
/gone/* 410
/taken 451
/missing/* /c/404.html 404
/q id=:id /:id/x
/q2 id=:id /show/:id 200
/force/* /a 200!
/a /b 302!
/same/* /same/:splat 301
/w//* /x/../:splat
/:a/:b/edit /:b/:a#:a
";

const HEADERS: &str = "
/*
  X-All: :splat
  Vary: Origin
/a/:name
  X-Name: :name
  Cache-Control: public, max-age=60
  Strict-Transport-Security: max-age=1; includeSubDomains
/private/*
  Basic-Auth: user:password
  Cache-Control: public
/c/* [status=404]
  Content-Type: text/plain
  ! Vary
file:/b/*
  X-Below: :splat
file:/404.html
  X-File: 1
";

/// In each mode: without rules, and with them in both dialects.
static SITES: LazyLock<Vec<Site>> =
    LazyLock::new(|| HtmlHandling::ALL.into_iter().flat_map(sites_in).collect());

fn sites_in(mode: HtmlHandling) -> [Site; 3] {
    let ruled = |dialect| {
        let files = SourceFiles {
            redirects: Some(REDIRECTS.as_bytes()),
            headers: Some(HEADERS.as_bytes()),
            ..SourceFiles::default()
        };
        let defaults = Defaults { dialect: Some(dialect), html_handling: Some(mode), ..Defaults::default() };
        let rules = compile(&files, &defaults).unwrap().rules;
        assert!(rules.redirects.len() >= 8 && rules.headers.len() >= 3, "{rules:?}");
        let facts = Facts { not_found: NotFound::SinglePageApplication, ..world::facts(dialect, mode) };
        world::site(facts, rules)
    };
    let plain = Facts { permanent: true, ..world::facts(Dialect::Netlify, mode) };
    [world::site(plain, Rules::default()), ruled(Dialect::Netlify), ruled(Dialect::Cloudflare)]
}

fn check(input: &[u8], notes: &mut Notes) -> Checked {
    check_target(input, notes)?;
    let settings = ServeSettings::default();
    for (number, site) in SITES.iter().enumerate() {
        notes.note(("site", number));
        for policy in world::policies(&settings) {
            let mut question = Question::get(input);
            for method in [Method::POST, Method::OPTIONS, Method::HEAD, Method::GET] {
                question.method = method;
                answers::check(site, &policy, &question, notes)?;
            }
            // user:password
            let credentials = HeaderValue::from_static("Basic dXNlcjpwYXNzd29yZA==");
            question.headers.insert("authorization", credentials);
            answers::check(site, &policy, &question, notes)?;
        }
    }
    Ok(())
}

/// The path is one of files: decoded once, with nothing in it that leads anywhere else.
fn check_target(input: &[u8], notes: &mut Notes) -> Checked {
    let target = match RequestTarget::parse(input) {
        Ok(target) => target,
        Err(error) => {
            notes.note(error.to_string());
            return Ok(());
        }
    };
    notes.note((target.is_canonical(), target.is_hidden(), target.query().is_some()));
    let path = target.path();
    let is_clean = !path.contains(|c: char| c.is_ascii_control() || c == '\\');
    ensure(is_clean, || format!("a path that no file has: {path:?}"))?;
    let segments = path.strip_suffix('/').unwrap_or(path);
    let are_names = segments.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
    ensure(path.is_empty() || are_names, || format!("a path that climbs: {path:?}"))?;

    let location = target.location(&[path]);
    let again = RequestTarget::parse(location.as_bytes()).map_err(|error| format!("{location}: {error}"))?;
    ensure(again.path() == path && again.is_canonical(), || {
        format!("{location} is not the spelling of {path:?}")
    })?;
    ensure(again.location(&[path]) == location, || format!("{location} changes when it is spelled again"))
}
