//! Validators, ranges and headers of an answer.

use super::super::range::{self, RangeRequest};
use super::*;

fn tag(content: &str) -> String {
    format!("{:?}", EntityTag::new(ContentHash::of(content.as_bytes()), None))
}

#[test]
fn conditions_are_answered_from_the_manifest() {
    let site = site_of(["a.html", "404.html"]);
    let etag = tag("a.html");
    let (weak, list) = (format!("W/{etag}"), format!("\"x, y\", {etag} , \"z\""));
    let inside = format!("\"x{}\"", etag.trim_matches('"'));
    let cases: &[(&[(&'static str, &str)], &str)] = &[
        (&[("if-none-match", &etag)], "304"),
        (&[("if-none-match", &weak)], "304"),
        (&[("if-none-match", &list)], "304"),
        (&[("if-none-match", "\"x\""), ("if-none-match", &etag)], "304"),
        (&[("if-none-match", "*")], "304"),
        (&[("if-none-match", "\"x\"")], "200 a.html"),
        (&[("if-none-match", &inside)], "200 a.html"),
        (&[("if-none-match", "\"unclosed")], "200 a.html"),
        (&[("if-none-match", "")], "200 a.html"),
        (&[("if-modified-since", CREATED)], "304"),
        (&[("if-modified-since", "Tue, 14 Nov 2023 22:13:21 GMT")], "304"),
        (&[("if-modified-since", "Tue, 14 Nov 2023 22:13:19 GMT")], "200 a.html"),
        (&[("if-modified-since", "yesterday")], "200 a.html"),
        (&[("if-modified-since", CREATED), ("if-modified-since", CREATED)], "200 a.html"),
        (&[("if-none-match", "\"x\""), ("if-modified-since", CREATED)], "200 a.html"),
        (&[("if-none-match", &etag), ("range", "bytes=0-1")], "304"),
        (&[("if-match", &etag)], "200 a.html"),
        (&[("if-match", &format!("\"x\", {etag}"))], "200 a.html"),
        (&[("if-match", "*")], "200 a.html"),
        (&[("if-match", "\"x\"")], "412"),
        (&[("if-match", &weak)], "412"),
        (&[("if-match", "\"x\""), ("if-none-match", &etag)], "412"),
        (&[("if-match", &etag), ("if-none-match", &etag)], "304"),
        (&[("if-match", "\"x\""), ("range", "bytes=0-1")], "412"),
        (&[("if-unmodified-since", CREATED)], "200 a.html"),
        (&[("if-unmodified-since", "Tue, 14 Nov 2023 22:13:19 GMT")], "412"),
        (&[("if-unmodified-since", "yesterday")], "200 a.html"),
        (
            &[
                ("if-unmodified-since", "Tue, 14 Nov 2023 22:13:19 GMT"),
                ("if-unmodified-since", "Tue, 14 Nov 2023 22:13:19 GMT"),
            ],
            "200 a.html",
        ),
        (&[("if-match", &etag), ("if-unmodified-since", "Tue, 14 Nov 2023 22:13:19 GMT")], "200 a.html"),
    ];
    for (lines, expected) in cases {
        assert_eq!(ask(&site, &Method::GET, "/a", lines), *expected, "{lines:?}");
        assert_eq!(ask(&site, &Method::HEAD, "/a", lines), *expected, "HEAD {lines:?}");
    }
    assert_eq!(ask(&site, &Method::GET, "/missing", &[("if-none-match", "*")]), "404 404.html");
    assert_eq!(ask(&site, &Method::GET, "/missing", &[("if-match", "*")]), "404 404.html");
}

#[test]
fn ranges_are_taken_from_the_stored_content() {
    let site = site_of(["ten-bytes.", "404.html"]);
    let etag = tag("ten-bytes.");
    let weak = format!("W/{etag}");
    let whole = "200 ten-bytes.";
    let cases: &[(&[(&'static str, &str)], &str)] = &[
        (&[("range", "bytes=0-4")], "206 0-4"),
        (&[("range", "bytes=0-0")], "206 0-0"),
        (&[("range", "bytes=4-")], "206 4-9"),
        (&[("range", "bytes=-3")], "206 7-9"),
        (&[("range", "bytes=-99")], "206 0-9"),
        (&[("range", "bytes=5-99")], "206 5-9"),
        (&[("range", "BYTES=5-5")], "206 5-5"),
        (&[("range", "bytes=9-99999999999999999999999")], "206 9-9"),
        (&[("range", "bytes=10-")], "416"),
        (&[("range", "bytes=99999999999999999999999-")], "416"),
        (&[("range", "bytes=-0")], "416"),
        (&[("range", "bytes=4-2")], "416"),
        (&[("range", "bytes=3-4,0-1")], "206 3-4,0-1"),
        (&[("range", "bytes=0-1"), ("accept-encoding", "identity;q=0")], "406"),
        (&[("range", "bytes=0-1,1-4")], "206 0-4"),
        (&[("range", "bytes=")], whole),
        (&[("range", "bytes=a-b")], whole),
        (&[("range", "bytes=+1-2")], whole),
        (&[("range", "lines=0-1")], whole),
        (&[("range", "0-1")], whole),
        (&[("range", "bytes=0-1"), ("range", "bytes=2-3")], whole),
        (&[("range", "bytes=0-1"), ("if-range", &etag)], "206 0-1"),
        (&[("range", "bytes=0-1"), ("if-range", CREATED)], "206 0-1"),
        (&[("range", "bytes=0-1"), ("if-range", &weak)], whole),
        (&[("range", "bytes=0-1"), ("if-range", "\"x\"")], whole),
        (&[("range", "bytes=0-1"), ("if-range", CREATED), ("if-range", CREATED)], whole),
        (&[("range", "bytes=0-1"), ("if-range", "Tue, 14 Nov 2023 22:13:21 GMT")], whole),
        (&[("range", "bytes=99-"), ("if-range", "\"x\"")], whole),
    ];
    for (lines, expected) in cases {
        assert_eq!(ask(&site, &Method::GET, "/ten-bytes.", lines), *expected, "{lines:?}");
    }
    assert_eq!(ask(&site, &Method::HEAD, "/ten-bytes.", &[("range", "bytes=0-1")]), whole);
    assert_eq!(ask(&site, &Method::GET, "/missing", &[("range", "bytes=0-1")]), "404 404.html");
}

#[test]
fn an_empty_file_has_no_ranges() {
    for (line, expected) in [
        ("bytes=0-", RangeRequest::NotSatisfiable),
        ("bytes=-1", RangeRequest::Whole),
        ("bytes=-0", RangeRequest::NotSatisfiable),
    ] {
        assert_eq!(range::requested(&headers(&[("range", line)]), 0), expected, "{line}");
    }
}

#[test]
fn caching_follows_the_content() {
    let page = site_of(["index.html", "a/app-hash.js", "data.json", "404.html"]);
    let app = site_of(["index.html"]);
    let names = ["cache-control", "content-type", "content-length", "accept-ranges"];
    let cases = [
        (&page, "/", "200 public, max-age=0, must-revalidate | text/html; charset=utf-8 | 10 | bytes"),
        (
            &page,
            "/a/app-hash.js",
            "200 public, max-age=31536000, immutable | text/javascript; charset=utf-8 | 13 | bytes",
        ),
        (&page, "/data.json", "200 public, max-age=0, must-revalidate | application/json | 9 | bytes"),
        (&page, "/x", "404 no-store | text/html; charset=utf-8 | 8 | -"),
        (&app, "/x", "200 public, max-age=0, must-revalidate | text/html; charset=utf-8 | 10 | bytes"),
        (&app, "/x.js", "404 no-store | - | - | -"),
    ];
    for (site, target, expected) in cases {
        assert_eq!(head(site, target, &[], &names), expected, "GET {target}");
    }
}

#[test]
fn partial_and_conditional_answers_describe_the_file() {
    let site = site_of(["ten-bytes."]);
    let etag = tag("ten-bytes.");
    let names = ["content-length", "content-range", "content-type", "etag", "last-modified"];
    let cases: &[(&[(&'static str, &str)], String)] = &[
        (&[], format!("200 10 | - | application/octet-stream | {etag} | {CREATED}")),
        (
            &[("range", "bytes=2-3")],
            format!("206 2 | bytes 2-3/10 | application/octet-stream | {etag} | {CREATED}"),
        ),
        (&[("range", "bytes=10-")], "416 0 | bytes */10 | - | - | -".to_owned()),
        (&[("if-none-match", "*")], format!("304 - | - | - | {etag} | {CREATED}")),
    ];
    for (lines, expected) in cases {
        assert_eq!(head(&site, "/ten-bytes.", lines, &names), *expected, "{lines:?}");
    }
}

#[test]
fn every_answer_has_the_platform_headers() {
    let site = site_of(["a.html"]);
    let names = ["x-content-type-options", "referrer-policy", "server", "x-robots-tag"];
    for target in ["/a", "/a.html", "/missing"] {
        let line = head(&site, target, &[], &names);
        assert!(line.ends_with("nosniff | strict-origin-when-cross-origin | loggia | -"), "{target}: {line}");
    }
    let elsewhere = Policy { is_primary: false, ..PRIMARY };
    assert_eq!(head_with(&site, &elsewhere, "/a", &[], &["x-robots-tag"]), "200 noindex");
    let shell = site_of(["index.html"]);
    assert_eq!(
        head(&shell, "/x", &[], &["vary"]),
        "200 Accept-Encoding, Accept, Sec-Fetch-Dest, Sec-Fetch-Mode"
    );
    let redirect = head(&site, "/a.html?q=1", &[], &["location", "content-length"]);
    assert_eq!(redirect, "307 /a?q=1 | 0");
}
