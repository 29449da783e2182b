//! Trees in, plans out: adding a rule is adding a row.

#![allow(clippy::unwrap_used)]

use loggia_types::build::BuildSettings;

use super::*;

fn tree(files: &[(&str, &str)]) -> FileTree {
    FileTree::of_files(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())))
}

/// `framework | install | build | output`, with what differs from the root.
fn summary(found: &Result<BuildPlan, DetectError>) -> String {
    let plan = match found {
        Ok(plan) => plan,
        Err(error) => return format!("refused: {error}"),
    };
    let or_none = |command: &Option<String>| command.clone().unwrap_or_else(|| "-".to_owned());
    let mut text = format!(
        "{} | {} | {} | {}",
        plan.framework,
        or_none(&plan.install),
        or_none(&plan.build),
        plan.output.candidates().join(" or ")
    );
    if !plan.workdir.is_empty() || !plan.install_workdir.is_empty() {
        text += &format!(" | in {:?}, installed in {:?}", plan.workdir, plan.install_workdir);
    }
    text
}

fn check(cases: &[(&[(&str, &str)], &str)]) {
    for (files, expected) in cases {
        let found = summary(&plan(&tree(files), &BuildSettings::default()));
        let is_right = match expected.strip_prefix("refused: ") {
            Some(part) => found.starts_with("refused: ") && found.contains(part),
            None => found == *expected,
        };
        assert!(is_right, "{files:?}\n  expected {expected}\n  found    {found}");
    }
}

const LOCK: (&str, &str) = ("package-lock.json", "{}");

#[test]
fn frameworks_are_recognised() {
    check(&[
        (
            &[
                ("package.json", r#"{"dependencies":{"next":"15"},"scripts":{"build":"next build"}}"#),
                ("next.config.mjs", "export default { output: 'export' }"),
                LOCK,
            ],
            "Next.js | npm ci | npm run build | out",
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"dependencies":{"next":"12"},"scripts":{"build":"next build && next export"}}"#,
                ),
                LOCK,
            ],
            "Next.js | npm ci | npm run build | out",
        ),
        (
            &[
                ("package.json", r#"{"dependencies":{"next":"15"}}"#),
                ("next.config.ts", "const c = { output: isCi ? 'export' : undefined, distDir: 'site' }"),
                LOCK,
            ],
            "Next.js | npm ci | next build | site",
        ),
        (
            &[
                ("package.json", r#"{"dependencies":{"next":"15"}}"#),
                ("next.config.js", "module.exports = { // output: 'export'\n output: 'standalone' }"),
            ],
            "refused: `output: 'export'`",
        ),
        (&[("package.json", r#"{"dependencies":{"next":"15"}}"#)], "refused: `output: 'export'`"),
        (
            &[
                (
                    "package.json",
                    r#"{"devDependencies":{"@sveltejs/kit":"2","@sveltejs/adapter-static":"3","vite":"6"},
                        "scripts":{"build":"vite build"}}"#,
                ),
                LOCK,
            ],
            "SvelteKit | npm ci | npm run build | build",
        ),
        (
            &[(
                "package.json",
                r#"{"devDependencies":{"@sveltejs/kit":"2","@sveltejs/adapter-node":"5","vite":"6"}}"#,
            )],
            "refused: adapter-static",
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"dependencies":{"astro":"5"},"scripts":{"build":"astro check && astro build"}}"#,
                ),
                LOCK,
            ],
            "Astro | npm ci | npm run build | dist",
        ),
        (
            &[
                ("package.json", r#"{"dependencies":{"astro":"5"}}"#),
                (
                    "astro.config.mjs",
                    "export default defineConfig({ outDir: './public_html', output: 'static' })",
                ),
                LOCK,
            ],
            "Astro | npm ci | astro build | public_html",
        ),
        (
            &[
                ("package.json", r#"{"dependencies":{"astro":"5"}}"#),
                ("astro.config.ts", "export default defineConfig({ output: \"server\" })"),
            ],
            "refused: Astro builds a server",
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"devDependencies":{"@11ty/eleventy":"3"},"scripts":{"start":"eleventy --serve"}}"#,
                ),
                LOCK,
            ],
            "Eleventy | npm ci | eleventy | _site",
        ),
        (
            &[
                ("package.json", r#"{"devDependencies":{"@11ty/eleventy":"3"}}"#),
                ("eleventy.config.js", "return { dir: { input: 'src', output: 'www' } }"),
                LOCK,
            ],
            "Eleventy | npm ci | eleventy | www",
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"devDependencies":{"vite":"6"},"scripts":{"build":"tsc && vite build"}}"#,
                ),
                LOCK,
            ],
            "Vite | npm ci | npm run build | dist",
        ),
        (
            &[
                ("package.json", r#"{"devDependencies":{"vite":"6"}}"#),
                ("vite.config.ts", "export default { root: 'src', build: { outDir: '../site' } }"),
                LOCK,
            ],
            "Vite | npm ci | vite build | site",
        ),
        (
            &[
                ("package.json", r#"{"devDependencies":{"vite":"6"}}"#),
                ("vite.config.ts", "export default { build: { outDir: '../../etc' } }"),
                LOCK,
            ],
            "Vite | npm ci | vite build | dist", // what climbs out is not believed
        ),
        (&[("hugo.toml", "baseURL = 'https://x'")], "Hugo | - | hugo --gc --minify | public"),
        (
            &[("config.toml", "# c\nbaseURL = 'https://x'\npublishDir = 'site'")],
            "Hugo | - | hugo --gc --minify | site",
        ),
        (&[("config/_default/hugo.yaml", "title: x")], "Hugo | - | hugo --gc --minify | public"),
        (
            &[
                ("hugo.yaml", "x: 1"),
                (
                    "package.json",
                    r#"{"devDependencies":{"vite":"6"},"scripts":{"build":"vite build && hugo"}}"#,
                ),
                LOCK,
            ],
            "Hugo | npm ci | npm run build | public",
        ),
        (&[("index.html", "<p>")], "plain files | - | - | ."),
        (&[("index.html", "<p>"), ("package.json", "{}"), LOCK], "plain files | - | - | ."),
        (&[("config.toml", "x = 1"), ("index.html", "")], "plain files | - | - | ."),
        (
            &[("package.json", r#"{"scripts":{"build":"node make.js"}}"#), LOCK, ("index.html", "")],
            "Node.js | npm ci | npm run build | dist or build or public or out or _site",
        ),
        (&[("README.md", "")], "refused: no index.html"),
        (&[("package.json", "{}")], "refused: `build` script"),
        (&[], "refused: no index.html"),
    ]);
}

#[test]
fn scripts_of_the_framework_are_preferred_and_hosting_platforms_are_never_called() {
    let package = |scripts: &str| format!(r#"{{"devDependencies":{{"vite":"6"}},"scripts":{scripts}}}"#);
    let cases = [
        (r#"{"build":"node x.js","build:site":"vite build"}"#, "npm run build:site"),
        (r#"{"all":"vite build","build-app":"vite build"}"#, "npm run build-app"),
        (r#"{"build":"node x.js"}"#, "npm run build"),
        (r#"{"build":"netlify build"}"#, "vite build"),
        (r#"{"build":"vite build && wrangler pages deploy dist"}"#, "vite build"),
        (r#"{"deploy":"vite build && gh-pages -d dist","build":"vite build"}"#, "npm run build"),
        (r#"{"x; rm -rf ~":"vite build"}"#, "vite build"),
        (r#"{"--help":"vite build"}"#, "vite build"),
        (r#"{"build":["vite","build"]}"#, "vite build"),
        (r#"{"build":""}"#, "vite build"),
        (r#"["build"]"#, "vite build"),
        ("null", "vite build"),
    ];
    for (scripts, expected) in cases {
        let text = package(scripts);
        let found = plan(&tree(&[("package.json", &text), LOCK]), &BuildSettings::default()).unwrap();
        assert_eq!(found.build.as_deref(), Some(expected), "{scripts}");
    }
}

#[test]
fn package_managers_are_chosen_by_name_then_by_lock_file() {
    let vite = r#"{"devDependencies":{"vite":"6"}}"#;
    let named =
        |manager: &str| format!(r#"{{"devDependencies":{{"vite":"6"}},"packageManager":"{manager}"}}"#);
    let berry = "# This file is generated by running \"yarn install\"\n\n__metadata:\n  version: 8\n  cacheKey: 10c0\n";
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, Option<&'a str>);
    let cases: &[Case<'_>] = &[
        // package.json, other files, install, setup
        (vite, &[LOCK], "npm ci", None),
        (vite, &[("npm-shrinkwrap.json", "")], "npm ci", None),
        (vite, &[], "npm install", None),
        (
            vite,
            &[("pnpm-lock.yaml", ""), LOCK],
            "pnpm install --frozen-lockfile",
            Some("command -v pnpm >/dev/null 2>&1 || npm install --global --silent pnpm@10"),
        ),
        (
            vite,
            &[("yarn.lock", "# yarn lockfile v1\n")],
            "yarn install --frozen-lockfile",
            Some("command -v yarn >/dev/null 2>&1 || npm install --global --silent yarn@1"),
        ),
        (
            vite,
            &[("yarn.lock", berry)],
            "yarn install --immutable",
            Some("npm install --global --silent @yarnpkg/cli-dist@4"),
        ),
        (
            vite,
            &[("bun.lockb", "")],
            "bun install --frozen-lockfile",
            Some("command -v bun >/dev/null 2>&1 || npm install --global --silent bun@1"),
        ),
        (
            &named("pnpm@9.1.0+sha512.abc"),
            &[("pnpm-lock.yaml", ""), LOCK],
            "pnpm install --frozen-lockfile",
            Some("npm install --global --silent pnpm@9.1.0"),
        ),
        (
            &named("yarn@4.5.0"),
            &[("yarn.lock", berry)],
            "yarn install --immutable",
            Some("npm install --global --silent @yarnpkg/cli-dist@4.5.0"),
        ),
        (&named("pnpm@9.1.0"), &[LOCK], "pnpm install", Some("npm install --global --silent pnpm@9.1.0")),
        (&named("npm@10.0.0"), &[LOCK], "npm ci", None),
        (&named("cargo@1"), &[LOCK], "npm ci", None),
        (
            &named("pnpm@9; id"),
            &[("pnpm-lock.yaml", "")],
            "pnpm install --frozen-lockfile",
            Some("command -v pnpm >/dev/null 2>&1 || npm install --global --silent pnpm@10"),
        ),
    ];
    for (package, others, install, setup) in cases {
        let mut files = others.to_vec();
        files.push(("package.json", package));
        let found = plan(&tree(&files), &BuildSettings::default()).unwrap();
        assert_eq!(found.install.as_deref(), Some(*install), "{files:?}");
        assert_eq!(found.setup.as_deref(), *setup, "{files:?}");
        let is_unfrozen = install.split(' ').count() == 2 && *install != "npm ci";
        assert_eq!(found.problems.len(), usize::from(is_unfrozen), "a plain install is a problem: {files:?}");
    }
}

#[test]
fn a_project_in_a_folder_installs_where_the_lock_file_is() {
    let site = r#"{"devDependencies":{"vite":"6"},"scripts":{"build":"vite build"}}"#;
    let root = r#"{"packageManager":"pnpm@9.0.0","workspaces":["packages/*"]}"#;
    let settings = BuildSettings { root: "./packages/site/".to_owned(), ..BuildSettings::default() };
    let files = [("packages/site/package.json", site), ("package.json", root), ("pnpm-lock.yaml", "")];
    assert_eq!(
        summary(&plan(&tree(&files), &settings)),
        "Vite | pnpm install --frozen-lockfile | pnpm run build | dist | in \"packages/site\", installed in \"\""
    );
    let files =
        [("packages/site/package.json", site), ("package.json", "not JSON"), ("packages/site/yarn.lock", "")];
    assert_eq!(
        summary(&plan(&tree(&files), &settings)),
        "Vite | yarn install --frozen-lockfile | yarn run build | dist | in \"packages/site\", installed in \"packages/site\""
    );
    let files = [("packages/site/index.html", "")];
    assert_eq!(
        summary(&plan(&tree(&files), &settings)),
        "plain files | - | - | . | in \"packages/site\", installed in \"packages/site\""
    );
    let missing = summary(&plan(&tree(&[("index.html", "")]), &settings));
    assert!(missing.contains("`packages/site` is not in the repository"), "{missing}");
}

#[test]
fn settings_win_over_everything_that_is_found() {
    let vite = ("package.json", r#"{"devDependencies":{"vite":"6"},"scripts":{"build":"vite build"}}"#);
    let next = ("package.json", r#"{"dependencies":{"next":"15"},"scripts":{"build":"next build"}}"#);
    let plain = ("index.html", "");
    type Case<'a> = ((&'a str, &'a str), [Option<&'a str>; 3], &'a str);
    let cases: &[Case<'_>] = &[
        // file, [install, build, output], plan
        (vite, [None, Some("make"), None], "Vite | npm ci | make | dist"),
        (vite, [None, None, Some("./www/")], "Vite | npm ci | npm run build | www"),
        (vite, [Some("make deps"), None, None], "Vite | make deps | npm run build | dist"),
        (vite, [Some(""), None, None], "Vite | - | npm run build | dist"),
        (vite, [None, Some(""), Some("site")], "Vite | - | - | site"),
        (next, [None, Some("make export"), None], "Next.js | npm ci | make export | out"),
        (next, [None, None, Some("site")], "Next.js | npm ci | npm run build | site"),
        (
            plain,
            [None, Some("make"), None],
            "plain files | - | make | dist or build or public or out or _site",
        ),
        (plain, [None, Some("make"), Some("")], "plain files | - | make | ."),
        (("README.md", ""), [None, None, Some("docs")], "plain files | - | - | docs"),
        (("README.md", ""), [None, Some("make"), Some("docs")], "plain files | - | make | docs"),
    ];
    for (file, [install, build, output], expected) in cases {
        let settings = BuildSettings {
            root: String::new(),
            install_command: install.map(str::to_owned),
            build_command: build.map(str::to_owned),
            output: output.map(str::to_owned),
        };
        assert_eq!(summary(&plan(&tree(&[*file, LOCK]), &settings)), *expected, "{file:?} with {settings:?}");
    }
}

#[test]
fn settings_that_could_be_misread_or_lead_out_are_refused() {
    let tree = tree(&[("index.html", ""), ("a..b/index.html", "")]);
    for text in ["-x", "/etc", "..", "../x", "a/../../b", "a\\b", "a\nb", "a\0b", "--output=/etc"] {
        let settings = BuildSettings { output: Some(text.to_owned()), ..BuildSettings::default() };
        assert!(plan(&tree, &settings).is_err(), "output {text:?}");
        let settings = BuildSettings { root: text.to_owned(), ..BuildSettings::default() };
        assert!(plan(&tree, &settings).is_err(), "root {text:?}");
    }
    for text in ["-x", " --version", "a\0b", &"x".repeat(5000)] {
        let settings = BuildSettings { build_command: Some(text.to_owned()), ..BuildSettings::default() };
        assert!(plan(&tree, &settings).is_err(), "build {text:?}");
        let settings = BuildSettings { install_command: Some(text.to_owned()), ..BuildSettings::default() };
        assert!(plan(&tree, &settings).is_err(), "install {text:?}");
    }
    for text in ["a..b", "./a..b/", "."] {
        let settings = BuildSettings { root: text.to_owned(), ..BuildSettings::default() };
        assert!(plan(&tree, &settings).is_ok(), "root {text:?}");
    }
}

#[test]
fn a_hostile_package_json_is_an_error_that_says_what_is_wrong() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(5 * 1024 * 1024));
    let cases: [(&[u8], &str); 9] = [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b"42", "no object"),
        (b"{\"a\":\"\xff\"}", "not UTF-8"),
        (b"{\"a\":\"\0\"}", "not UTF-8"),
        (deep.as_bytes(), "not JSON"),
        (large.as_bytes(), "larger than 1024 KiB"),
    ];
    for (content, expected) in cases {
        let tree = FileTree::of_files([("package.json".to_owned(), content.to_vec())]);
        let error = plan(&tree, &BuildSettings::default()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("package.json"), "{error}");
    }
    let odd = r#"{"dependencies":["vite"],"devDependencies":{"vite":{"a":1}},"scripts":{"build":7},"packageManager":[]}"#;
    let found =
        plan(&FileTree::of_files([("package.json".to_owned(), odd.into())]), &BuildSettings::default());
    assert_eq!(summary(&found), "Vite | npm install | vite build | dist");
}

#[test]
fn the_explanation_names_what_was_found() {
    let files =
        [("package.json", r#"{"devDependencies":{"vite":"6"},"scripts":{"build":"vite build"}}"#), LOCK];
    let found = plan(&tree(&files), &BuildSettings::default()).unwrap();
    assert_eq!(
        found.explanation,
        "Vite, because package.json depends on vite; build script `build`; npm, because of package-lock.json."
    );
}
