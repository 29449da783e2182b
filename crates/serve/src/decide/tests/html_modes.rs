//! The four modes of HTML handling, row by row as docs/BEHAVIOR.md shows them.

use super::*;

const MODES: [HtmlHandling; 4] = HtmlHandling::ALL;

#[test]
fn html_urls_follow_the_table() {
    let files =
        ["both.html", "both/index.html", "file.html", "folder/index.html", "bin", "index.html", "404.html"];
    #[rustfmt::skip]
    let cases: &[(&str, [&str; 4])] = &[
        // request             auto-trailing-slash      force-trailing-slash     drop-trailing-slash      none
        ("/file",              ["200 file.html",         "307 /file/",            "200 file.html",         "404"]),
        ("/file/",             ["307 /file",             "200 file.html",         "307 /file",             "404"]),
        ("/file.html",         ["307 /file",             "307 /file/",            "307 /file",             "200 file.html"]),
        ("/file/index",        ["307 /file",             "307 /file/",            "307 /file",             "404"]),
        ("/file/index.html",   ["307 /file",             "307 /file/",            "307 /file",             "404"]),
        ("/folder",            ["307 /folder/",          "307 /folder/",          "200 folder/index.html", "404"]),
        ("/folder/",           ["200 folder/index.html", "200 folder/index.html", "307 /folder",           "404"]),
        ("/folder/index.html", ["307 /folder/",          "307 /folder/",          "307 /folder",           "200 folder/index.html"]),
        ("/folder/index",      ["307 /folder/",          "307 /folder/",          "307 /folder",           "404"]),
        ("/folder.html",       ["307 /folder/",          "307 /folder/",          "307 /folder",           "404"]),
        ("/both",              ["200 both.html",         "307 /both/",            "200 both.html",         "404"]),
        ("/both.html",         ["307 /both",             "200 both.html",         "307 /both",             "200 both.html"]),
        ("/both/index.html",   ["307 /both/",            "307 /both/",            "200 both/index.html",   "200 both/index.html"]),
        ("/both/index",        ["307 /both/",            "307 /both/",            "307 /both",             "404"]),
        ("/both/",             ["200 both/index.html",   "200 both/index.html",   "307 /both",             "404"]),
        ("/bin",               ["200 bin";               4]),
        ("/bin/",              ["404";                   4]),
        ("/bin.html",          ["404";                   4]),
        ("/",                  ["200 index.html";        4]),
        ("/index.html",        ["307 /",                 "307 /",                 "307 /",                 "200 index.html"]),
        ("/index",             ["307 /",                 "307 /",                 "307 /",                 "404"]),
        ("/file.html?a=b",     ["307 /file?a=b",         "307 /file/?a=b",        "307 /file?a=b",         "200 file.html"]),
        ("//file.html",        ["307 /file",             "307 /file/",            "307 /file",             "307 /file.html"]),
        ("/FILE",              ["404";                   4]),
        ("/x/..//folder",      ["307 /folder/",          "307 /folder/",          "307 /folder",           "307 /folder"]),
    ];
    for (column, mode) in MODES.into_iter().enumerate() {
        let site = site_in(mode, &files);
        for (target, expected) in cases {
            let found = get(&site, target);
            let found = found.strip_suffix(" 404.html").unwrap_or(&found);
            assert_eq!(found, expected[column], "GET {target} in {}", mode.as_str());
        }
    }
}

#[test]
fn permanent_redirects_are_308() {
    let facts = Facts { permanent: true, ..facts() };
    let site = Site::open(encoded(facts, Rules::default(), vec![entry("a.html")], Vec::new()));
    assert_eq!(get(&site, "/a.html"), "308 /a");
    assert_eq!(get(&site, "/%61"), "308 /a");
}

#[test]
fn in_every_mode_each_file_has_a_url_of_its_own() {
    let files = [
        "a",
        "a.html",
        "b/index",
        "b/index.html",
        "c.html.html",
        "d",
        "d.html",
        "d/index.html",
        "index.html",
    ];
    #[rustfmt::skip]
    let cases: &[(&str, [&str; 3])] = &[
        // request          auto-trailing-slash     force-trailing-slash    drop-trailing-slash
        ("/a",              ["200 a",               "200 a",                "200 a"]),
        ("/a.html",         ["200 a.html",          "307 /a/",              "200 a.html"]),
        ("/index",          ["307 /",               "307 /",                "307 /"]),
        ("/c.html",         ["200 c.html.html",     "307 /c.html/",         "200 c.html.html"]),
        ("/b/index",        ["200 b/index",         "200 b/index",          "200 b/index"]),
        ("/b/index.html",   ["307 /b/",             "307 /b/",              "307 /b"]),
        ("/c.html.html",    ["307 /c.html",         "307 /c.html/",         "307 /c.html"]),
        ("/d",              ["200 d",               "200 d",                "200 d"]),
        ("/d.html",         ["200 d.html",          "200 d.html",           "200 d.html"]),
        ("/d/index.html",   ["307 /d/",             "307 /d/",              "200 d/index.html"]),
    ];
    for (column, mode) in MODES[..3].iter().enumerate() {
        let site = site_in(*mode, &files);
        for (target, expected) in cases {
            assert_eq!(get(&site, target), expected[column], "GET {target} in {}", mode.as_str());
        }
    }
}
