//! Whatever the files hold: no panic, and what compiles is sound.

use proptest::prelude::*;

use super::corpus::files;
use super::*;

pub(super) fn check_invariants(compiled: &Result<Compiled, Refused>) -> Result<(), String> {
    compiled.as_ref().map_or(Ok(()), |compiled| soundness::check(&compiled.rules, &compiled.problems))
}

/// Lines of words that mean something somewhere, and some that never do.
fn likely_text() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => prop::sample::select(vec![
            "/", "/*", "/a", "/:a", "/a/*", "/:a/:b", "/a-:b*", "/:splat", "//", "/..", "/a/../b", "/%2e%2e", "/%2f",
            "/caf%C3%A9", "/é", "https://example.org/*", "https://:a.example.org/", "https://:a.b/", "https://:splat.b.c",
            "http://a.b:80/", "https://u@b/", "200", "301!", "404", "410", "id=:id", "a=*", "Country=us", "Header:x=1",
            "Cookie=a", "Language=en", "Host=a.b", "Role=x", "#", "#x", "!", "->", "file:/a", "[status=404]",
            "[context=preview]", "X-A:", "v", ":a", ":splat", "Basic-Auth:", "a:b", "Set-Cookie:", "/b?x=:a#:splat",
            "[[redirects]]", "[[headers]]", "[serve]", "from = \"/a/*\"", "to = \"/b/:splat\"", "for = \"/*\"",
            "values = { X = \"1\" }", "\"", "'''", "force = true", "\0", "\r", "\u{b}", "\u{85}", "\u{feff}",
        ]).prop_map(|word| word.as_bytes().to_vec()),
        1 => "[/:*%?#=!a-z0-9 .-]{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    let glue = prop::sample::select(vec![" ", "\t", "\n", "\r\n", "\n  ", ""]);
    prop::collection::vec((word, glue), 0..40).prop_map(|words| {
        words.into_iter().flat_map(|(word, glue)| [word, glue.as_bytes().to_vec()].concat()).collect()
    })
}

fn compile_everywhere(bytes: &[u8]) -> Result<(), String> {
    let slots = [
        SourceFiles { redirects: Some(bytes), headers: Some(bytes), ..SourceFiles::default() },
        SourceFiles { loggia_toml: Some(bytes), netlify_toml: Some(bytes), ..SourceFiles::default() },
    ];
    for files in slots {
        for dialect in [Dialect::Netlify, Dialect::Cloudflare] {
            check_invariants(&in_dialect(dialect, &files))?;
            let one = SourceFiles {
                redirects: files.redirects,
                loggia_toml: files.loggia_toml,
                ..SourceFiles::default()
            };
            check_invariants(&in_dialect(dialect, &one))?;
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_compile_to_sound_rules_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        compile_everywhere(&bytes).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn likely_files_compile_to_sound_rules_or_are_refused(bytes in likely_text()) {
        compile_everywhere(&bytes).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn damaged_files_of_the_corpus_compile_to_sound_rules_or_are_refused(
        pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let all = [files("redirects"), files("headers"), files("toml")].concat();
        let mut bytes = pick.get(&all).1.clone();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        compile_everywhere(&bytes).map_err(TestCaseError::fail)?;
    }
}
