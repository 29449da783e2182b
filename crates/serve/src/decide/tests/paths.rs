//! Which file answers which path.

use super::*;

#[test]
fn the_canonical_spelling_is_one_redirect_away() {
    let site = site_of(["a b.html", "ü/index.html", "x@y.txt", "404.html"]);
    let cases = [
        ("/a%20b", "200 a b.html"),
        ("/a%20b.html", "307 /a%20b"),
        ("/%61%20b.html?q", "307 /a%20b?q"),
        ("/%c3%bc", "307 /%C3%BC/"),
        ("/%C3%BC/", "200 ü/index.html"),
        ("/x@y.txt", "307 /x%40y.txt"),
        ("/x%40y.txt", "200 x@y.txt"),
        ("/missing@", "307 /missing%40"),
        ("/missing%40", "404 404.html"),
        ("/..%2fx", "400"),
        ("/../x", "400"),
        ("/%", "400"),
    ];
    for (target, expected) in cases {
        assert_eq!(get(&site, target), expected, "GET {target}");
    }
}

#[test]
fn the_nearest_404_page_answers() {
    let site = site_of([
        "404.html",
        "docs/404.html",
        "docs/a.html",
        "index.html",
        ".env",
        ".well-known/x",
        ".git/404.html",
    ]);
    let cases = [
        ("/docs", "404 404.html"),
        ("/docs/", "404 docs/404.html"),
        ("/docs/x", "404 docs/404.html"),
        ("/docs/x/y/z", "404 docs/404.html"),
        ("/other/x", "404 404.html"),
        ("/x.js", "404 404.html"),
        ("/.env", "404 404.html"),
        ("/%2eenv", "404 404.html"),
        ("/docs/.git/config", "404 docs/404.html"),
        ("/.git/config", "404 404.html"),
        ("/.git/404.html", "404 404.html"),
        ("/.well-known/x", "200 .well-known/x"),
        ("/404.html", "307 /404"),
        ("/404", "200 404.html"),
    ];
    for (target, expected) in cases {
        assert_eq!(get(&site, target), expected, "GET {target}");
    }
    assert_eq!(get(&site_of(["a.txt"]), "/b"), "404");
    assert_eq!(
        get(&site_of(["docs/404.html", "index.html"]), "/b"),
        "404",
        "a 404.html anywhere means 404-page"
    );
}

#[test]
fn the_shell_answers_navigations_only() {
    let site = site_of(["index.html", "app.js", ".git/config"]);
    let shell = "200 shell index.html";
    type Lines = &'static [(&'static str, &'static str)];
    let cases: &[(&str, Lines, &str)] = &[
        ("/deep/link", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], shell),
        (
            "/deep/link",
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "text/html")],
            "404",
        ),
        ("/deep/link", &[("sec-fetch-site", "same-origin"), ("accept", "text/html")], "404"),
        ("/deep/link", &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")], "404"),
        ("/deep/link", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "image")], "404"),
        ("/x.js", &[("sec-fetch-dest", "script"), ("accept", "*/*")], "404"),
        ("/deep/link", &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")], shell),
        ("/deep/link", &[("accept", "application/json"), ("accept", "TEXT/HTML;q=0.5")], shell),
        ("/deep/link", &[("accept", "text/html;q=0, */*")], "404"),
        ("/deep/link", &[("accept", "application/json")], "404"),
        ("/deep/link", &[("accept", "image/*")], "404"),
        ("/deep/link", &[("accept", "*/*")], shell),
        ("/deep/link", &[], shell),
        ("/missing.js", &[("accept", "*/*")], "404"),
        ("/missing.css", &[], "404"),
        ("/missing.WOFF2", &[], "404"),
        ("/feed.atom", &[], "404"),
        ("/calendar.ics", &[("accept", "*/*")], "404"),
        ("/deep/link", &[("accept", "text/html;q=0")], "404"),
        ("/deep/link", &[("accept", "text/html; Q=0.0, */*")], "404"),
        ("/deep/link", &[("accept", "application/json;q=0")], "404"),
        ("/deep/link", &[("accept", "*/*;q=0.8")], shell),
        ("/user/jane.doe", &[], shell),
        ("/v1.2", &[("accept", "*/*")], shell),
        ("/app.js", &[("accept", "*/*")], "200 app.js"),
        ("/.git/config", &[("accept", "text/html")], "404"),
        ("/", &[], "200 index.html"),
    ];
    for (target, lines, expected) in cases {
        assert_eq!(ask(&site, &Method::GET, target, lines), *expected, "GET {target} {lines:?}");
    }
    assert_eq!(ask(&site, &Method::HEAD, "/deep", &[]), shell);
    assert_eq!(ask(&site, &Method::POST, "/deep", &[("accept", "text/html")]), "404");
}

#[test]
fn settings_fill_what_the_deployment_leaves_open() {
    let site = site_of(["index.html", "404.html"]);
    for (mode, expected) in [
        (NotFound::Auto, "404 404.html"),
        (NotFound::Page, "404 404.html"),
        (NotFound::SinglePageApplication, "200 shell index.html"),
        (NotFound::None, "404"),
    ] {
        let policy = Policy { settings: &ServeSettings { not_found: mode }, ..PRIMARY };
        assert_eq!(ask_with(&site, &policy, &Method::GET, b"/x", &[]), expected, "{mode:?}");
    }
}

#[test]
fn only_get_head_and_options_reach_files() {
    let site = site_of(["index.html", "a.html", "404.html"]);
    let cases = [
        (Method::HEAD, "/a", "200 a.html"),
        (Method::OPTIONS, "/a", "204"),
        (Method::OPTIONS, "*", "204"),
        (Method::POST, "/a", "405"),
        (Method::PUT, "/a.html", "405"),
        (Method::DELETE, "/", "405"),
        (Method::PATCH, "/missing", "404 404.html"),
        (Method::POST, "/../x", "400"),
    ];
    for (method, target, expected) in cases {
        assert_eq!(ask(&site, &method, target, &[]), expected, "{method} {target}");
    }
}
