use loggia_types::rules::{Part, PathPattern};
use proptest::prelude::*;
use regex::Regex;

use super::parts;
use crate::matching::pattern::Pattern;

/// What each key captured, or `None`.
fn captured(pattern: &Pattern, text: &str) -> Option<Vec<String>> {
    let mut values = vec![String::new(); pattern.keys().len()];
    pattern.capture(text, &mut |key, value| values[key] = value.to_owned()).then_some(values)
}

fn summary(pattern: &str, lenient: bool, path: &str) -> String {
    let pattern = Pattern::of_path(&PathPattern { parts: parts(pattern), lenient });
    captured(&pattern, path).map_or_else(|| "-".to_owned(), |values| values.join(" "))
}

#[test]
fn names_and_splats_capture_what_a_greedy_expression_would() {
    let cases = [
        // pattern          path                strict          lenient
        (":a", "x", "x", "x"),
        (":a", "x/", "-", "x"),
        (":a", "", "-", "-"),
        (":a/:b", "x/y", "x y", "x y"),
        (":a/:b", "x", "-", "-"),
        ("*", "", "", ""),
        ("*", "a/b/", "a/b/", "a/b/"),
        ("foo/*", "foo", "-", ""),
        ("foo/*", "foo/", "", ""),
        ("foo/*", "foo/a/b/", "a/b/", "a/b/"),
        ("foo/*", "foobar", "-", "-"),
        ("foo*", "foobar/x", "bar/x", "bar/x"),
        (":a/*", "x", "-", "x "),
        ("a-:x-:y.html", "a-1-2-3.html", "1-2 3", "1-2 3"),
        ("a-:x-:y.html", "a-1.html", "-", "-"),
        (":a:b", "xyz", "xy z", "xy z"),
        (":a:b", "x", "-", "-"),
        (":a:b", "xé", "x é", "x é"),
        ("*.html", "a.html/b.html", "a.html/b", "a.html/b"),
        ("a*a", "a", "-", "-"),
        ("a*a", "aa", "", ""),
        ("*/:x", "a/b/c", "a/b c", "a/b c"),
        ("*:x", "abc", "ab c", "ab c"),
        (":x*", "abc/d", "abc /d", "abc /d"),
        (":x-*-:y", "a-b-c-d", "a-b c d", "a-b c d"),
        (":x-*-:y", "a-b/c-d-e", "a b/c-d e", "a b/c-d e"),
    ];
    for (pattern, path, strict, lenient) in cases {
        assert_eq!(summary(pattern, false, path), strict, "{pattern} and {path}");
        assert_eq!(summary(pattern, true, path), lenient, "{pattern} and {path}, lenient");
    }
}

#[test]
fn a_broken_pattern_with_two_splats_takes_the_second_for_a_star() {
    let pattern = Pattern::of_path(&PathPattern { parts: vec![Part::Splat, Part::Splat], lenient: false });
    assert_eq!(captured(&pattern, "a*"), Some(vec!["a".to_owned()]));
    assert_eq!(captured(&pattern, "a"), None);
}

#[test]
fn a_name_of_a_host_is_one_label() {
    let pattern = Pattern::of_host(&parts(":branch.site.test"));
    assert_eq!(captured(&pattern, "main.site.test"), Some(vec!["main".to_owned()]));
    assert_eq!(captured(&pattern, "a.main.site.test"), None);
    assert_eq!(
        captured(&Pattern::of_host(&parts("*.site.test")), "a.b.site.test"),
        Some(vec!["a.b".to_owned()])
    );
}

/// The expression that a pattern stands for.
pub(super) fn expression(pattern: &PathPattern) -> Regex {
    let mut text = String::new();
    for part in &pattern.parts {
        match part {
            Part::Text(literal) => text.push_str(&regex::escape(literal)),
            Part::Name(_) => text.push_str("([^/]+)"),
            Part::Splat => text.push_str("(.*)"),
        }
    }
    if pattern.lenient {
        text = match text.strip_suffix("/(.*)") {
            Some(before) => format!("{before}(?:/(.*))?"),
            None => format!("{text}/?"),
        };
    }
    Regex::new(&format!("(?s)^(?:{text})$")).expect("an expression")
}

fn expected(pattern: &PathPattern, path: &str) -> Option<Vec<String>> {
    let captures = expression(pattern).captures(path)?;
    let values = captures.iter().skip(1).map(|value| value.map_or("", |value| value.as_str()).to_owned());
    Some(values.collect())
}

/// Up to seven parts, at most one a splat, no two texts in a row, and no slash at the end of a lenient one.
pub(super) fn any_pattern() -> impl Strategy<Value = PathPattern> {
    let part = prop_oneof![
        4 => "[ab/]{1,3}".prop_map(|text| Part::Text(text.into())),
        3 => Just(Part::Name("n".into())),
        1 => Just(Part::Splat),
    ];
    (proptest::collection::vec(part, 0..8), any::<bool>()).prop_map(|(parts, lenient)| tidy(parts, lenient))
}

fn tidy(drawn: Vec<Part>, lenient: bool) -> PathPattern {
    let mut parts: Vec<Part> = Vec::new();
    let mut names = 0;
    for part in drawn {
        let has_splat = parts.contains(&Part::Splat);
        match (parts.last_mut(), part) {
            (Some(Part::Text(before)), Part::Text(text)) => *before = format!("{before}{text}").into(),
            (_, Part::Splat) if has_splat => {}
            (_, Part::Name(_)) => {
                names += 1;
                parts.push(Part::Name(format!("n{names}").into()));
            }
            (_, part) => parts.push(part),
        }
    }
    if let (true, Some(Part::Text(text))) = (lenient, parts.last_mut()) {
        *text = text.trim_end_matches('/').into();
    }
    parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
    PathPattern { parts, lenient }
}

/// A path that the pattern has a chance with: its parts, some filled in, some not quite.
pub(super) fn any_path_near(pattern: &PathPattern) -> impl Strategy<Value = String> + use<> {
    let pieces: Vec<BoxedStrategy<String>> = pattern
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Just(text.to_string()).boxed(),
            Part::Name(_) => "[abé]{1,4}".boxed(),
            Part::Splat => "[ab/]{0,5}".boxed(),
        })
        .collect();
    prop_oneof![
        4 => (pieces, "/?").prop_map(|(pieces, end)| pieces.concat() + &end),
        1 => "[ab/é]{0,10}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_pattern_captures_exactly_what_its_expression_does(
        (pattern, path) in any_pattern().prop_flat_map(|pattern| {
            let path = any_path_near(&pattern);
            (Just(pattern), path)
        })
    ) {
        let compiled = Pattern::of_path(&pattern);
        prop_assert_eq!(captured(&compiled, &path), expected(&pattern, &path));
    }
}

#[test]
fn long_texts_that_nearly_match_cost_no_more_than_their_length() {
    // An engine that backtracks needs 8,000⁴ steps for this.
    let pattern = Pattern::of_path(&PathPattern { parts: parts("*:a-:b-:c-:d-:e!"), lenient: false });
    assert!(!pattern.matches(&"a-".repeat(4000)));
    assert!(!pattern.matches(&("a".repeat(8000) + "!")));
}
