use super::*;

fn check(rows: &[(&str, &str)]) {
    check_redirects(Dialect::Cloudflare, rows);
}

#[test]
fn a_line_has_two_or_three_words() {
    check(&[
        ("/a /b", "/a -> 302 /b"),
        ("/a /b 301", "/a -> 301 /b"),
        ("/a /b 200", "/a == 200 /b"),
        ("/a /b # why", "/a -> 302 /b"),
        ("/a /b 303 # why", "/a -> 303 /b"),
        ("/a https://example.org/x?y#z 308", "/a -> 308 https://example.org/x?y#z"),
        ("/a", "! write `/a /new 302`"),
        ("/a 404", "! has no target"),
        ("/a/* 200", "! has no target"),
        ("/a /b 404", "! is no status of a rule: write 200, 301, 302, 303, 307 or 308"),
        ("/a /b 410", "! is no status"),
        ("/a /b 302!", "! `!` is not known"),
        ("/a /b 302 !important", "! there are 4 words"),
        ("/a id=:id /b/:id 301", "! exist only with `dialect = \"netlify\"`"),
        ("/a id=:id /b/:id", "! exist only with `dialect = \"netlify\"`"),
        ("/ /us 302 Country=us", "! exist only with `dialect = \"netlify\"`"),
        ("/ /us Country=us", "! exist only with `dialect = \"netlify\"`"),
        ("/a https://example.org/b 200", "! leads to a path of this site"),
        ("https://example.org/a /b", "! names a host"),
        ("example.org https://other.example", "/example.org -> 302 https://other.example/"),
    ]);
}

#[test]
fn wildcards_stand_anywhere_in_a_path() {
    check(&[
        ("/a/ /b", "/a/ -> 302 /b"),
        ("/a/* /b/:splat", "/a/<*> -> 302 /b/<*>"),
        ("/a*b/c /d:splat", "/a<*>b/c -> 302 /d<*>"),
        ("/*/*.html /x", "! several `*`"),
        ("/*/:splat /x", "! `*` is `:splat` already"),
        ("/:a-:b2.html /:b2/:a/:c", "/<a>-<b2>.html -> 302 /<b2>/<a>/:c"),
        ("/a:b /x", "/a<b> -> 302 /x"),
        ("/:1/:_x /y", "/:1/:_x -> 302 /y"),
        ("/:a/:a /x", "! `:a` stands twice"),
        ("/a?x=1 /b", "/a -> 302 /b"),
        ("/a#x /b", "/a -> 302 /b\n! browsers never send"),
        ("/some%20page /somewhere%20else", "/some page -> 302 /somewhere%20else"),
        ("/:;so`me /nons:/&@%+~{}ense", "/:;so`me -> 302 /nons:/&@%25+~%7B%7Dense"),
        ("/trailing /trailing/ 301", "/trailing -> 301 /trailing/"),
        ("/notrailing/ /notrailing 301", "/notrailing/ -> 301 /notrailing"),
    ]);
}

#[test]
fn the_first_of_two_equal_sources_wins() {
    check(&[
        ("/a /b\n/a /c", "/a -> 302 /b\n! an earlier rule has the same source"),
        ("/a /a\n/a /b", "/a -> 302 /b\n! loops"),
        ("/a /b\n/a/ /c", "/a -> 302 /b\n/a/ -> 302 /c"),
        ("/:a/x /b\n/:b/x /c", "/<a>/x -> 302 /b\n/<b>/x -> 302 /c"),
        ("/caf%C3%A9 /b\n/café /c", "/café -> 302 /b\n! an earlier rule"),
    ]);
}

#[test]
fn an_index_page_is_no_target_for_what_it_is_the_address_of() {
    check(&[
        ("/* /index.html 200", "! loops"),
        ("/* /index.html", "! loops"),
        ("/* /index 200", "! loops"),
        ("/ /index.html", "! loops"),
        ("/ /index 200", "! loops"),
        ("/app/* /app/index.html 200", "! loops"),
        ("/app/* /shell.html 200", "/app/<*> == 200 /shell.html"),
        ("/x /x.html 301", "! loops"),
        ("/x /y.html 301", "/x -> 301 /y.html"),
        ("/x.html /x 301", "/x.html -> 301 /x"),
    ]);
    let exact = SourceFiles {
        redirects: Some(b"/* /index.html 200\n/ /index.html\n/x /x.html\n"),
        loggia_toml: Some(b"serve = { html_handling = \"none\" }"),
        ..SourceFiles::default()
    };
    let compiled = in_dialect(Dialect::Cloudflare, &exact).unwrap();
    super::check(&compiled, "/ -> 302 /index.html\n/x -> 302 /x.html\n! loops", "none");
}
