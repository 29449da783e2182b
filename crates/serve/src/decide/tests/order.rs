//! The order of work: rules, files, earlier deployments, not found, and who is let in.

use loggia_types::manifest::Retirement;

use super::*;
use crate::compile::{Compiled, Defaults, SourceFiles, compile};

/// A site with rules, written as their files are.
struct Written<'t> {
    redirects: &'t str,
    headers: &'t str,
    settings: &'t str,
    files: &'t [&'t str],
    retired: &'t [&'t str],
}

const NOTHING: Written<'static> =
    Written { redirects: "", headers: "", settings: "", files: &["index.html"], retired: &[] };

impl Written<'_> {
    fn open(&self) -> Site {
        let sources = SourceFiles {
            redirects: Some(self.redirects.as_bytes()),
            headers: Some(self.headers.as_bytes()),
            loggia_toml: Some(self.settings.as_bytes()),
            ..SourceFiles::default()
        };
        let Compiled { dialect, html_handling, not_found, permanent, rules, problems, .. } =
            compile(&sources, &Defaults::default()).expect("within limits");
        assert_eq!(problems, [], "the rules are right");
        let retirement = Retirement {
            deployment_id: DeploymentId::from_parts(1, 7),
            retired_at: Timestamp::from_unix_secs(1_700_000_000).expect("valid"),
            age: 1,
        };
        let retired = self.retired.iter().map(|path| NewRetired { entry: entry(path), retirement }).collect();
        let facts = Facts { dialect, html_handling, not_found, permanent, ..facts() };
        Site::open(encoded(facts, rules, self.files.iter().map(|path| entry(path)).collect(), retired))
    }
}

fn check(site: &Site, cases: &[(&str, &str)]) {
    for (target, expected) in cases {
        assert_eq!(get(site, target), *expected, "GET {target}");
    }
}

#[test]
fn in_the_netlify_dialect_files_come_before_rules_unless_these_are_forced() {
    let redirects = "/a /b 301\n/forced /b 301!\n/shown /b 200\n/gone 410\n/missing /none 404\n/* /app 200\n";
    let files = &["a.html", "b.html", "forced.html", "app.html", "404.html", "index.html"];
    let site = Written { redirects, files, ..NOTHING }.open();
    check(
        &site,
        &[
            ("/a", "200 a.html"),
            ("/a.html", "307 /a"),
            ("/forced", "301 /b"),
            ("/forced.html", "307 /forced"),
            ("/shown", "200 b.html"),
            ("/gone", "410"),
            ("/missing", "404 404.html"),
            ("/x/y", "200 app.html"),
            ("/x.js", "200 app.html"),
            ("/.env", "200 app.html"),
        ],
    );
    let post = |target| ask(&site, &Method::POST, target, &[]);
    assert_eq!(
        [post("/forced"), post("/a"), post("/shown"), post("/gone")],
        ["301 /b", "405", "405", "410"],
        "rules answer every method, files only some"
    );
}

#[test]
fn in_the_cloudflare_dialect_rules_come_before_files() {
    let settings = "[serve]\ndialect = \"cloudflare\"\n";
    let redirects = "/blog/* /news/:splat\n/a /b\n/docs/:page /manual/:page 200\n";
    let files = &["a.html", "b.html", "manual/x.html", "docs/x.html", "blog/index.html", "index.html"];
    let site = Written { redirects, settings, files, ..NOTHING }.open();
    check(
        &site,
        &[
            ("/a", "302 /b"),
            ("/a.html", "307 /a"),
            ("/docs/x", "200 manual/x.html"),
            ("/blog/", "302 /news/"),
            ("/blog", "307 /blog/"),
            ("/b", "200 b.html"),
        ],
    );
}

#[test]
fn a_rewrite_replaces_the_path_once_and_never_redirects() {
    let redirects = "/spelled /page.html 200\n/folder /docs 200\n/first /second 200\n/second /page 200\n\
                     /deep/* /docs/:splat 200\n/secret /.env 200\n/settings /_headers 200\n";
    let files = &["page.html", "docs/index.html", "docs/404.html", "404.html", ".env", "_headers"];
    let site = Written { redirects, files, ..NOTHING }.open();
    check(
        &site,
        &[
            ("/spelled", "200 page.html"),
            ("/folder", "200 docs/index.html"),
            ("/first", "404 404.html"),
            ("/second", "200 page.html"),
            ("/deep/none", "404 docs/404.html"),
            ("/deep//none", "307 /deep/none"),
            ("/secret", "404 404.html"),
            ("/settings", "404 404.html"),
            ("/_headers", "404 404.html"),
        ],
    );
}

#[test]
fn what_a_rewrite_shows_is_not_kept_for_good() {
    let files = &["assets/app-hash.js", "index.html"];
    let site = Written { redirects: "/app.js /assets/app-hash.js 200\n", files, ..NOTHING }.open();
    let caching = |target| head(&site, target, &[], &["cache-control"]);
    assert_eq!(caching("/app.js"), "200 public, max-age=0, must-revalidate");
    assert_eq!(caching("/assets/app-hash.js"), "200 public, max-age=31536000, immutable");
}

#[test]
fn files_of_earlier_deployments_come_before_rules_that_catch_everything() {
    let redirects = "/* /index.html 200\n";
    let site = Written { redirects, retired: &["assets/app-hash.js"], ..NOTHING }.open();
    check(&site, &[("/assets/app-hash.js", "200 retired assets/app-hash.js"), ("/x", "200 index.html")]);
    let names = ["x-loggia-deployment", "cache-control"];
    assert_eq!(
        head(&site, "/assets/app-hash.js", &[], &names),
        format!("200 {} | public, max-age=31536000, immutable", DeploymentId::from_parts(1, 7))
    );
    assert_eq!(ask(&site, &Method::POST, "/assets/app-hash.js", &[]), "405");
}

#[test]
fn previews_say_which_rule_fired() {
    let redirects = "# one\n/a /b 301\n/c /index.html 200\n";
    let site = Written { redirects, ..NOTHING }.open();
    let preview = Policy { environment: Environment::Preview, is_primary: false, ..PRIMARY };
    let names = ["x-loggia-rule", "x-robots-tag"];
    for (target, expected) in
        [("/a", "301 _redirects:2 | noindex"), ("/c", "200 _redirects:3 | noindex"), ("/", "200 - | noindex")]
    {
        assert_eq!(head_with(&site, &preview, target, &[], &names), expected, "{target}");
    }
    assert_eq!(head(&site, "/a", &[], &names), "301 - | -");
    let headers = "/*\n  ! X-Robots-Tag\n/b\n  X-Robots-Tag: all\n/n\n  X-Robots-Tag: none\n";
    let site = Written { headers, ..NOTHING }.open();
    for (target, expected) in [("/", "noindex"), ("/b", "all, noindex"), ("/n", "none")] {
        let shown = head_with(&site, &preview, target, &[], &["x-robots-tag"]);
        assert_eq!(shown.split_once(' ').map(|(_, shown)| shown), Some(expected), "{target}");
    }
}

#[test]
fn headers_apply_to_every_answer() {
    let headers = "/*\n  X-Site: yes\n/old\n  X-Old: yes\n/*[status=404]\n  X-Missing: yes\n\
                   /*[context=preview]\n  X-Preview: yes\nfile:/index.html\n  X-File: index\n";
    let site = Written { redirects: "/old / 301\n", headers, ..NOTHING }.open();
    let names = ["x-site", "x-old", "x-missing", "x-preview", "x-file"];
    for (target, lines, expected) in [
        ("/", &[][..], "200 yes | - | - | - | index"),
        ("/", &[("if-none-match", "*")], "304 yes | - | - | - | index"),
        ("/deep", &[("accept", "text/html")], "200 yes | - | - | - | index"),
        ("/old", &[], "301 yes | yes | - | - | -"),
        ("/missing.js", &[], "404 yes | - | yes | - | -"),
    ] {
        assert_eq!(head(&site, target, lines, &names), expected, "{target} {lines:?}");
    }
    let preview = Policy { environment: Environment::Preview, ..PRIMARY };
    assert_eq!(head_with(&site, &preview, "/", &[], &names), "200 yes | - | - | yes | index");
}

#[test]
fn rules_cannot_change_what_the_bytes_depend_on() {
    let headers = "/*\n  Vary: Cookie\n  Cache-Control: public\n  Content-Type: text/x-mine\n/in/*\n  Basic-Auth: a:b\n";
    let site = Written { headers, files: &["index.html", "in/x.txt"], ..NOTHING }.open();
    let names = ["vary", "cache-control", "content-type"];
    assert_eq!(head(&site, "/", &[], &names), "200 Cookie, Accept-Encoding | public | text/x-mine");
    let several = head(&site, "/", &[("range", "bytes=0-0,5-5")], &names);
    assert!(several.starts_with("206 Cookie, Accept-Encoding | public | multipart/byteranges; boundary="));
    let inside = head(&site, "/in/x.txt", &[("authorization", "Basic YTpi")], &names);
    assert_eq!(inside, "200 Cookie, Accept-Encoding | private, no-store | text/x-mine");
}

#[test]
fn passwords_protect_a_file_however_it_is_asked_for() {
    let headers =
        "/admin\n  Basic-Auth: ann:one bob:two\n/in/*\n  Basic-Auth: ann:one\nfile:/note.txt\n  X: y\n";
    let redirects =
        "/forced /elsewhere 301!\n/in/old /new 301!\n/door /admin 200\n/window/* /in/:splat 200\n";
    let files = &["admin.html", "in/index.html", "in/deep/x.html", "404.html", "open.html", "note.txt"];
    let site = Written { headers, redirects, files, ..NOTHING }.open();
    // ann:one, bob:two, ann:two
    let (ann, bob, wrong) = ("Basic YW5uOm9uZQ==", "Basic Ym9iOnR3bw==", "Basic YW5uOnR3bw==");
    let cases = [
        // path            ann                        bob
        ("/admin", "200 admin.html", "200 admin.html"),
        ("/admin.html", "307 /admin", "307 /admin"),
        ("/admin/", "307 /admin", "307 /admin"),
        ("/door", "200 admin.html", "200 admin.html"),
        ("/in", "307 /in/", "401"),
        ("/in/", "200 in/index.html", "401"),
        ("/in/deep/x", "200 in/deep/x.html", "401"),
        ("/in/none", "404 404.html", "401"),
        ("/in/old", "301 /new", "401"),
        ("/window/deep/x", "200 in/deep/x.html", "401"),
        ("//in//deep/x", "307 /in/deep/x", "401"),
        ("/%69n/", "307 /in/", "401"),
        ("/x/../in/", "307 /in/", "401"),
    ];
    for (target, of_ann, of_bob) in cases {
        let with = |credentials| ask(&site, &Method::GET, target, &[("authorization", credentials)]);
        assert_eq!((with(ann).as_str(), with(bob).as_str()), (of_ann, of_bob), "GET {target}");
        let closed = |answer: &str| answer == "401" || answer.starts_with("307 /admin");
        assert!(closed(&with(wrong)) && closed(&get(&site, target)), "GET {target} by strangers");
    }
    for target in ["/open", "/note.txt", "/forced", "/missing"] {
        assert_ne!(get(&site, target), "401", "GET {target}");
    }
    assert_eq!(ask(&site, &Method::OPTIONS, "/in/", &[]), "204");
    let names = ["www-authenticate", "cache-control"];
    let challenge = head(&site, "/in/", &[], &names);
    assert_eq!(challenge, "401 Basic realm=\"protected\", charset=\"UTF-8\" | private, no-store");
    let redirect = head(&site, "/in", &[("authorization", ann)], &["cache-control"]);
    assert_eq!(redirect, "307 private, no-store");
}
