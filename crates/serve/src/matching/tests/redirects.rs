use loggia_types::rules::{
    Action, Dialect, PathPattern, RedirectRule, RewriteStatus, RuleSource, UrlPattern,
};
use proptest::prelude::*;
use regex::Regex;

use super::patterns::{any_path_near, any_pattern, expression};
use super::{Request, get, rules};
use crate::matching::Redirects;

/// `4 /there`: the line of the rule that fires, and what it makes.
fn summary(redirects: &Redirects, request: &Request, forced: bool) -> String {
    let head = request.head();
    let found = if forced { redirects.find_forced(&head) } else { redirects.find_unforced(&head) };
    let Some(found) = found else { return "-".to_owned() };
    let line = found.rule().source.line;
    let made = match found.rule().action {
        Action::Rewrite { .. } => found.rewritten_path(),
        _ => found.location(&head),
    };
    format!("{line} {}", made.as_deref().unwrap_or("nothing"))
}

fn check(lines: &[&str], dialect: Dialect, cases: &[(&str, &str)]) {
    let redirects = Redirects::new(rules(lines, dialect), dialect);
    for (url, expected) in cases {
        assert_eq!(summary(&redirects, &get(url), false), *expected, "{url}");
    }
}

#[test]
fn netlify_takes_the_first_rule_in_the_file_that_holds() {
    let lines = [
        "/a/:x /dynamic/:x",
        "/a/b /static",
        "/s /first",
        "/s /second",
        "/docs/* /manual/:splat",
        "/docs/old /never",
        "/trim/ /trimmed",
        "/:any /fallback/:any 200",
    ];
    let cases = [
        ("/a/b", "1 /dynamic/b"),
        ("/s", "3 /first"),
        ("/s/", "3 /first"),
        ("/docs/old", "5 /manual/old"),
        ("/docs", "5 /manual/"),
        ("/docs/a/b/", "5 /manual/a/b/"),
        ("/trim", "7 /trimmed"),
        ("/trim/", "7 /trimmed"),
        ("/else", "8 fallback/else"),
        ("/else/where", "-"),
        ("/", "-"),
    ];
    check(&lines, Dialect::Netlify, &cases);
}

#[test]
fn cloudflare_takes_static_rules_above_the_first_dynamic_one_before_all_others() {
    let lines =
        ["/s /first 302", "/a/* /dynamic/:splat 302", "/a/b /below 302", "/s /second 302", "/t /t2 301!"];
    let cases = [
        ("/s", "1 /first"),
        ("/s/", "-"),
        ("/a/b", "2 /dynamic/b"),
        ("/a", "-"),
        ("/a/", "2 /dynamic/"),
        ("/t", "5 /t2"),
    ];
    check(&lines, Dialect::Cloudflare, &cases);
}

#[test]
fn forced_rules_are_a_pass_of_their_own() {
    let lines = ["/* /all/:splat 302", "/a /forced 301!", "/b/* /b2/:splat 301!"];
    let redirects = Redirects::new(rules(&lines, Dialect::Netlify), Dialect::Netlify);
    for (url, forced, unforced) in
        [("/a", "2 /forced", "1 /all/a"), ("/b/c", "3 /b2/c", "1 /all/b/c"), ("/c", "-", "1 /all/c")]
    {
        assert_eq!(summary(&redirects, &get(url), true), forced, "{url}");
        assert_eq!(summary(&redirects, &get(url), false), unforced, "{url}");
    }
    let cloudflare = Redirects::new(rules(&lines, Dialect::Cloudflare), Dialect::Cloudflare);
    assert_eq!(summary(&cloudflare, &get("/a"), true), "-");
}

#[test]
fn rules_of_one_path_are_asked_in_file_order() {
    let lines = [
        "/a id=:id /by-id/:id",
        "/a q=1 flag= /flagged",
        "/a k=:splat /any",
        "http://site.test/a /plain",
        "https://other.test/a /other",
        "/a /rest",
    ];
    let cases = [
        ("/a?id=7", "1 /by-id/7?id=7"),
        ("/a?id=a+b%2Fc", "1 /by-id/a%20b%2Fc?id=a+b%2Fc"),
        ("/a?id=", "6 /rest?id="),
        ("/a?id=7&id=8", "6 /rest?id=7&id=8"),
        ("/a?id=7&x=1", "6 /rest?id=7&x=1"),
        ("/a?flag&q=1", "2 /flagged?flag&q=1"),
        ("/a?%71=%31&flag=", "2 /flagged?%71=%31&flag="),
        ("/a?q=1&q=1", "6 /rest?q=1&q=1"),
        ("/a?k", "3 /any?k"),
        ("/a?&k=&", "3 /any?&k=&"),
        ("/a?%zz", "6 /rest?%zz"),
        ("/a", "6 /rest"),
        ("http://site.test/a", "4 /plain"),
        ("https://other.test/a", "5 /other"),
        ("http://other.test/a", "6 /rest"),
    ];
    check(&lines, Dialect::Netlify, &cases);
}

#[test]
fn a_rule_that_leads_to_the_same_address_does_not_hold() {
    let lines = [
        "/* https://www.site.test/:splat",
        "/loop /loop",
        "/slash/ /slash",
        "/q /q?x=1",
        "/f /f#part",
        "/%C3%BC /ü",
        "/enc/* /enc/:splat",
        "/* /caught/:splat",
    ];
    let cases = [
        ("https://site.test/a?b", "1 https://www.site.test/a?b"),
        ("http://www.site.test/a", "1 https://www.site.test/a"),
        ("https://www.site.test/loop", "8 /caught/loop"),
        ("https://www.site.test/loop?x", "8 /caught/loop?x"),
        ("https://www.site.test/slash/", "3 /slash"),
        ("https://www.site.test/slash", "8 /caught/slash"),
        ("https://www.site.test/q", "4 /q?x=1"),
        ("https://www.site.test/q?x=1", "8 /caught/q?x=1"),
        ("https://www.site.test/f", "8 /caught/f"),
        ("https://www.site.test/enc/@ü b", "8 /caught/enc/%40%C3%BC%20b"),
    ];
    check(&lines, Dialect::Netlify, &cases);
}

#[test]
fn an_absolute_target_on_this_origin_is_told_as_a_path() {
    let cases = [
        ("https://site.test/a", "1 /b"),
        ("http://site.test/a", "1 https://site.test/b"),
        ("https://x.test/a", "1 https://site.test/b"),
    ];
    check(&["/a https://SITE.test/b".to_lowercase().as_str()], Dialect::Netlify, &cases);
}

/// Rules with the given patterns, all rewrites, told apart by their line.
fn plain_rules(patterns: &[(PathPattern, bool)]) -> Vec<RedirectRule> {
    let rule = |(line, (path, forced)): (u32, &(PathPattern, bool))| RedirectRule {
        source: RuleSource { file: "_redirects".into(), line },
        from: UrlPattern { origin: None, path: path.clone() },
        query: Vec::new(),
        conditions: Vec::new(),
        forced: *forced,
        action: Action::Rewrite { status: RewriteStatus::Ok, path: Vec::new() },
    };
    (0..).zip(patterns).map(rule).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_index_finds_the_rule_that_a_look_at_each_in_turn_finds(
        (patterns, paths) in proptest::collection::vec((any_pattern(), any::<bool>()), 0..24).prop_flat_map(|patterns| {
            let paths: Vec<_> = patterns.iter().map(|(pattern, _)| any_path_near(pattern)).collect();
            (Just(patterns), paths)
        })
    ) {
        let expressions: Vec<Regex> = patterns.iter().map(|(pattern, _)| expression(pattern)).collect();
        for dialect in [Dialect::Netlify, Dialect::Cloudflare] {
            let redirects = Redirects::new(plain_rules(&patterns), dialect);
            for path in &paths {
                let request = get(&format!("/{path}"));
                let first = |forced: bool| patterns.iter().zip(&expressions).position(|((_, wants), expression)| {
                    (*wants && dialect == Dialect::Netlify) == forced && expression.is_match(path)
                });
                let line = |found: Option<crate::matching::RedirectMatch<'_>>| {
                    found.map(|found| found.rule().source.line as usize)
                };
                prop_assert_eq!(line(redirects.find_forced(&request.head())), first(true));
                prop_assert_eq!(line(redirects.find_unforced(&request.head())), first(false));
            }
        }
    }
}
