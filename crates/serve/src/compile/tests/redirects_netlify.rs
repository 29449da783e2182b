use super::*;

fn check(rows: &[(&str, &str)]) {
    check_redirects(Dialect::Netlify, rows);
}

#[test]
fn a_line_has_a_source_a_target_and_a_status() {
    check(&[
        ("/home /", "/home~ -> 301 /"),
        ("/a\t\t /b   302", "/a~ -> 302 /b"),
        ("  /a /b  \r\n", "/a~ -> 301 /b"),
        ("\u{feff}/a /b", "/a~ -> 301 /b"),
        ("/a /b 303", "/a~ -> 303 /b"),
        ("/a /b 307!", "/a~ -> 307! /b"),
        ("/a /b 308", "/a~ -> 308 /b"),
        ("/a /b 200", "/a~ == 200 /b"),
        ("/a /b 200!", "/a~ == 200! /b"),
        ("/a /gone.html 404", "/a~ == 404 /gone.html"),
        ("/a /gone.html 410", "/a~ == 410 /gone.html"),
        ("/a /law.html 451!", "/a~ == 451! /law.html"),
        ("/a 404", "/a~ == 404"),
        ("/a/* 410!", "/a/<*>~ == 410!"),
        ("/a 451", "/a~ == 451"),
        ("", ""),
        ("\n \t \n\r\n", ""),
        ("# /a /b", ""),
        ("   # /a /b", ""),
        ("/a /b # why", "/a~ -> 301 /b"),
        ("/a /b #why", "/a~ -> 301 /b"),
        ("/a /b#why 302", "/a~ -> 302 /b#why"),
    ]);
}

#[test]
fn sources_are_decoded_and_wildcards_are_whole_segments() {
    check(&[
        ("/ /x", "/~ -> 301 /x"),
        ("/a/ /x", "/a~ -> 301 /x"),
        ("/a//b/// /x", "/a/b~ -> 301 /x"),
        ("/caf%C3%A9 /x", "/café~ -> 301 /x"),
        ("/café /x", "/café~ -> 301 /x"),
        ("/cafe\u{301} /x", "/café~ -> 301 /x"),
        ("/a%20b /x", "/a b~ -> 301 /x"),
        ("/* /x 200", "/<*>~ == 200 /x"),
        ("/a/* /x", "/a/<*>~ -> 301 /x"),
        ("/a/*/ /x", "/a/<*>~ -> 301 /x"),
        ("/a*b /x", "/a*b~ -> 301 /x\n! stands for itself"),
        ("/*/a /x", "/*/a~ -> 301 /x\n! stands for itself"),
        ("/:a/x/:b_2 /:b_2/:a", "/<a>/x/<b_2>~ -> 301 /<b_2>/<a>"),
        ("/a:b /x", "/a:b~ -> 301 /x"),
        ("/:a-b /x", "/:a-b~ -> 301 /x"),
        ("/: /x", "/:~ -> 301 /x"),
        ("/:1 /x", "/:1~ -> 301 /x"),
        ("/%3Aa /x/:a", "/:a~ -> 301 /x/:a"),
        ("/:a/b/:a /x/:a", "/<a>/b/<a>~ -> 301 /x/<a>"),
        ("/.netlify/a /x", "! Netlify's own"),
        ("https://example.org/.netlify/a /x", "! Netlify's own"),
        ("/.netlifyx /x", "/.netlifyx~ -> 301 /x"),
        ("/:splat/* /x", "! `*` is `:splat` already"),
        ("/:splat /x/:splat", "/<splat>~ -> 301 /x/<splat>"),
        ("/a#b /x", "/a~ -> 301 /x\n! browsers never send"),
        ("/a/../b /x", "! `..` segment"),
        ("/a/%2e%2E/b /x", "! `..` segment"),
        ("/./b /x", "! `..` segment"),
        ("/a%2Fb /x", "! encoded slash"),
        ("/a%5Cb /x", "! backslash"),
        ("/a\\b /x", "! backslash"),
        ("/50%off /x", "! write `%25`"),
        ("/%ff /x", "! not UTF-8"),
        ("/%0a /x", "! control character"),
        ("/a\u{7}b /x", "! control character"),
        ("/.loggia/a /x", "! the platform's"),
        ("/.well-known/acme-challenge/a /x", "! the platform's"),
        ("/.well-known/a /x", "/.well-known/a~ -> 301 /x"),
    ]);
}

#[test]
fn a_source_may_name_scheme_and_host() {
    check(&[
        (
            "http://Blog.Example.org/* https://www.example.org/blog/:splat",
            "http://blog.example.org/<*>~ -> 301 https://www.example.org/blog/<*>",
        ),
        ("https://example.org /x", "https://example.org/~ -> 301 /x"),
        ("https://müller.example/ /x", "https://xn--mller-kva.example/~ -> 301 /x"),
        (
            "https://example.org:8443/ /x",
            "! names a port, and sites are matched by name: write `example.org`",
        ),
        ("https://u:p@example.org/ /x", "! names a user or password"),
        ("https://*.example.org/ /x", "! write a full name"),
        ("https://:a.example.org/ /x", "! write a full name"),
        ("ftp://example.org/ /x", "! no scheme of a site"),
        ("https:/// /x", "! no hostname"),
        ("https://a..b/ /x", "! no hostname"),
    ]);
}

#[test]
fn query_tests_stand_beside_the_source() {
    check(&[
        ("/store id=:id /blog/:id", "/store~ ?id=<id> -> 301 /blog/<id>"),
        ("/a id=:id tag=:tag /p/:tag/:id 302", "/a~ ?id=<id> ?tag=<tag> -> 302 /p/<tag>/<id>"),
        ("/p/* v=:v /q/:v/:splat", "/p/<*>~ ?v=<v> -> 301 /q/<v>/<*>"),
        ("/ page=news /news", "/~ ?page=news -> 301 /news"),
        ("/ _escaped_fragment_=/about /about", "/~ ?_escaped_fragment_=/about -> 301 /about"),
        ("/a b=* /c", "/a~ ?b=<*> -> 301 /c"),
        ("/a b= /c", "/a~ ?b= -> 301 /c"),
        ("/a b=%20x+y%2B /c", "/a~ ?b= x y+ -> 301 /c"),
        ("/a?id=:id&x=1 /b/:id", "/a~ ?id=<id> ?x=1 -> 301 /b/<id>"),
        ("/a id=:id 404", "/a~ ?id=<id> == 404"),
        ("/a id=1 id=2 /b", "! tested twice"),
        ("/:id id=:id /b", "! `:id` stands twice"),
        ("/a =1 /b", "! no key"),
        ("/a Country=us", "! has no target"),
    ]);
}

#[test]
fn conditions_stand_behind_the_rule() {
    check(&[
        ("/ /anz 302 Country=au,nz", "/~ country=AU,NZ -> 302 /anz"),
        ("/ /he 302 country=il LANGUAGE=he,en-GB", "/~ country=IL language=he,en-gb -> 302 /he"),
        ("/ /x Country=us", "/~ country=US -> 301 /x"),
        ("/* /old/:splat 200! Cookie=is_legacy,other", "/<*>~ cookie=is_legacy,other == 200! /old/<*>"),
        ("/ /x 302 Host=WWW.Example.org", "/~ host=www.example.org -> 302 /x"),
        ("/ /x 302 Header:X-Beta=1,2", "/~ header:x-beta=1,2 -> 302 /x"),
        ("/ /x 302 Header:X-Beta=", "/~ header:x-beta= -> 302 /x"),
        ("/ /x 302 Cookie=a Cookie=b", "/~ cookie=a cookie=b -> 302 /x"),
        ("/ /x 302 Country=us Country=ca", "! write the values in one list"),
        ("/ /x 302 Country=", "! write `Country=au,nz`"),
        ("/ /x 302 Country=usa", "! no country"),
        ("/ /x 302 Language=e_n", "! no language"),
        ("/ /x 302 Cookie=a;b", "! no name of a cookie"),
        ("/ /x 302 Host=a:80", "! no hostname"),
        ("/ /x 302 Header:=1", "! no name of a header"),
        ("/admin/* /admin/:splat 200! Role=admin", "! `Role` is not supported"),
        ("/api/* https://api.example.org/:splat 200! Signed=KEY", "! `Signed` is not supported"),
        ("/ /x 302 Planet=mars", "! there is no condition `Planet`"),
        ("/ /x Country=us 302", "! stands behind a condition"),
        ("/ /x 302 !", "! write it behind the status"),
        ("/ /x 302 y", "! write conditions as"),
    ]);
}

#[test]
fn a_target_keeps_its_spelling_where_that_is_legal() {
    check(&[
        ("/a /b?x=1&y=ü#z^", "/a~ -> 301 /b?x=1&y=%C3%BC#z%5E"),
        ("/a /b?", "/a~ -> 301 /b?"),
        ("/a /b##c#d", "/a~ -> 301 /b##c#d"),
        ("/a https://example.org/b##c", "/a~ -> 301 https://example.org/b##c"),
        ("/a https://example.org:443/b", "/a~ -> 301 https://example.org/b"),
        ("/a http://example.org:80/b", "/a~ -> 301 http://example.org/b"),
        ("/a http://example.org:443/b", "/a~ -> 301 http://example.org:443/b"),
        ("/a /caf%c3%A9/é\"<>|", "/a~ -> 301 /caf%c3%A9/%C3%A9%22%3C%3E%7C"),
        ("/a /50%", "/a~ -> 301 /50%25"),
        ("/a /b//c/./d/../e/", "/a~ -> 301 /b/c/e/"),
        ("/a /b/..", "/a~ -> 301 /"),
        ("/a /b\\c", "/a~ -> 301 /b%5Cc"),
        ("/a /caf%C3%A9 200", "/a~ == 200 /café"),
        ("/a /b%20c?x=1#y 200", "/a~ == 200 /b c"),
        ("/a https://example.org", "/a~ -> 301 https://example.org/"),
        ("/a HTTPS://Example.ORG:8443/a//b?c", "/a~ -> 301 https://example.org:8443/a//b?c"),
        ("/a https://example.org?x=1", "/a~ -> 301 https://example.org/?x=1"),
        ("/a https://müller.example/", "/a~ -> 301 https://xn--mller-kva.example/"),
        (
            "/a https://web.example/x/https://example.org/",
            "/a~ -> 301 https://web.example/x/https://example.org/",
        ),
        ("/p/:x /:x/:y/:xy", "/p/<x>~ -> 301 /<x>/:y/:xy"),
        ("/n/:y/:m /p/:y-:m.html", "/n/<y>/<m>~ -> 301 /p/<y>-<m>.html"),
        ("/a/* /b?p=:splat#:splat", "/a/<*>~ -> 301 /b?p=<*>#<*>"),
        ("/a /b/:splat", "/a~ -> 301 /b/:splat\n! `:splat` in `/b/:splat` stands for itself"),
        ("/a/* /b/*", "/a/<*>~ -> 301 /b/*\n! write `/b/:splat`"),
    ]);
}

#[test]
fn a_target_can_not_leave_its_place() {
    check(&[
        ("/a //evil.example/", "! begins with two slashes"),
        ("/a /\\evil.example/", "! begins with two slashes"),
        ("/a /./\\evil", "/a~ -> 301 /%5Cevil"),
        ("/a /..//evil.example", "! climbs out"),
        ("/a /.//evil.example", "/a~ -> 301 /evil.example"),
        ("/a /../b", "! climbs out"),
        ("/a /%2e%2e/b", "! climbs out"),
        ("/:a /:a/../b", "! climbs out"),
        ("/a /b%0d%0aX:y", "! control character"),
        ("/a /b%00 200", "! control character"),
        ("/a javascript:alert(1)", "! begins with neither"),
        ("/a javascript://x/%0aalert(1)", "! no scheme of a site"),
        ("/a data://x", "! no scheme of a site"),
        ("/a https://u:p@example.org/", "! names a user or password"),
        ("/a https://example.org:99999/", "! no port"),
        ("/a https://", "! no hostname"),
        ("/a https://exa mple.org", "! no status"),
        ("/a https://example.org\\@evil.example/", "! user or password"),
        ("/:s https://:s.example.org/x", "/<s>~ -> 301 https://<s>.example.org/x"),
        ("/:s https://a-:s.b.example.org:81/", "/<s>~ -> 301 https://a-<s>.b.example.org:81/"),
        ("/:s https://:s/", "! visitors could choose the domain"),
        ("/:s https://:s.org/", "! visitors could choose the domain"),
        ("/:s https://example.org:s/", "! visitors could choose the domain"),
        ("/:s https://example.:s/", "! visitors could choose the domain"),
        ("/:s https://:sexample.org/", "! no hostname"),
        ("/:s https://:s@example.org/", "! user or password"),
        ("/:s https://www.example.org::s/", "! visitors could choose the domain"),
        ("/:s :s://www.example.org/", "! begins with neither"),
        ("/x/* https://:splat.example.org/", "! `:splat` can't stand in the host"),
    ]);
}

#[test]
fn a_200_rule_to_another_site_needs_the_projects_consent() {
    check(&[
        ("/api/* https://api.example.org/v1/:splat 200", "/api/<*>~ => 200 https://api.example.org/v1/<*>"),
        (
            "/api/* https://api.example.org/:splat?k=1 200!",
            "/api/<*>~ => 200! https://api.example.org/<*>?k=1",
        ),
        ("/api/* https://api.example.org/ 404", "! sends a page of this site"),
        ("/api/* /.netlify/functions/:splat 200", "! function or service of Netlify"),
    ]);
    let files =
        SourceFiles { redirects: Some(b"/api/* https://api.example.org/:splat 200"), ..Default::default() };
    let compiled = compile(&files, &Defaults::default()).unwrap();
    super::check(&compiled, "! nothing is fetched from other sites", "without consent");
}

#[test]
fn a_forward_rule_leads_to_its_own_path() {
    check(&[
        ("/api/* 200", "/api/<*>~ == 200 /api/<*>"),
        ("/* 200!", "/<*>~ == 200! /<*>"),
        ("/:a/* 200", "/<a>/<*>~ == 200 /<a>/<*>"),
        ("https://a.example/b/* 200", "https://a.example/b/<*>~ == 200 /b/<*>"),
        ("/api/* 301", "! has no target"),
        ("/api 200", "! has no target"),
    ]);
}

#[test]
fn common_mistakes_are_told_with_what_would_be_right() {
    check(&[
        ("/old", "! `/old` has no target: write `/old /new 301`"),
        ("/old 302", "! write `/old /new 302`"),
        ("old /new", "! write `/old`"),
        ("./old /new", "! write `/old`"),
        ("/old new", "! write `/new`"),
        ("/old -> /new", "! `->` has no meaning"),
        ("/old => /new", "! `=>` has no meaning"),
        ("/old 301 /new", "! write `/old /new 301`"),
        ("301 /old /new", "! stands first"),
        ("\"/old\" \"/new\"", "! write `/old` without them"),
        ("http:/x /new", "! write `http://x`"),
        ("/old https:/example.org/x", "! write `https://example.org/x`"),
        ("//old /new", "! write `/old` for a path"),
        ("/old /new 418", "! is no status of a rule: write 200, 301"),
        ("/old /new 0", "! is no status"),
        ("/old /new abc", "! is no status"),
        ("/old /new 301!!", "! is no status"),
        ("/some page /other", "! write `/page`"),
        ("X-Frame-Options: DENY", "! begins with neither"),
    ]);
}

#[test]
fn a_line_that_is_no_text_is_told_and_the_others_are_kept() {
    let bytes = b"/a /b\n/\xff /c\n/d /e\n";
    let files = SourceFiles { redirects: Some(bytes), ..SourceFiles::default() };
    let compiled = in_dialect(Dialect::Netlify, &files).unwrap();
    super::check(&compiled, "/a~ -> 301 /b\n/d~ -> 301 /e\n! not UTF-8", "latin");
    assert_eq!(compiled.problems[0].line, Some(2));
}
