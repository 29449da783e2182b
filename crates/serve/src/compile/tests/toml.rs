use super::*;

fn loggia(text: &str) -> Compiled {
    let files = SourceFiles { loggia_toml: Some(text.as_bytes()), ..SourceFiles::default() };
    compile(&files, &Defaults { allow_proxy: true, ..Defaults::default() }).unwrap()
}

fn netlify(text: &str) -> Compiled {
    let files = SourceFiles { netlify_toml: Some(text.as_bytes()), ..SourceFiles::default() };
    compile(&files, &Defaults { allow_proxy: true, ..Defaults::default() }).unwrap()
}

/// `line: message` of the only problem.
fn problem(compiled: &Compiled) -> String {
    assert_eq!(compiled.problems.len(), 1, "{:?}", compiled.problems);
    let problem = &compiled.problems[0];
    format!("{}: {}", problem.line.unwrap_or_default(), problem.message)
}

#[test]
fn settings_are_read_and_fill_up_from_the_projects_own() {
    let compiled = loggia(
        "[build]\ncommand = \"x\"\ninstall = \"x\"\noutput = \"x\"\nroot = \"x\"\nnode = \"22\"\nignore = \"x\"\nwatch = []\n[build.env]\nA = \"1\"\n\
         [serve]\ndialect = \"cloudflare\"\nhtml_handling = \"drop-trailing-slash\"\nnot_found = \"404-page\"\n\
         permanent = true\nskew_protection = { deployments = 3, days = 0x10 }\n",
    );
    assert_eq!(compiled.problems, []);
    assert_eq!(compiled.dialect, Dialect::Cloudflare);
    assert_eq!(compiled.html_handling, HtmlHandling::DropTrailingSlash);
    assert_eq!(compiled.not_found, NotFound::Page);
    assert!(compiled.permanent);
    assert_eq!(compiled.skew_protection, SkewProtection { deployments: 3, days: 16 });

    let defaults = Defaults {
        html_handling: Some(HtmlHandling::None),
        not_found: Some(NotFound::None),
        permanent: Some(true),
        skew_protection: Some(SkewProtection { deployments: 1, days: 2 }),
        ..Defaults::default()
    };
    let files = SourceFiles { loggia_toml: Some(b"[serve]\nnot_found = \"auto\""), ..SourceFiles::default() };
    let compiled = compile(&files, &defaults).unwrap();
    assert_eq!(compiled.html_handling, HtmlHandling::None);
    assert_eq!(compiled.not_found, NotFound::Auto);
    assert!(compiled.permanent);
    assert_eq!(compiled.skew_protection, SkewProtection { deployments: 1, days: 2 });

    let compiled = compile(&SourceFiles::default(), &Defaults::default()).unwrap();
    assert_eq!(compiled.html_handling, HtmlHandling::AutoTrailingSlash);
    assert_eq!(compiled.not_found, NotFound::Auto);
    assert!(!compiled.permanent);
    assert_eq!(compiled.skew_protection, SkewProtection { deployments: 10, days: 7 });
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    let cases = [
        (
            "[serve]\nhtml-handling = \"none\"",
            "2: there is no key `html-handling` in `serve`: did you mean `html_handling`?",
        ),
        ("\n[server]\n", "2: there is no key `server`: did you mean `serve`?"),
        ("[[redirect]]\nfrom = \"/a\"", "1: there is no key `redirect`: did you mean `redirects`?"),
        ("[build]\ncomand = \"x\"", "2: there is no key `comand` in `build`: did you mean `command`?"),
        (
            "[build]\nzzz = 1",
            "2: there is no key `zzz` in `build`: there are command, install, output, root, node, ignore, watch, env",
        ),
        (
            "[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nforced = true",
            "4: there is no key `forced` in `redirects`: did you mean `force`?",
        ),
        (
            "serve.skew_protection = { days = 1, deployment = 2 }",
            "1: there is no key `deployment` in `skew_protection`: did you mean `deployments`?",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problem(&loggia(text)), expected);
    }
}

#[test]
fn wrong_values_are_told_with_their_line_what_was_found_and_what_would_be_right() {
    let cases = [
        (
            "[serve]\ndialect = \"vercel\"",
            "2: `dialect` is the text `vercel`: write \"netlify\" or \"cloudflare\"",
        ),
        ("[serve]\n\nnot_found = 404", "3: `not_found` is the number `404`: write \"auto\", "),
        ("[serve]\nhtml_handling = true", "2: `html_handling` is `true`: write \"auto-trailing-slash\", "),
        ("[serve]\npermanent = \"yes\"", "2: `permanent` is the text `yes`: write `true` or `false`"),
        ("[serve]\nskew_protection = 10", "2: `skew_protection` is the number `10`: write `{ deployments"),
        (
            "[serve]\nskew_protection = { days = -1 }",
            "2: `days` is the number `-1`: write a whole number from 0 to 365",
        ),
        ("[serve]\nskew_protection = { days = 1e3 }", "2: `days` is the number `1e3`: write a whole"),
        ("serve = 1979-05-27", "1: `serve` is a date: write `[serve]`"),
        ("build = []", "1: `build` is a list: write `[build]`"),
        ("[redirects]\nfrom = \"/a\"", "1: `redirects` is a table: write `[[redirects]]`"),
        ("headers = [1]", "1: `headers` is the number `1`: write `[[headers]]`"),
        ("[[redirects]]\nto = \"/a\"", "1: the redirect has no `from`"),
        ("[[redirects]]\nfrom = 1", "2: `from` is the number `1`: write a path"),
        ("[[redirects]]\nfrom = \"/a\"\nto = true", "3: `to` is `true`: write a path or URL"),
        (
            "[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nstatus = \"301\"",
            "4: `status` is the text `301`: write a number",
        ),
        ("[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nstatus = 99999", "4: `99999` is no status"),
        ("[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nstatus = 300", "1: `300` is no status"),
        ("[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nforce = 1", "4: `force` is the number `1`"),
        ("[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nquery = \"id\"", "4: `query` is the text `id`"),
        ("[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nquery = { id = 1 }", "4: `id` is the number `1`"),
        (
            "[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nconditions = { Country = 1 }",
            "4: `Country` is the number `1`",
        ),
        ("[[redirects]]\nfrom = \"a\"\nto = \"/b\"", "1: the source `a` begins with neither"),
        ("[[headers]]\nfor = \"/*\"", "1: the block sets nothing"),
        ("[[headers]]\nfor = \"/*\"\nvalues = []", "3: `values` is a list"),
        ("[[headers]]\nvalues = { X = \"1\" }", "1: a block has no path"),
        ("[[headers]]\nfor = \"/*\"\n[headers.values]\nX = 1", "4: `X` is the number `1`"),
    ];
    for (text, expected) in cases {
        let compiled = loggia(text);
        let found: Vec<String> = compiled
            .problems
            .iter()
            .map(|p| format!("{}: {}", p.line.unwrap_or_default(), p.message))
            .collect();
        assert!(found[0].starts_with(expected), "{text}\n got: {found:?}\nwant: {expected}");
        assert!(compiled.rules.redirects.is_empty() && compiled.rules.headers.is_empty(), "{text}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_one_problem_and_nothing_of_it_is_used() {
    let broken = "[serve]\npermanent = true\n[[redirects]]\nfrom = \"/a\"\nto = /b\n";
    for (compiled, file) in [(loggia(broken), "loggia.toml"), (netlify(broken), "netlify.toml")] {
        assert!(
            problem(&compiled).starts_with("5: not TOML at column 6, so nothing of it is used: "),
            "{:?}",
            compiled.problems
        );
        assert_eq!(compiled.problems[0].file, file);
        assert!(!compiled.permanent && compiled.rules == Rules::default());
    }
    let files = SourceFiles { loggia_toml: Some(b"a = 1\nb = \"\xff\""), ..SourceFiles::default() };
    let compiled = compile(&files, &Defaults::default()).unwrap();
    assert!(problem(&compiled).starts_with("2: not UTF-8 at column 6"));
}

#[test]
fn rules_in_loggia_toml_are_the_rules_of_the_files() {
    let compiled = loggia(
        "\u{feff}[[redirects]]\r\nfrom = \"/old/*\"\r\nto = \"/new/:splat\"\r\nstatus = 302\r\nforce = true\r\n\
         query = { id = \":id\" }\r\nconditions = { Country = [\"au\", \"nz\"], \"Header:X-Beta\" = \"1\" }\r\n\
         [[redirects]]\r\nfrom = \"/a b\"\r\nto = \"/c d\"\r\n\
         [[redirects]]\r\nfrom = \"/gone\"\r\nstatus = 410\r\n\
         [[headers]]\r\nfor = \"/assets/* [status=200]\"\r\n[headers.values]\r\nCache-Control = [\"public\", \"immutable\"]\r\n",
    );
    check(
        &compiled,
        "/old/<*>~ ?id=<id> country=AU,NZ header:x-beta=1 -> 302! /new/<*>\n\
         /a b~ -> 301 /c%20d\n\
         /gone~ == 410\n\
         /assets/<*>~ [200] cache-control={public, immutable}",
        "loggia.toml",
    );
}

#[test]
fn netlify_toml_gives_its_redirects_and_headers_and_nothing_else() {
    let compiled = netlify(
        "[build]\npublish = 1\n[serve]\npermanent = true\n[context.production]\n\
         [[context.production.redirects]]\nfrom = \"/ctx\"\nto = \"/x\"\n[[plugins]]\npackage = \"p\"\n\
         [[redirects]]\norigin = \"old\"\ndestination = \" /new\"\nstatus = \"302!\"\nedge_handler = 1\nparams = { path = \":path\" }\n\
         [[redirects]]\nfrom = \":x\"\nto = \"y/:x?a=b\"\n\
         [[headers]]\nfor = \"/*\"\n[headers.values]\nCache-Control = '''\n  max-age=0,\n  no-cache,\n  must-revalidate'''\n",
    );
    check(
        &compiled,
        "/old~ ?path=<path> -> 302 /new\n/<x>~ -> 301 /y/<x>?a=b\n/<*>~ cache-control={max-age=0, no-cache, must-revalidate}",
        "",
    );
    assert!(!compiled.permanent);
    let proxy = "[[redirects]]\nfrom = \"/s\"\nto = \"https://api.example.org\"\nstatus = 200\n";
    check(
        &netlify(&format!("{proxy}headers = {{ X-From = \"a\" }}")),
        "/s~ => 200 https://api.example.org/\n! are not sent here",
        "",
    );
    check(&netlify(&format!("{proxy}signed = \"KEY\"")), "! signed proxy rules", "");
    check(
        &netlify(&format!("{proxy}conditions = {{ Role = [\"admin\"] }}")),
        "! `Role` is not supported",
        "",
    );
}

#[test]
fn headers_of_netlify_toml_are_read_as_netlify_reads_them() {
    let block = |path: &str, line: &str| {
        netlify(&format!("[[headers]]\r\nfor = \"{path}\"\r\n[headers.values]\r\n{line}\r\n"))
    };
    for (path, line, expected) in [
        ("path", "test = 'one'", "/path~ test={one}"),
        (" /path ", "' test ' = ' one '", "/path~ test={one}"),
        ("*", "test = [' one ', ' two ']", "/<*>~ test={one, two}"),
        ("", "test = 'one'", "/~ test={one}"),
        ("file:/a.html", "test = 'one'", "file:/a.html test={one}"),
        ("https://example.org/a", "test = 'one'", "https://example.org/a~ test={one}"),
        ("/path", "test = '''\r\n  one,\r\n  two\r\n  '''", "/path~ test={one, two}"),
        ("/path", "' Basic-Auth ' = 'a:b'", "/path~ auth×1"),
        ("/path", "'  ' = 'one'", "! no name of a header"),
    ] {
        check(&block(path, line), expected, line);
    }
    check(&loggia("[[headers]]\nfor = \"path\"\nvalues = { X = \"1\" }"), "! write `/path`", "our own file");
}

#[test]
fn a_dialect_holds_for_rules_in_toml_too() {
    let compiled = loggia(
        "serve = { dialect = \"cloudflare\" }\n\
         [[redirects]]\nfrom = \"/a-*.html\"\nto = \"/b/:splat\"\n\
         [[redirects]]\nfrom = \"/b\"\nto = \"/c\"\nforce = true\n\
         [[redirects]]\nfrom = \"/c\"\nto = \"/d\"\nconditions = { Country = [\"us\"] }\n",
    );
    check(&compiled, "/a-<*>.html -> 302 /b/<*>\n! `!` is not known\n! exist only with", "");
}

#[test]
fn passwords_in_toml_close_their_path_or_fail() {
    check(&loggia("[[headers]]\nfor = \"/a\"\nvalues = { Basic-Auth = \"a:b\" }"), "/a~ auth×1", "");
    check(
        &loggia("[[headers]]\nfor = \"/a\"\nvalues = { Basic-Auth = 1 }"),
        "/a~ auth×1\n! lets nobody in",
        "",
    );
    check(
        &loggia("[[headers]]\nfor = \"/a\"\nvalues = { Basic-Auth = [\"a:b\", 2] }"),
        "/a~ auth×1\n! lets nobody in",
        "",
    );
    for misplaced in [
        "[[headers]]\nfor = \"/a\"\n[headers.value]\nBasic-Auth = \"a:b\"",
        "[[headers]]\nfor = \"/a\"\nBasic-Auth = \"a:b\"",
        "[[header]]\nfor = \"/a\"\nvalues = { Basic-Auth = \"a:b\" }",
    ] {
        let files = SourceFiles { loggia_toml: Some(misplaced.as_bytes()), ..SourceFiles::default() };
        let refused = compile(&files, &Defaults::default()).unwrap_err();
        assert!(refused.message.contains("would protect nothing"), "{misplaced}");
    }
    for broken in [
        "[[headers]]\nvalues = { Basic-Auth = \"a:b\" }",
        "[[headers]]\nfor = 1\nvalues = { Basic-Auth = \"a:b\" }",
    ] {
        let files = SourceFiles { loggia_toml: Some(broken.as_bytes()), ..SourceFiles::default() };
        assert!(compile(&files, &Defaults::default()).is_err(), "{broken}");
    }
}
