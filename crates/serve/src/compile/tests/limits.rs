use super::super::limits::*;
use super::*;

fn refused(dialect: Dialect, files: &SourceFiles<'_>) -> String {
    in_dialect(dialect, files).expect_err("over a limit").to_string()
}

fn of_redirects(dialect: Dialect, text: &str) -> String {
    refused(dialect, &SourceFiles { redirects: Some(text.as_bytes()), ..SourceFiles::default() })
}

fn numbered(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|n| line(n) + "\n").collect()
}

#[test]
fn a_file_too_long_fails_in_the_line_where_it_gets_too_long() {
    let text = "# 16 characters\n".repeat(FILE_BYTES_MAX / 16);
    assert!(redirects(Dialect::Netlify, &text).problems.is_empty());
    let text = text + "/a /b\n";
    let message = format!("4097: the file has {} bytes, from this line on it is over 65536", text.len());
    for (file, files) in [
        ("_redirects", SourceFiles { redirects: Some(text.as_bytes()), ..SourceFiles::default() }),
        ("_headers", SourceFiles { headers: Some(text.as_bytes()), ..SourceFiles::default() }),
        ("loggia.toml", SourceFiles { loggia_toml: Some(text.as_bytes()), ..SourceFiles::default() }),
        ("netlify.toml", SourceFiles { netlify_toml: Some(text.as_bytes()), ..SourceFiles::default() }),
    ] {
        assert_eq!(refused(Dialect::Netlify, &files), format!("{file}:{message}"));
    }
}

#[test]
fn a_line_has_2000_characters_unless_it_is_a_comment() {
    let fits = format!("\n/a /{}", "é".repeat(LINE_CHARS_MAX - 4));
    assert_eq!(redirects(Dialect::Netlify, &fits).rules.redirects.len(), 1);
    let over = of_redirects(Dialect::Netlify, &format!("{fits}é\n"));
    assert_eq!(over, "_redirects:2: the line has 2001 characters, a line has at most 2000");
    assert_eq!(summary(&redirects(Dialect::Netlify, &format!("#{fits}é").replace('\n', ""))), "");
    let header = format!("/*\n  X: {}", "a".repeat(LINE_CHARS_MAX));
    let files = SourceFiles { headers: Some(header.as_bytes()), ..SourceFiles::default() };
    assert_eq!(
        refused(Dialect::Netlify, &files),
        "_headers:2: the line has 2003 characters, a line has at most 2000"
    );
}

#[test]
fn texts_in_toml_are_as_long_as_lines_at_most() {
    let long = "a".repeat(LINE_CHARS_MAX + 1);
    for toml in [
        format!("[[redirects]]\nfrom = \"/{long}\"\n"),
        format!("[[headers]]\nvalues = {{ X = \"{long}\" }}\n"),
        format!("[[headers]]\nvalues = {{ X = [\"{long}\"] }}\n"),
    ] {
        let files = SourceFiles { loggia_toml: Some(toml.as_bytes()), ..SourceFiles::default() };
        assert!(refused(Dialect::Netlify, &files).starts_with("loggia.toml:2: "), "{toml}");
    }
}

#[test]
fn a_path_has_25_segments() {
    let fits = "/s".repeat(PATH_SEGMENTS_MAX);
    for dialect in [Dialect::Netlify, Dialect::Cloudflare] {
        assert_eq!(redirects(dialect, &format!("{fits}/ /x\n/y {fits}\n")).rules.redirects.len(), 2);
        assert!(
            of_redirects(dialect, &format!("/a /b\n{fits}/s /x")).starts_with("_redirects:2: the source")
        );
        assert!(of_redirects(dialect, &format!("/y {fits}/s")).starts_with("_redirects:1: the target"));
    }
    let elsewhere = format!("/y https://example.org{fits}/s");
    assert_eq!(redirects(Dialect::Netlify, &elsewhere).rules.redirects.len(), 1);
}

#[test]
fn there_are_5000_static_and_500_dynamic_rules() {
    let statics = numbered(STATIC_REDIRECTS_MAX, |n| format!("/{n} /x"));
    let dynamics = numbered(DYNAMIC_REDIRECTS_MAX, |n| format!("/{n}/* /x"));
    for dialect in [Dialect::Netlify, Dialect::Cloudflare] {
        assert_eq!(redirects(dialect, &format!("{statics}{dynamics}")).rules.redirects.len(), 5_500);
        let over = of_redirects(dialect, &format!("{statics}/more /x"));
        assert_eq!(over, "_redirects:5001: with this rule there are over 5000 static redirects");
        let over = of_redirects(dialect, &format!("{dynamics}/more/* /x"));
        assert_eq!(over, "_redirects:501: with this rule there are over 500 dynamic redirects");
    }
    let below = format!("{dynamics}/more /x");
    assert_eq!(redirects(Dialect::Netlify, &below).rules.redirects.len(), 501);
    assert!(of_redirects(Dialect::Cloudflare, &below).starts_with("_redirects:501: with this rule"));
}

#[test]
fn rules_of_all_files_are_counted_together() {
    let statics = numbered(STATIC_REDIRECTS_MAX, |n| format!("/{n} /x"));
    let files = SourceFiles {
        redirects: Some(statics.as_bytes()),
        netlify_toml: Some(b"\n[[redirects]]\nfrom = \"/more\"\nto = \"/x\"\n"),
        ..SourceFiles::default()
    };
    assert!(refused(Dialect::Netlify, &files).starts_with("netlify.toml:2: with this rule"));
}

#[test]
fn there_are_500_blocks_of_headers() {
    let blocks = numbered(HEADER_BLOCKS_MAX, |n| format!("/{n}\n X: 1"));
    assert_eq!(header_file(Dialect::Netlify, &blocks).rules.headers.len(), 500);
    let over = format!("{blocks}/more\n X: 1");
    let files = SourceFiles { headers: Some(over.as_bytes()), ..SourceFiles::default() };
    assert_eq!(refused(Dialect::Netlify, &files), "_headers:1001: with this one there are over 500 blocks");
}
