//! `loggia rules check`: the mistakes in a site's rules, and what there is of them.

use std::path::PathBuf;
use std::process::ExitCode;

use loggia_publish::sources::Rules;
use loggia_types::manifest::NotFound;
use loggia_types::rules::{Dialect, Part, RedirectRule};

/// Show what is wrong with a site's rules.
///
/// The site is read as `loggia deploy DIR` would read it. Mistakes go to standard error, counts to standard output.
///
/// Exit code: 0 when nothing is wrong; 1 when something is, or the folder could not be deployed at all.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder with the built site.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The project's folder above it, where a build also looks for loggia.toml, netlify.toml and wrangler's files.
    #[arg(long, value_name = "DIR")]
    project_root: Option<PathBuf>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let site = super::open(&options.dir, options.project_root).await?;
    let problems = site.problems();
    super::print_problems(&problems);
    println!("{}", summary(&site.rules(), site.file_count(), problems.len()));
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary(rules: &Rules, files: usize, problems: usize) -> String {
    let redirects = &rules.rules.redirects;
    let fixed = redirects.iter().filter(|rule| is_static(rule)).count();
    let dialect = match rules.dialect {
        Dialect::Netlify => "netlify",
        Dialect::Cloudflare => "cloudflare",
    };
    let not_found = match rules.not_found {
        NotFound::Auto => "auto, or as the project says",
        mode => mode.as_str(),
    };
    format!(
        "{} ({fixed} static), {}, {}, {}\ndialect {dialect}, html_handling {}, not_found {not_found}",
        count(redirects.len(), "redirect"),
        count(rules.rules.headers.len(), "header block"),
        count(files, "file"),
        count(problems, "problem"),
        rules.html_handling.as_str(),
    )
}

/// One path and nothing else: found without looking at other rules.
fn is_static(rule: &RedirectRule) -> bool {
    rule.from.path.parts.iter().all(|part| matches!(part, Part::Text(_)))
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use loggia_publish::sources::Sources;

    use super::*;

    #[test]
    fn rules_are_counted() {
        let sources = Sources {
            redirects: Some(b"/a /b\n/c/* /d\n/e/:x /f/:x\n".to_vec()),
            headers: Some(b"/a\n  X-A: 1\n".to_vec()),
            loggia_toml: Some(b"[serve]\nnot_found = \"404-page\"\n".to_vec()),
            ..Sources::default()
        };
        let rules = sources.compile().expect("within limits");
        assert_eq!(
            summary(&rules, 12, 0),
            "3 redirects (1 static), 1 header block, 12 files, 0 problems\n\
             dialect netlify, html_handling auto-trailing-slash, not_found 404-page"
        );
    }
}
