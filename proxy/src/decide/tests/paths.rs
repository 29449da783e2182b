//! Which file answers which path.

use super::*;

#[test]
fn html_urls_follow_the_table_of_auto_trailing_slash() {
    let site = manifest(["both.html", "both/index.html", "file.html", "folder/index.html", "bin"]);
    let cases = [
        ("/file", "200 file.html"),
        ("/file/", "307 /file"),
        ("/file.html", "307 /file"),
        ("/file/index", "307 /file"),
        ("/file/index.html", "307 /file"),
        ("/folder", "307 /folder/"),
        ("/folder/", "200 folder/index.html"),
        ("/folder/index.html", "307 /folder/"),
        ("/folder/index", "307 /folder/"),
        ("/folder.html", "307 /folder/"),
        ("/both", "200 both.html"),
        ("/both.html", "307 /both"),
        ("/both/index.html", "307 /both/"),
        ("/both/index", "307 /both/"),
        ("/both/", "200 both/index.html"),
        ("/bin", "200 bin"),
        ("/bin/", "404"),
        ("/bin.html", "404"),
        ("/", "404"),
        ("/file?a=b", "200 file.html"),
        ("/file.html?a=b", "307 /file?a=b"),
        ("//file.html?a=//b", "307 /file?a=//b"),
        ("/x/..//folder", "307 /folder/"),
        ("/FILE", "404"),
    ];
    for (target, expected) in cases {
        assert_eq!(get(&site, target), expected, "GET {target}");
    }
}

#[test]
fn no_file_hides_behind_a_redirect_to_another() {
    // `a` and `a.html`, `index` and `index/index.html`: each has a URL of its own.
    let site = manifest([
        "a",
        "a.html",
        "b/index",
        "b/index.html",
        "c.html.html",
        "d",
        "d.html",
        "d/index.html",
        "index.html",
    ]);
    let cases = [
        ("/", "200 index.html"),
        ("/index.html", "307 /"),
        ("/index", "307 /"),
        ("/a", "200 a"),
        ("/a.html", "200 a.html"),
        ("/b/index", "200 b/index"),
        ("/b/index.html", "307 /b/"),
        ("/b/", "200 b/index.html"),
        ("/c.html", "200 c.html.html"),
        ("/c.html.html", "307 /c.html"),
        ("/c", "404"),
        ("/d.html", "200 d.html"),
    ];
    let with_page = |target: &str| {
        let answer = get(&site, target);
        if answer.starts_with("200 shell") { "404".to_owned() } else { answer }
    };
    for (target, expected) in cases {
        assert_eq!(with_page(target), expected, "GET {target}");
    }
}

#[test]
fn the_canonical_spelling_is_one_redirect_away() {
    let site = manifest(["a b.html", "ü/index.html", "x@y.txt", "404.html"]);
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
    let site = manifest(["404.html", "docs/404.html", "docs/a.html", "index.html", ".env", ".well-known/x"]);
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
        ("/.well-known/x", "200 .well-known/x"),
        ("/404.html", "307 /404"),
        ("/404", "200 404.html"),
    ];
    for (target, expected) in cases {
        assert_eq!(get(&site, target), expected, "GET {target}");
    }
    assert_eq!(get(&manifest(["a.txt"]), "/b"), "404");
    assert_eq!(
        get(&manifest(["docs/404.html", "index.html"]), "/b"),
        "404",
        "a 404.html anywhere means 404-page"
    );
}

#[test]
fn the_shell_answers_navigations_only() {
    let site = manifest(["index.html", "app.js", ".git/config"]);
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
        ("/deep/link", &[("accept", "text/html;q=0, */*")], shell),
        ("/deep/link", &[("accept", "application/json")], "404"),
        ("/deep/link", &[("accept", "image/*")], "404"),
        ("/deep/link", &[("accept", "*/*")], shell),
        ("/deep/link", &[], shell),
        ("/missing.js", &[("accept", "*/*")], "404"),
        ("/missing.css", &[], "404"),
        ("/missing.WOFF2", &[], "404"),
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
    let site = manifest(["index.html", "404.html"]);
    for (mode, expected) in [
        (NotFound::Auto, "404 404.html"),
        (NotFound::Page, "404 404.html"),
        (NotFound::SinglePageApplication, "200 shell index.html"),
        (NotFound::None, "404"),
    ] {
        let settings = ServeSettings { not_found: mode };
        let request = RequestHead { method: &Method::GET, target: b"/x", headers: &HeaderMap::new() };
        assert_eq!(summary(&decide(&site, &settings, request)), expected, "{mode:?}");
    }
}

#[test]
fn only_get_head_and_options_reach_files() {
    let site = manifest(["index.html", "a.html", "404.html"]);
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
