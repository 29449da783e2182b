use loggia_types::rules::Dialect;

use super::{Request, get, rule};
use crate::matching::Redirects;

fn holds(condition: &str, request: &Request) -> bool {
    let rule = rule(&format!("/a /b 301 {condition}"), 1, Dialect::Netlify);
    Redirects::new(vec![rule], Dialect::Netlify).find_unforced(&request.head()).is_some()
}

#[test]
fn a_language_is_the_one_the_visitor_likes_best() {
    let cases = [
        // rule          Accept-Language               holds
        ("en", "en", true),
        ("en", "EN-gb", true),
        ("en-gb", "en-GB,en;q=0.9", true),
        ("en-gb", "en", false),
        ("en", "eng", false),
        ("en", "de,en;q=0.9", false),
        ("de", "en;q=0.5, de;q=0.8", true),
        ("de", "en;q=0.8,de;q=0.85", true),
        ("en", "de;q=0.8,en;q=0.8", false),
        ("fr,de", "de-AT", true),
        ("en", "en;q=0", false),
        ("en", "de;q=0,en;q=0.001", true),
        ("en", "de;q=nonsense,en;q=0.1", true),
        ("en", "de;q=1.000;x=y,en", false),
        ("en", "*", false),
        ("en", ", ;q=1,en", true),
        ("en", "", false),
    ];
    for (languages, header, expected) in cases {
        let request = get("/a").with("accept-language", header);
        assert_eq!(holds(&format!("Language={languages}"), &request), expected, "{languages} and {header}");
    }
    assert!(!holds("Language=en", &get("/a")));
    let two_lines = get("/a").with("accept-language", "de;q=0.5").with("accept-language", "en");
    assert!(holds("Language=en", &two_lines));
}

#[test]
fn a_cookie_counts_by_its_name() {
    for (header, expected) in [
        ("session=", true),
        ("a=1; session=x=y", true),
        ("a=1;session =2", true),
        ("a=session", false),
        ("session", false),
        ("Session=1", false),
        ("xsession=1", false),
        (";;=;", false),
    ] {
        assert_eq!(holds("Cookie=is_in,session", &get("/a").with("cookie", header)), expected, "{header}");
    }
    assert!(holds("Cookie=b", &get("/a").with("cookie", "a=1").with("cookie", "b=1")));
}

#[test]
fn countries_hosts_and_headers_are_compared_with_each_value() {
    let request = get("https://www.site.test/a").in_country("at").with("X-Beta", " Yes ").with("x-beta", "2");
    for (condition, expected) in [
        ("Country=DE,AT", true),
        ("Country=DE", false),
        ("Host=www.site.test", true),
        ("Host=site.test", false),
        ("Header:x-beta", true),
        ("Header:x-beta=Yes", true),
        ("Header:x-beta=1,2", true),
        ("Header:x-beta=yes", false),
        ("Header:x-gamma", false),
        ("Country=AT Host=www.site.test Header:x-beta", true),
        ("Country=AT Host=site.test", false),
    ] {
        assert_eq!(holds(condition, &request), expected, "{condition}");
    }
    assert!(!holds("Country=DE", &get("/a")));
}
