//! A project's files into rules, when a deployment is made.
//!
//! Pure: text in, values out. What it says of a file holds for every later request, so that matching has nothing
//! left to parse and nothing left to distrust: no text in compiled rules holds a control byte, no target can climb
//! out of its site or be steered to another domain by what a visitor asked for.
//!
//! A rule that can't be understood is left out and reported; what is over a limit fails the deployment
//! ([`limits`]). Where several files have rules, `_redirects` and `_headers` come first, then `loggia.toml`, then
//! `netlify.toml`.

mod conditions;
mod destination;
pub mod files;
mod headers;
mod headers_file;
pub mod limits;
mod loops;
mod pattern;
mod problems;
mod redirect;
mod redirect_list;
mod redirects_file;
mod template;
mod text;
mod text_file;
mod toml;
mod url_text;

use loggia_types::manifest::{HtmlHandling, NotFound};
use loggia_types::problem::Problem;
use loggia_types::publish::SkewProtection;
use loggia_types::rules::{Dialect, Rules};

use headers::HeaderList;
use problems::Problems;
use redirect_list::RedirectList;
use toml::Settings;

pub use files::{HEADERS_FILE, LOGGIA_FILE, NETLIFY_FILE, REDIRECTS_FILE};

/// The files of a project that hold rules, as bytes: that they are text is found out here.
#[derive(Debug, Clone, Copy, Default)]
pub struct SourceFiles<'a> {
    pub redirects: Option<&'a [u8]>,
    pub headers: Option<&'a [u8]>,
    pub loggia_toml: Option<&'a [u8]>,
    pub netlify_toml: Option<&'a [u8]>,
    /// There is a `wrangler.toml`, `wrangler.json` or `wrangler.jsonc`.
    pub has_wrangler: bool,
}

/// The project's settings, which fill what its files leave out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Defaults {
    pub dialect: Option<Dialect>,
    pub html_handling: Option<HtmlHandling>,
    pub not_found: Option<NotFound>,
    pub permanent: Option<bool>,
    pub skew_protection: Option<SkewProtection>,
    /// Rules may fetch from other origins.
    pub allow_proxy: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    pub dialect: Dialect,
    pub html_handling: HtmlHandling,
    pub not_found: NotFound,
    /// HTML handling redirects with 308 instead of 307.
    pub permanent: bool,
    pub skew_protection: SkewProtection,
    pub rules: Rules,
    /// By file, then by line.
    pub problems: Vec<Problem>,
}

/// Why a deployment fails: a limit was passed, or a `Basic-Auth` is written so that it would protect nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct Refused {
    pub file: &'static str,
    /// Counted from 1.
    pub line: u32,
    pub message: String,
}

/// What a rule is compiled under.
#[derive(Debug, Clone, Copy)]
struct Mode {
    dialect: Dialect,
    html_handling: HtmlHandling,
    allow_proxy: bool,
}

/// Why one rule is not used: a mistake leaves out the rule, a limit fails the deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    Mistake(String),
    Limit(String),
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self::Mistake(message)
    }
}

/// Where rules of all files come together.
struct Output {
    mode: Mode,
    problems: Problems,
    redirects: RedirectList,
    headers: HeaderList,
}

pub fn compile(files: &SourceFiles<'_>, defaults: &Defaults) -> Result<Compiled, Refused> {
    let mut problems = Problems::default();
    let loggia = toml::document(LOGGIA_FILE, files.loggia_toml, &mut problems)?;
    let netlify = toml::document(NETLIFY_FILE, files.netlify_toml, &mut problems)?;

    let settings = loggia.as_ref().map(|doc| toml::loggia::settings(doc, &mut problems)).unwrap_or_default();
    let mode = Mode {
        dialect: dialect(&settings, files, defaults),
        html_handling: settings.html_handling.or(defaults.html_handling).unwrap_or_default(),
        allow_proxy: defaults.allow_proxy,
    };
    let mut output =
        Output { mode, problems, redirects: RedirectList::default(), headers: HeaderList::default() };
    if let Some(bytes) = files.redirects {
        redirects_file::read(bytes, &mut output)?;
    }
    if let Some(bytes) = files.headers {
        headers_file::read(bytes, &mut output)?;
    }
    if let Some(document) = &loggia {
        toml::loggia::read_rules(document, &mut output)?;
    }
    if let Some(document) = &netlify {
        toml::netlify::read_rules(document, &mut output)?;
    }
    Ok(Compiled {
        dialect: mode.dialect,
        html_handling: mode.html_handling,
        not_found: settings.not_found.or(defaults.not_found).unwrap_or_default(),
        permanent: settings.permanent.or(defaults.permanent).unwrap_or_default(),
        skew_protection: settings.skew_protection.or(defaults.skew_protection).unwrap_or_default(),
        rules: Rules { redirects: output.redirects.into_rules(), headers: output.headers.into_rules() },
        problems: output.problems.into_list(),
    })
}

fn dialect(settings: &Settings, files: &SourceFiles<'_>, defaults: &Defaults) -> Dialect {
    let detected = match (files.netlify_toml, files.has_wrangler) {
        (None, true) => Dialect::Cloudflare,
        _ => Dialect::Netlify,
    };
    settings.dialect.or(defaults.dialect).unwrap_or(detected)
}

#[cfg(test)]
mod tests;
