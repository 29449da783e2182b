use super::*;
use crate::compile::headers::NOBODY;
use loggia_types::content_hash::ContentHash;

fn check(rows: &[(&str, &str)]) {
    check_headers(Dialect::Netlify, rows);
}

fn refused(text: &[u8]) -> Refused {
    let files = SourceFiles { headers: Some(text), ..SourceFiles::default() };
    in_dialect(Dialect::Netlify, &files).expect_err("a password that protects nothing")
}

#[test]
fn a_block_sets_joins_and_removes() {
    check(&[
        ("/a\n  X-A: 1\n  X-B: two words", "/a~ x-a={1} x-b={two words}"),
        ("\u{feff}/a\r\n\tX-A:1\r\n", "/a~ x-a={1}"),
        ("/a\nX-A: 1", "/a~ x-a={1}"),
        ("/a # why\n  # why\n\n  X-A: 1 # kept", "/a~ x-a={1 # kept}"),
        ("/a\n  X-A: 1\n  x-a: 2\n  X-A: 3", "/a~ x-a={1, 2, 3}"),
        ("/a\n  X-A: 1\n  ! X-B\n  ! x-b\n  ! X-A", "/a~ -x-b -x-a x-a={1}"),
        ("/a\n  X-A: a:b:c", "/a~ x-a={a:b:c}"),
        ("/a\n  X-A: a\tb", "/a~ x-a={a b}"),
        (
            "/a\n  Link: </x.css>; rel=preload, <https://x.example/>; rel=y",
            "/a~ link={</x.css>; rel=preload, <https://x.example/>; rel=y}",
        ),
        ("/a\n  X-A: 1\n/b\n  X-B: 2", "/a~ x-a={1}\n/b~ x-b={2}"),
        ("/a\n/b\n  X-B: 2", "/b~ x-b={2}\n! sets nothing"),
        ("/a", "! sets nothing"),
        (
            "/*\n  Strict-Transport-Security: max-age=1; includeSubDomains",
            "/<*>~ strict-transport-security={max-age=1; includeSubDomains}",
        ),
    ]);
}

#[test]
fn a_block_is_chosen_by_path_url_file_environment_or_status() {
    check(&[
        ("/a/*\n X: :splat/:b", "/a/<*>~ x={<*>/:b}"),
        ("/:a/x\n X: v-:a-:ab", "/<a>/x~ x={v-<a>-:ab}"),
        ("/*.js\n X: 1", "/*.js~ x={1}\n! stands for itself"),
        ("https://Www.example.org/a\n X: 1", "https://www.example.org/a~ x={1}"),
        ("https://example.org\n X: 1", "https://example.org/~ x={1}"),
        ("https://example.org:8443/\n X: 1", "! names a port"),
        ("https://:p.example.org/\n X: 1", "! write a full name"),
        ("ftp://example.org/\n X: 1", "! no scheme"),
        ("file:/index.html\n X: 1", "file:/index.html x={1}"),
        ("file:/docs/*\n X: :splat", "file:/docs/<*> x={<*>}"),
        ("file:/docs/\n X: 1", "! no file"),
        ("file://docs/a\n X: 1", "! begins with two slashes"),
        ("/a [context=preview]\n X: 1", "/a~ [preview] x={1}"),
        ("/a [status=404] [context=production]\n X: 1", "/a~ [production] [404] x={1}"),
        ("/a [status=40]\n X: 1", "! no status"),
        ("/a [context=staging]\n X: 1", "! no context"),
        ("/a [host=x]\n X: 1", "! can't be narrowed by `host`"),
        ("/a b # why\n X: 1", "/a b~ x={1}"),
        ("/a\tb\n X: 1", "! control character"),
        ("/a  b/*  [status=404]\n X: 1", "/a  b/<*>~ [404] x={1}"),
        ("/a b\n X: 1", "/a b~ x={1}"),
        ("/a%20b\n X: 1", "/a b~ x={1}"),
        ("/a [status=404] b\n X: 1", "! stands behind the path"),
        ("/a?x\n X: 1", "! has a query"),
        ("//a\n X: 1", "! two slashes"),
    ]);
    check_headers(
        Dialect::Cloudflare,
        &[
            (
                "https://:project.example.org/*\n X: https://s.:project.example.org/:splat",
                "https://<project>.example.org/<*> x={https://s.<project>.example.org/<*>}",
            ),
            ("https://*.example.org/*\n X: :splat", "https://<*>.example.org/<*> x={<*>}"),
            ("https://*.example.org/\n X: :splat", "https://<*>.example.org/ x={<*>}"),
            ("https://*.*.org/\n X: 1", "! several `*`"),
            ("https://:a.example.org/:a\n X: 1", "! stands twice"),
            ("https://:a.exa$mple.org/\n X: 1", "! no hostname"),
            ("/*.jpg\n ! X", "/<*>.jpg -x"),
            ("/movies/:title\n x-n: \":title\"", "/movies/<title> x-n={\"<title>\"}"),
        ],
    );
}

#[test]
fn the_platforms_own_headers_can_neither_be_set_nor_removed() {
    for name in [
        "Accept-Ranges",
        "Age",
        "Allow",
        "Alt-Svc",
        "Connection",
        "Content-Encoding",
        "Content-Length",
        "content-range",
        "DATE",
        "Keep-Alive",
        "Location",
        "Server",
        "Set-Cookie",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "X-Loggia-Rule",
        "x-loggia-",
    ] {
        let block = format!("/*\n  {name}: 1\n  ! {name}\n  X-A: 1\n");
        let own = "! the platform's own header";
        super::check(&header_file(Dialect::Netlify, &block), &format!("/<*>~ x-a={{1}}\n{own}\n{own}"), name);
    }
}

#[test]
fn names_and_values_that_would_break_an_answer_are_left_out() {
    check(&[
        ("/a\n X Y: 1", "! no name of a header"),
        ("/a\n X(: 1", "! no name of a header"),
        ("/a\n Ä: 1", "! no name of a header"),
        ("/a\n : 1", "! has no name"),
        ("/a\n X:", "! has no value"),
        ("/a\n X: ü", "! beyond ASCII"),
        ("/a\n X: a\u{0}b", "! sets nothing\n! control character"),
        ("/a\n X: a\rSet-Cookie: b", "! sets nothing\n! control character"),
        ("/a\n X: a\u{85}b", "! sets nothing\n! control character"),
    ]);
    for value in ["a\\r\\nSet-Cookie: b", "a\\u0000b", "a\\nb"] {
        let toml = format!("[[headers]]\nfor = \"/*\"\nvalues = {{ X = \"{value}\" }}\n");
        let files = SourceFiles { loggia_toml: Some(toml.as_bytes()), ..SourceFiles::default() };
        super::check(&in_dialect(Dialect::Netlify, &files).unwrap(), "! control character", value);
    }
}

#[test]
fn common_mistakes_are_told_with_what_would_be_right() {
    check(&[
        ("X-A: 1\n/a\n X: 1", "/a~ x={1}\n! `X-A` belongs to no path"),
        ("/a\n X-Frame-Options DENY\n X: 1", "/a~ x={1}\n! write `X-Frame-Options: DENY`"),
        ("/a\n !X-B\n X: 1", "/a~ x={1}\n! write `! X-B`"),
        ("/a\n ! X-B: 1\n X: 1", "/a~ x={1}\n! write `! X-B`"),
        ("/a\n X: 1\nblog/*\n Y: 2", "/a~ x={1}\n! write `/blog/*`"),
        ("/a\n X: 1\n\"/b\"\n Y: 2", "/a~ x={1}\n! stands in quotes"),
        ("https:/a.example/b\n X: 1", "! write `https://a.example/b`"),
        ("c\n/a\n X: 1", "/a~ x={1}\n! belongs to no path"),
    ]);
}

#[test]
fn basic_auth_keeps_hashes_of_who_is_let_in() {
    let compiled = header_file(Dialect::Netlify, "/a/*\n  Basic-Auth: ann:s:e bob:t\n  X: 1\n");
    super::check(&compiled, "/a/<*>~ x={1} auth×2", "two users");
    let expected = [ContentHash::of(b"ann:s:e"), ContentHash::of(b"bob:t")];
    assert_eq!(compiled.rules.headers[0].credentials, expected);
    check(&[
        ("/a\n Basic-Auth: a:b\n basic-auth: c:d", "/a~ auth×2"),
        ("/a [context=preview]\n Basic-Auth: a:b", "/a~ [preview] auth×1"),
        ("/a\n Basic-Auth: a:b c", "/a~ auth×1\n! 1 of the users"),
        ("/a\n Basic_Auth: a:b", "/a~ auth×1"),
    ]);
}

#[test]
fn a_password_that_can_not_be_understood_closes_its_path() {
    for line in [
        "Basic-Auth:",
        "Basic-Auth: ann",
        "Basic-Auth: :pw",
        "Basic-Auth: ann:",
        "Basic-Auth ann:pw",
        "Basic-Auth",
        "Basic-Auth = ann:pw",
        "BasicAuth ann",
    ] {
        let compiled = header_file(Dialect::Netlify, &format!("/a\n  {line}\n"));
        super::check(&compiled, "/a~ auth×1\n! lets nobody in", line);
        assert_eq!(compiled.rules.headers[0].credentials, [ContentHash::from_bytes(NOBODY)], "{line}");
    }
    let files = SourceFiles { headers: Some(b"/a\n Basic-Auth: ann:p\xe4ss\n"), ..SourceFiles::default() };
    let compiled = in_dialect(Dialect::Netlify, &files).unwrap();
    super::check(&compiled, "/a~ auth×1\n! not UTF-8\n! lets nobody in", "latin");
}

#[test]
fn a_password_without_a_path_that_can_be_understood_fails_the_deployment() {
    let cases: [(&[u8], u32); 9] = [
        (b"Basic-Auth: a:b\n", 1),
        (b"/50%\n X: 1\n Basic-Auth: a:b\n", 3),
        (b"/a\n X: 1\nsecret/*\n Basic-Auth: a:b\n", 4),
        (b"/a\n X: 1\n/secr\xe9t\n Basic-Auth: a:b\n", 4),
        (b"/a [host=b]\n Basic-Auth: a:b\n", 2),
        (b"/a [status=200]\n Basic-Auth: a:b\n", 2),
        (b"file:/a.html\n Basic-Auth: a:b\n", 2),
        (b"https://example.org:1/\n Basic-Auth: a:b\n", 2),
        (b"/a [b\n Basic-Auth: a:b\n", 2),
    ];
    for (text, line) in cases {
        let refused = refused(text);
        assert_eq!((refused.file, refused.line), ("_headers", line), "{}", String::from_utf8_lossy(text));
        assert!(refused.message.contains("would protect nothing"), "{refused}");
    }
    let broken: [&[u8]; 2] = [b"x = [\n# Basic-Auth = 1\n", b"\xff\n Basic-Auth\n"];
    for toml in broken {
        let files = SourceFiles { netlify_toml: Some(toml), ..SourceFiles::default() };
        assert!(compile(&files, &Defaults::default()).is_err());
    }
}

#[test]
fn no_problem_repeats_a_password() {
    for text in
        ["/a\n Basic-Auth: ann hunter2\n", "/a\n Basic-Auth ann:hunter2\n", "/a\n Basic-Auth=hunter2\n"]
    {
        assert!(!summary(&header_file(Dialect::Netlify, text)).contains("hunter2"), "{text}");
    }
    for text in [&b"Basic-Auth: ann:hunter2"[..], b"a/b\nBasic-Auth: ann:hunter2", b"Basic-Auth ann:hunter2"]
    {
        assert!(!refused(text).message.contains("hunter2"));
    }
}
