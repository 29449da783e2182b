//! Tables of what files become.

mod any_bytes;
mod corpus;
mod examples;
mod headers;
mod limits;
mod loops;
mod redirects_cloudflare;
mod redirects_netlify;
mod soundness;
mod toml;

use loggia_types::rules::*;

use super::*;

/// Compiled in a dialect, with proxies allowed.
fn in_dialect(dialect: Dialect, files: &SourceFiles<'_>) -> Result<Compiled, Refused> {
    compile(files, &Defaults { dialect: Some(dialect), allow_proxy: true, ..Defaults::default() })
}

fn redirects(dialect: Dialect, text: &str) -> Compiled {
    let files = SourceFiles { redirects: Some(text.as_bytes()), ..SourceFiles::default() };
    in_dialect(dialect, &files).unwrap_or_else(|refused| panic!("{text:?}: {refused}"))
}

fn header_file(dialect: Dialect, text: &str) -> Compiled {
    let files = SourceFiles { headers: Some(text.as_bytes()), ..SourceFiles::default() };
    in_dialect(dialect, &files).unwrap_or_else(|refused| panic!("{text:?}: {refused}"))
}

/// Rules, then problems, each on a line. `!` stands before a problem.
fn summary(compiled: &Compiled) -> String {
    let redirects = compiled.rules.redirects.iter().map(redirect);
    let headers = compiled.rules.headers.iter().map(header_rule);
    let problems = compiled.problems.iter().map(|problem| format!("! {}", problem.message));
    redirects.chain(headers).chain(problems).collect::<Vec<_>>().join("\n")
}

/// Checks a row: `expected` is the summary, where a line that begins with `!` may be a piece of the problem.
fn check(compiled: &Compiled, expected: &str, row: &str) {
    let actual = summary(compiled);
    let fits = |(actual, expected): (&str, &str)| match expected.strip_prefix("! ") {
        Some(piece) => actual.starts_with("! ") && actual.contains(piece),
        None => actual == expected,
    };
    let same_count = actual.lines().count() == expected.lines().count();
    assert!(
        same_count && actual.lines().zip(expected.lines()).all(fits),
        "{row}\n got: {actual}\nwant: {expected}"
    );
}

fn check_redirects(dialect: Dialect, rows: &[(&str, &str)]) {
    for (line, expected) in rows {
        check(&redirects(dialect, line), expected, line);
    }
}

fn check_headers(dialect: Dialect, rows: &[(&str, &str)]) {
    for (block, expected) in rows {
        check(&header_file(dialect, block), expected, block);
    }
}

/// `<name>` and `<*>` are captures, so that they can't be taken for text.
fn parts(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.to_string(),
            Part::Name(name) => format!("<{name}>"),
            Part::Splat => "<*>".to_owned(),
        })
        .collect()
}

/// `~` ends a lenient pattern.
fn path(pattern: &PathPattern) -> String {
    format!("/{}{}", parts(&pattern.parts), if pattern.lenient { "~" } else { "" })
}

fn url(pattern: &UrlPattern) -> String {
    let origin = pattern.origin.as_ref().map(|origin| {
        format!("{}://{}", if origin.scheme == Scheme::Http { "http" } else { "https" }, parts(&origin.host))
    });
    origin.unwrap_or_default() + &path(&pattern.path)
}

fn redirect(rule: &RedirectRule) -> String {
    let mut text = url(&rule.from);
    for test in &rule.query {
        text += &format!(" ?{}={}", test.key, parts(std::slice::from_ref(&test.value)));
    }
    for condition in &rule.conditions {
        text += &format!(" {}", self::condition(condition));
    }
    let force = if rule.forced { "!" } else { "" };
    match &rule.action {
        Action::Redirect { status, to } => format!("{text} -> {}{force} {}", status.code(), destination(to)),
        Action::Rewrite { status, path } => format!("{text} == {}{force} /{}", status.code(), parts(path)),
        Action::Refuse { status } => format!("{text} == {}{force}", status.code()),
        Action::Proxy { to } => format!("{text} => 200{force} {}", destination(to)),
    }
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Country(values) => format!("country={}", values.join(",")),
        Condition::Language(values) => format!("language={}", values.join(",")),
        Condition::Host(values) => format!("host={}", values.join(",")),
        Condition::Cookie(values) => format!("cookie={}", values.join(",")),
        Condition::Header { name, values } => format!("header:{name}={}", values.join(",")),
    }
}

fn destination(to: &Destination) -> String {
    let mut text = to.origin.as_deref().map(parts).unwrap_or_default() + &parts(&to.path);
    if let Some(query) = &to.query {
        text += &format!("?{}", parts(query));
    }
    if let Some(fragment) = &to.fragment {
        text += &format!("#{}", parts(fragment));
    }
    text
}

fn header_rule(rule: &HeaderRule) -> String {
    let mut text = match &rule.scope {
        HeaderScope::Url(pattern) => url(pattern),
        HeaderScope::File(pattern) => format!("file:{}", path(pattern)),
    };
    if let Some(environment) = rule.environment {
        text += &format!(" [{}]", environment.as_str());
    }
    if let Some(status) = rule.status {
        text += &format!(" [{status}]");
    }
    for name in &rule.remove {
        text += &format!(" -{name}");
    }
    for line in &rule.set {
        text += &format!(" {}={{{}}}", line.name, parts(&line.value));
    }
    if !rule.credentials.is_empty() {
        text += &format!(" auth×{}", rule.credentials.len());
    }
    text
}

#[test]
fn the_dialect_is_what_is_said_first_and_loudest() {
    let toml = b"[serve]\ndialect = \"cloudflare\"\n";
    type File = Option<&'static [u8]>;
    let cases: [(File, Option<Dialect>, File, bool, Dialect); 7] = [
        (None, None, None, false, Dialect::Netlify),
        (None, None, None, true, Dialect::Cloudflare),
        (None, None, Some(b""), true, Dialect::Netlify),
        (None, None, Some(b"no toml"), true, Dialect::Netlify),
        (None, Some(Dialect::Cloudflare), Some(b""), false, Dialect::Cloudflare),
        (Some(toml), Some(Dialect::Netlify), Some(b""), false, Dialect::Cloudflare),
        (Some(b"[serve]\n"), Some(Dialect::Netlify), None, true, Dialect::Netlify),
    ];
    for (loggia_toml, dialect, netlify_toml, has_wrangler, expected) in cases {
        let files = SourceFiles { loggia_toml, netlify_toml, has_wrangler, ..SourceFiles::default() };
        let compiled = compile(&files, &Defaults { dialect, ..Defaults::default() }).unwrap();
        assert_eq!(compiled.dialect, expected, "{files:?} {dialect:?}");
    }
}

#[test]
fn rules_of_all_files_stand_in_the_order_of_the_files_and_know_where_they_come_from() {
    let files = SourceFiles {
        redirects: Some(b"# first\n\n/a /1\n/b /2\n"),
        headers: Some(b"/a\n  X-A: 1\n"),
        loggia_toml: Some(b"\n[[redirects]]\nfrom = \"/a\"\nto = \"/3\"\n\n[[headers]]\nfor = \"/b\"\nvalues = {X-B = \"2\"}\n"),
        netlify_toml: Some(b"[[redirects]]\nfrom = \"/a\"\nto = \"/4\"\n[[headers]]\nfor = \"/c\"\n[headers.values]\nX-C = \"3\"\n"),
        has_wrangler: false,
    };
    let rules = compile(&files, &Defaults::default()).unwrap().rules;
    let redirects: Vec<String> = rules.redirects.iter().map(|rule| rule.source.to_string()).collect();
    assert_eq!(redirects, ["_redirects:3", "_redirects:4", "loggia.toml:2", "netlify.toml:1"]);
    let headers: Vec<String> = rules.headers.iter().map(|rule| rule.source.to_string()).collect();
    assert_eq!(headers, ["_headers:1", "loggia.toml:6", "netlify.toml:4"]);
}

#[test]
fn only_so_many_problems_are_listed_for_a_file() {
    let compiled = redirects(Dialect::Netlify, &"nonsense\n".repeat(250));
    assert_eq!(compiled.problems.len(), 101);
    assert_eq!(compiled.problems[100].message, "150 more problems are not listed");
    assert_eq!(compiled.problems[99].line, Some(100));
}
