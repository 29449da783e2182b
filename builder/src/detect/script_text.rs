//! Reads shell scripts and JavaScript configuration as text, since running them is not an option here. Good for what
//! people write; whoever writes something else sets the commands in the project's settings.

/// Command lines of hosting platforms: a build that calls one would deploy somewhere else, or wait for a login.
const HOSTING_CLIS: [&str; 16] = [
    "netlify",
    "netlify-cli",
    "ntl",
    "vercel",
    "now",
    "wrangler",
    "firebase",
    "firebase-tools",
    "gh-pages",
    "surge",
    "heroku",
    "flyctl",
    "railway",
    "amplify",
    "loggia",
    "angular-cli-ghpages",
];

/// Signs that a script serves or watches instead of building.
const NEVER_ENDING: [&str; 6] = ["--serve", "--watch", "-w", "serve", "server", "dev"];

/// The words of a shell command, without what joins commands.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "&|;()\"'`".contains(c)).filter(|word| !word.is_empty())
}

/// `vercel` for `./node_modules/.bin/vercel@latest`.
fn program(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    name.split_once('@').map_or(name, |(name, _)| name)
}

pub(super) fn calls_hosting_cli(script: &str) -> bool {
    words(script).any(|word| HOSTING_CLIS.contains(&program(word)))
}

/// Whether a script runs a command such as `vite build`, and comes to an end.
pub(super) fn runs(script: &str, command: &str) -> bool {
    let found: Vec<_> = words(script).collect();
    let wanted: Vec<_> = words(command).take_while(|word| !word.starts_with('-')).collect();
    let is_here = |window: &[&str]| {
        window
            .iter()
            .zip(&wanted)
            .enumerate()
            .all(|(at, (word, wanted))| if at == 0 { program(word) == *wanted } else { word == wanted })
    };
    !wanted.is_empty()
        && found.windows(wanted.len()).any(is_here)
        && !found.iter().any(|word| NEVER_ENDING.contains(word))
}

/// The text of `key: 'value'` (or `=`), of the first one.
pub(super) fn string_setting(text: &str, key: &str) -> Option<String> {
    expressions(text, key).find_map(|expression| {
        let expression = expression.trim_start();
        let quote = expression.chars().next().filter(|c| "'\"`".contains(*c))?;
        let value = expression[1..].split(quote).next()?;
        (!value.contains(['\n', '$'])).then(|| value.to_owned())
    })
}

/// Whether `key` can have this value: `output: 'export'`, also as a part of a condition on the same line.
pub(super) fn may_be(text: &str, key: &str, value: &str) -> bool {
    expressions(text, key).any(|expression| {
        let line = expression.split(['\n', ',', ';']).next().unwrap_or_default();
        ['\'', '"', '`'].iter().any(|quote| line.contains(&format!("{quote}{value}{quote}")))
    })
}

/// What follows each `key:` and `key =`.
fn expressions<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    text.match_indices(key).filter_map(move |(at, _)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(is_word) {
            return None;
        }
        // The key may be quoted; `==` compares.
        let rest = text[at + key.len()..].trim_start_matches(['\'', '"']).trim_start();
        let rest = rest.strip_prefix(':').or_else(|| rest.strip_prefix('='))?;
        (!rest.starts_with('=')).then_some(rest)
    })
}

/// Without `//` and `/* */` comments, or `#` ones: an option that is commented out is not set.
pub(super) fn without_comments(text: &str, hash_comments: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        let mut skip = c.len_utf8();
        match (quote, c) {
            (Some(_), '\\') => skip += rest[1..].chars().next().map_or(0, char::len_utf8),
            // Strings of one line end with it, whatever they lack: an apostrophe in a regular expression is no string.
            (Some(open), _) if c == open || (c == '\n' && open != '`') => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '/') if rest.starts_with("//") => {
                rest = rest.find('\n').map_or("", |end| &rest[end..]);
                continue;
            }
            (None, '/') if rest.starts_with("/*") => {
                rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
                continue;
            }
            (None, '#') if hash_comments => {
                rest = rest.find('\n').map_or("", |end| &rest[end..]);
                continue;
            }
            (None, _) => {}
        }
        kept.push_str(&rest[..skip]);
        rest = &rest[skip..];
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_recognised_by_the_command_they_run() {
        let cases = [
            // script, command, runs it
            ("vite build", "vite build", true),
            ("tsc -b && vite build --mode production", "vite build", true),
            ("cross-env A=1 npx vite build", "vite build", true),
            ("./node_modules/.bin/vite build", "vite build", true),
            ("vite", "vite build", false),
            ("vite build --watch", "vite build", false),
            ("invite build", "vite build", false),
            ("eleventy", "eleventy", true),
            ("npx @11ty/eleventy", "eleventy", true),
            ("eleventy --serve", "eleventy", false),
            ("hugo --gc --minify", "hugo --gc --minify", true),
            ("hugo", "hugo --gc --minify", true),
            ("hugo server", "hugo --gc --minify", false),
            ("next dev", "next build", false),
            ("", "vite build", false),
        ];
        for (script, command, expected) in cases {
            assert_eq!(runs(script, command), expected, "{script:?} runs {command:?}");
        }
    }

    #[test]
    fn scripts_that_deploy_elsewhere_are_recognised() {
        for script in [
            "netlify deploy",
            "npm run build && npx wrangler@3 pages deploy",
            "gh-pages -d dist",
            "(vercel build)",
        ] {
            assert!(calls_hosting_cli(script), "{script}");
        }
        for script in ["vite build", "node netlify.js", "echo firebase-rules"] {
            assert!(!calls_hosting_cli(script), "{script}");
        }
    }

    #[test]
    fn settings_are_found_and_comments_are_not() {
        let text = "// output: 'server'\n/* output: 'hybrid' */ const u = 'https://x//y';\nexport default { output: 'export', \"outDir\": \"site\", output2: 'no' };";
        let text = without_comments(text, false);
        assert_eq!(string_setting(&text, "output").as_deref(), Some("export"));
        assert_eq!(string_setting(&text, "outDir").as_deref(), Some("site"));
        assert!(text.contains("https://x//y"));
        assert!(may_be("output: process.env.X ? 'export' : undefined", "output", "export"));
        assert!(may_be("config.output = \"export\"", "output", "export"));
        assert!(!may_be("output == 'export'", "output", "export"));
        assert!(!may_be("myoutput: 'export'", "output", "export"));
        assert!(!may_be("output: 'standalone',\nx: 'export'", "output", "export"));
        assert_eq!(without_comments("a = 1 # b\nc", true), "a = 1 \nc");
        for odd in ["'", "\\", "'\\", "/*", "//", "`${", "é'\\é"] {
            without_comments(odd, true);
        }
    }
}
