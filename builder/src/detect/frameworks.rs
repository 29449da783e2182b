//! The table of frameworks. Order matters: the more specific entry stands before the one that it is made with.

use super::package::Package;
use super::script_text::{may_be, runs, string_setting, without_comments};
use super::tree::{FileTree, join};

#[derive(Debug)]
pub(super) struct Framework {
    pub(super) name: &'static str,
    pub(super) signal: Signal,
    /// Its own build command; found by name, since the packages' programs are in the `PATH`.
    pub(super) command: &'static str,
    pub(super) output: &'static str,
    /// Its configuration, the first of these that is there.
    configs: &'static [&'static str],
    /// The setting that names another output folder.
    output_setting: Option<&'static str>,
    /// Why a project that has the signal cannot be hosted as files, and what to change.
    refusal: fn(&Project<'_>) -> Option<&'static str>,
}

#[derive(Debug)]
pub(super) enum Signal {
    Dependency(&'static str),
    /// One of these files; with a text, only if the file contains it.
    File(&'static [&'static str], Option<&'static str>),
}

/// What the rules look at: one project in a repository.
#[derive(Debug)]
pub(super) struct Project<'t> {
    pub(super) tree: &'t FileTree,
    pub(super) root: &'t str,
    pub(super) package: Option<&'t Package>,
}

const JS_EXTENSIONS_OF_NEXT: &[&str] =
    &["next.config.js", "next.config.mjs", "next.config.cjs", "next.config.ts"];

const ASTRO_CONFIGS: &[&str] =
    &["astro.config.mjs", "astro.config.js", "astro.config.ts", "astro.config.mts", "astro.config.cjs"];

const VITE_CONFIGS: &[&str] = &[
    "vite.config.js",
    "vite.config.ts",
    "vite.config.mjs",
    "vite.config.mts",
    "vite.config.cjs",
    "vite.config.cts",
];

const ELEVENTY_CONFIGS: &[&str] = &[
    ".eleventy.js",
    "eleventy.config.js",
    "eleventy.config.mjs",
    "eleventy.config.cjs",
    "eleventy.config.ts",
];

const HUGO_CONFIGS: &[&str] = &[
    "hugo.toml",
    "hugo.yaml",
    "hugo.yml",
    "hugo.json",
    "config/_default/hugo.toml",
    "config/_default/hugo.yaml",
    "config/_default/hugo.json",
];

/// Hugo's older names, which other programs use as well.
const HUGO_OLD_CONFIGS: &[&str] =
    &["config.toml", "config.yaml", "config.yml", "config.json", "config/_default/config.toml"];

pub(super) const FRAMEWORKS: &[Framework] = &[
    Framework {
        name: "Next.js",
        signal: Signal::Dependency("next"),
        command: "next build",
        output: "out",
        configs: JS_EXTENSIONS_OF_NEXT,
        output_setting: Some("distDir"),
        refusal: next_without_export,
    },
    Framework {
        name: "SvelteKit",
        signal: Signal::Dependency("@sveltejs/kit"),
        command: "vite build",
        output: "build",
        configs: &["svelte.config.js", "svelte.config.ts", "svelte.config.mjs"],
        output_setting: Some("pages"),
        refusal: kit_without_static_adapter,
    },
    Framework {
        name: "Astro",
        signal: Signal::Dependency("astro"),
        command: "astro build",
        output: "dist",
        configs: ASTRO_CONFIGS,
        output_setting: Some("outDir"),
        refusal: astro_with_server,
    },
    Framework {
        name: "Eleventy",
        signal: Signal::Dependency("@11ty/eleventy"),
        command: "eleventy",
        output: "_site",
        configs: ELEVENTY_CONFIGS,
        output_setting: Some("output"),
        refusal: nothing,
    },
    // Before Vite: a theme's assets are often bundled by it.
    Framework {
        name: "Hugo",
        signal: Signal::File(HUGO_CONFIGS, None),
        command: "hugo --gc --minify",
        output: "public",
        configs: HUGO_CONFIGS,
        output_setting: Some("publishDir"),
        refusal: nothing,
    },
    Framework {
        name: "Hugo",
        signal: Signal::File(HUGO_OLD_CONFIGS, Some("baseurl")),
        command: "hugo --gc --minify",
        output: "public",
        configs: HUGO_OLD_CONFIGS,
        output_setting: Some("publishDir"),
        refusal: nothing,
    },
    Framework {
        name: "Vite",
        signal: Signal::Dependency("vite"),
        command: "vite build",
        output: "dist",
        configs: VITE_CONFIGS,
        output_setting: Some("outDir"),
        refusal: nothing,
    },
];

impl Signal {
    /// What was found, to be told: `package.json depends on vite`.
    pub(super) fn find(&self, project: &Project<'_>) -> Option<String> {
        match self {
            Self::Dependency(name) => {
                project.package?.depends_on(name).then(|| format!("package.json depends on {name}"))
            }
            Self::File(names, text) => {
                let is_it = |name: &&&str| {
                    project.has(name)
                        && text.is_none_or(|text| project.text(name).to_lowercase().contains(text))
                };
                names.iter().find(is_it).map(|name| format!("there is a {name}"))
            }
        }
    }
}

impl Framework {
    pub(super) fn refusal(&self, project: &Project<'_>) -> Option<&'static str> {
        (self.refusal)(project)
    }

    /// The folder that the configuration names, else the framework's usual one.
    pub(super) fn output(&self, project: &Project<'_>) -> String {
        let config = project.config(self.configs);
        let named = self.output_setting.and_then(|key| string_setting(&config, key));
        let named = named.and_then(|folder| {
            // Vite's output folder is relative to its own root, usually `../dist` from `src`.
            let base = if self.name == "Vite" {
                string_setting(&config, "root").unwrap_or_default()
            } else {
                String::new()
            };
            normalised(&format!("{base}/{folder}"))
        });
        named.unwrap_or_else(|| self.output.to_owned())
    }
}

impl Project<'_> {
    fn has(&self, name: &str) -> bool {
        self.tree.has_file(&join(self.root, name))
    }

    /// Empty when the file is not there or is no text.
    fn text(&self, name: &str) -> String {
        self.tree.read(&join(self.root, name)).ok().flatten().unwrap_or_default()
    }

    /// The first of these files, without comments.
    fn config(&self, names: &[&str]) -> String {
        let Some(name) = names.iter().find(|name| self.has(name)) else {
            return String::new();
        };
        let hash_comments = name.ends_with(".toml") || name.ends_with(".yaml") || name.ends_with(".yml");
        without_comments(&self.text(name), hash_comments)
    }
}

/// `src/../dist` is `dist`; `None` for what is absolute, climbs out, or is the folder itself.
fn normalised(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.trim_start_matches("/").split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn nothing(_: &Project<'_>) -> Option<&'static str> {
    None
}

fn next_without_export(project: &Project<'_>) -> Option<&'static str> {
    let exports = may_be(&project.config(JS_EXTENSIONS_OF_NEXT), "output", "export")
        // Up to Next.js 13.
        || project.package.and_then(|package| package.script("build")).is_some_and(|text| runs(text, "next export"));
    (!exports).then_some(
        "Next.js builds a server here, and Loggia hosts files. Set `output: 'export'` in next.config.js, so that \
         `next build` writes them to `out`.",
    )
}

fn kit_without_static_adapter(project: &Project<'_>) -> Option<&'static str> {
    let is_static = project.package.is_some_and(|package| package.depends_on("@sveltejs/adapter-static"));
    (!is_static).then_some(
        "SvelteKit builds a server here, and Loggia hosts files. Install `@sveltejs/adapter-static`, use it in \
         svelte.config.js, and set `export const prerender = true` in src/routes/+layout.js.",
    )
}

fn astro_with_server(project: &Project<'_>) -> Option<&'static str> {
    let config = project.config(ASTRO_CONFIGS);
    let has_server = may_be(&config, "output", "server") || may_be(&config, "output", "hybrid");
    has_server.then_some(
        "Astro builds a server here, and Loggia hosts files. Remove `output: 'server'` (or set it to 'static') and \
         the adapter in the Astro configuration.",
    )
}
