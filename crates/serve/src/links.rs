//! What a page asks for in its head, as the value of a `Link` header (RFC 8288): a browser, or a CDN that sends
//! Early Hints, can begin to load it before it has read the page.
//!
//! `preload`, `modulepreload` and `preconnect` count. An element with an attribute that a header cannot carry is left
//! out, as on Cloudflare Pages: `fetchpriority` or `integrity` would be lost, and the hint would differ from the page.

use std::collections::BTreeMap;
use std::fmt::Write;

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{HtmlString, StartTag, Token, Tokenizer};

/// Longer pages are data; their heads are read on the way anyway.
pub const PAGE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// More than a connection begins at once.
const LINKS_MAX: usize = 20;

/// Proxies commonly take 4 to 8 KiB of headers for a whole answer.
const VALUE_BYTES_MAX: usize = 2048;

/// In the order in which they are written.
const PARAMETERS: [&str; 6] = ["as", "crossorigin", "type", "media", "imagesrcset", "imagesizes"];

/// The elements of a head (HTML, 4.2); any other one ends it.
const METADATA: [&str; 13] = [
    "html", "head", "title", "base", "basefont", "bgsound", "link", "meta", "style", "script", "noscript",
    "template", "noframes",
];

/// The header's value; `None` when there is nothing to say.
pub fn of_page(html: &[u8]) -> Option<Box<str>> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut head = Head::default();
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        if !head.goes_on_after(&token) {
            break;
        }
    }
    head.finish()
}

#[derive(Default)]
struct Head {
    links: Vec<Link>,
    has_base: bool,
    /// Open `<template>`s: what is in them is not part of the page.
    templates: usize,
    /// The element whose text is not the page's.
    inside: Option<HtmlString>,
}

struct Link {
    text: String,
    is_absolute: bool,
}

impl Head {
    fn goes_on_after(&mut self, token: &Token) -> bool {
        match token {
            Token::StartTag(tag) => self.goes_on_after_start(tag),
            Token::EndTag(tag) if *tag.name == *b"template" => {
                self.templates = self.templates.saturating_sub(1);
                true
            }
            Token::EndTag(tag) => {
                if self.inside.as_ref() == Some(&tag.name) {
                    self.inside = None;
                }
                self.templates > 0 || *tag.name != *b"head"
            }
            Token::String(text) => {
                let is_blank = text.iter().all(u8::is_ascii_whitespace);
                is_blank || self.templates > 0 || self.inside.is_some()
            }
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => true,
        }
    }

    fn goes_on_after_start(&mut self, tag: &StartTag<()>) -> bool {
        match &**tag.name {
            b"template" => self.templates += 1,
            _ if self.templates > 0 => {}
            b"base" => self.has_base |= tag.attributes.contains_key(&b"href"[..]),
            b"link" => self.links.extend(link(tag).filter(|_| self.links.len() < LINKS_MAX)),
            b"title" | b"style" | b"script" | b"noscript" | b"noframes" => {
                self.inside = Some(tag.name.clone());
            }
            name => return METADATA.iter().any(|known| known.as_bytes() == name),
        }
        true
    }

    fn finish(self) -> Option<Box<str>> {
        let mut value = String::new();
        // Relative to a base that the header does not have, an address would be another one.
        for link in self.links.iter().filter(|link| link.is_absolute || !self.has_base) {
            if value.len() + 2 + link.text.len() > VALUE_BYTES_MAX {
                break;
            }
            if !value.is_empty() {
                value.push_str(", ");
            }
            value.push_str(&link.text);
        }
        (!value.is_empty()).then(|| value.into())
    }
}

/// `None`: not a hint, or not one that a header can carry.
fn link(tag: &StartTag<()>) -> Option<Link> {
    let attributes: BTreeMap<&str, &str> = tag
        .attributes
        .iter()
        .map(|(name, value)| Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?)))
        .collect::<Option<_>>()?;
    let is_known = |name: &&str| ["rel", "href"].contains(name) || PARAMETERS.contains(name);
    if !attributes.keys().all(is_known) {
        return None;
    }
    let rel = relation(attributes.get("rel")?)?;
    if rel == "preload" && !attributes.contains_key("as") {
        return None;
    }
    let (href, is_absolute) = address(attributes.get("href")?)?;
    let mut text = format!("<{href}>; rel={rel}");
    for name in PARAMETERS {
        if let Some(value) = attributes.get(name) {
            text.push_str("; ");
            parameter(&mut text, name, value.trim_ascii())?;
        }
    }
    // A list of pictures has addresses of its own.
    let is_absolute = is_absolute && !attributes.contains_key("imagesrcset");
    Some(Link { text, is_absolute })
}

fn relation(rel: &str) -> Option<&'static str> {
    let known = |token: &str| {
        ["preload", "modulepreload", "preconnect"].into_iter().find(|known| token.eq_ignore_ascii_case(known))
    };
    rel.split_ascii_whitespace().find_map(known)
}

/// An address as RFC 3986 spells it, and whether it has a scheme.
fn address(href: &str) -> Option<(String, bool)> {
    let href = href.trim_matches(|c: char| c <= ' ');
    if href.is_empty() || href.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\') {
        return None;
    }
    let before_path = href.split(['/', '?', '#']).next().unwrap_or(href);
    let scheme = before_path.split_once(':').map(|(scheme, _)| scheme);
    let is_web = |scheme: &str| ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    if scheme.is_some_and(|scheme| !is_web(scheme)) {
        return None;
    }
    let mut encoded = String::with_capacity(href.len());
    for byte in href.bytes() {
        match byte {
            b' ' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                write!(encoded, "%{byte:02X}").ok()?;
            }
            _ => encoded.push(char::from(byte)),
        }
    }
    Some((encoded, scheme.is_some()))
}

/// A token as it is, anything else as a quoted string (RFC 9110, 5.6.2 and 5.6.4).
fn parameter(text: &mut String, name: &str, value: &str) -> Option<()> {
    text.push_str(name);
    if name == "crossorigin" {
        // Any value but this one means `anonymous`, which is what the bare name means.
        if value.eq_ignore_ascii_case("use-credentials") {
            text.push_str("=use-credentials");
        }
        return Some(());
    }
    text.push('=');
    if !value.is_empty() && value.bytes().all(is_token) {
        text.push_str(value);
        return Some(());
    }
    if name == "as" || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return None;
    }
    text.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    Some(())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(html: &str, expected: Option<&str>) {
        assert_eq!(of_page(html.as_bytes()).as_deref(), expected, "{html}");
    }

    #[test]
    fn elements_become_links() {
        let cases = [
            (r#"<link rel=preload href=/app.css as=style>"#, "</app.css>; rel=preload; as=style"),
            (
                r#"<link rel="modulepreload" crossorigin href="/a.js">"#,
                "</a.js>; rel=modulepreload; crossorigin",
            ),
            (
                r#"<link rel=preconnect href=https://fonts.example crossorigin=anonymous>"#,
                "<https://fonts.example>; rel=preconnect; crossorigin",
            ),
            (
                r#"<link crossorigin=Use-Credentials rel=preconnect href=//x.example>"#,
                "<//x.example>; rel=preconnect; crossorigin=use-credentials",
            ),
            (
                r#"<LINK REL="dns-prefetch PRECONNECT" HREF="https://x.example">"#,
                "<https://x.example>; rel=preconnect",
            ),
            (
                r#"<link rel=preload as=font type=font/woff2 crossorigin href=f.woff2>"#,
                "<f.woff2>; rel=preload; as=font; crossorigin; type=\"font/woff2\"",
            ),
            (
                r#"<link rel=preload as=image href=a.png media="(min-width: 600px)">"#,
                "<a.png>; rel=preload; as=image; media=\"(min-width: 600px)\"",
            ),
            (
                r#"<link rel=preload as=image href=a.png imagesrcset="a.png 1x, b.png 2x" imagesizes=50vw>"#,
                "<a.png>; rel=preload; as=image; imagesrcset=\"a.png 1x, b.png 2x\"; imagesizes=50vw",
            ),
            (
                r#"<link rel=preload as=style href=" /ä b>c.css?x=1&amp;y=2 ">"#,
                "</%C3%A4%20b%3Ec.css?x=1&y=2>; rel=preload; as=style",
            ),
            (
                r#"<link rel=preload as=style href=/a.css media='"\'>"#,
                "</a.css>; rel=preload; as=style; media=\"\\\"\\\\\"",
            ),
            (
                "<link rel=preload as=style href=/a.css><p><link rel=preload as=style href=/late.css>",
                "</a.css>; rel=preload; as=style",
            ),
        ];
        for (html, expected) in cases {
            check(html, Some(expected));
            check(&format!("<!doctype html><html><head><title>a < b</title>{html}</head>"), Some(expected));
        }
        check(
            "<link rel=preload as=style href=/a.css><meta charset=utf-8><link rel=preconnect href=https://b.example>",
            Some("</a.css>; rel=preload; as=style, <https://b.example>; rel=preconnect"),
        );
    }

    #[test]
    fn what_a_header_cannot_say_is_left_out() {
        let cases = [
            "",
            "<link rel=stylesheet href=/a.css>",
            "<link rel=preload href=/a.css>",
            "<link rel=preload as=style>",
            "<link rel=preload as=style href=''>",
            "<link rel=preload as='' href=/a.css>",
            "<link rel=preload as='sty le' href=/a.css>",
            "<link rel=preload as=script href=/a.js fetchpriority=high>",
            "<link rel=preload as=script href=/a.js integrity=sha256-x>",
            "<link rel=preload as=script href=/a.js data-x>",
            "<link rel=preload as=image href=data:image/png;base64,xx>",
            "<link rel=preload as=script href=javascript:alert(1)>",
            "<link rel=preload as=script href='/a\nb.js'>",
            "<link rel=preload as=script href='/a&#1;b.js'>",
            "<link rel=preload as=script href='\\\\evil.example'>",
            "<link rel=preload as=style href=/a.css media='ä'>",
            "<!-- <link rel=preload as=style href=/a.css> -->",
            "<script>'<link rel=preload as=style href=/a.css>'</script>",
            "<style>a::after{content:'<link rel=preload as=style href=/a.css>'}</style>",
            "<title><link rel=preload as=style href=/a.css></title>",
            "<noscript><link rel=preload as=style href=/a.css></noscript>",
            "<template><div><link rel=preload as=style href=/a.css></div></template>",
            "<template><template></template><link rel=preload as=style href=/a.css></template>",
            "<head></head><link rel=preload as=style href=/a.css>",
            "<body><link rel=preload as=style href=/a.css>",
            "text<link rel=preload as=style href=/a.css>",
            "<base href=/x/><link rel=preload as=style href=/a.css>",
            "<link rel=preload as=style href=a.css><base href=/x/>",
        ];
        for html in cases {
            check(html, None);
        }
    }

    #[test]
    fn absolute_addresses_do_not_mind_a_base() {
        let html = "<base href=/x/><link rel=preload as=style href=https://x.example/a.css>";
        check(html, Some("<https://x.example/a.css>; rel=preload; as=style"));
        check("<base target=_blank><link rel=preconnect href=/a>", Some("</a>; rel=preconnect"));
    }

    #[test]
    fn a_header_has_at_most_twenty_links_and_two_kibibytes() {
        let short = "<link rel=preconnect href=/a>".repeat(30);
        assert_eq!(of_page(short.as_bytes()).expect("links").matches("rel=").count(), LINKS_MAX);
        let long = format!("<link rel=preconnect href=/{}>", "a".repeat(900)).repeat(3);
        assert_eq!(of_page(long.as_bytes()).expect("links").matches("rel=").count(), 2);
    }

    proptest! {
        #[test]
        fn whatever_a_page_holds_the_result_is_a_header_value(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("<link rel=preload as=style href='".to_owned()),
                    Just("<link rel=preconnect href=\"".to_owned()),
                    Just("<template>".to_owned()),
                    Just("</template>".to_owned()),
                    Just("<script>".to_owned()),
                    Just("<!--".to_owned()),
                    Just("'>".to_owned()),
                    Just("\" media='".to_owned()),
                    "\\PC{0,12}",
                    any::<char>().prop_map(String::from),
                ],
                0..24,
            )
        ) {
            if let Some(value) = of_page(parts.concat().as_bytes()) {
                prop_assert!(value.len() <= VALUE_BYTES_MAX);
                prop_assert!(http::HeaderValue::from_str(&value).is_ok());
                prop_assert!(value.is_ascii());
            }
        }

        #[test]
        fn bytes_that_are_no_text_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            of_page(&bytes);
        }
    }
}
