//! The files in which a project says how it is served: which there are, and what becomes of them.

mod read;

use loggia_serve::compile::{
    self, Defaults, HEADERS_FILE, LOGGIA_FILE, NETLIFY_FILE, REDIRECTS_FILE, SourceFiles,
};

pub use loggia_serve::compile::files::{NAMES, ROOT_NAMES, WRANGLER_NAMES, is_configuration};
pub use loggia_serve::compile::{Compiled as Rules, Refused};
pub use read::ReadError;

/// What has to be read of a file: its limit, and one byte that tells that it is longer.
pub const SOURCE_BYTES_MAX: usize = compile::limits::FILE_BYTES_MAX + 1;

/// What was found of them; each at most [`SOURCE_BYTES_MAX`] long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    pub redirects: Option<Vec<u8>>,
    pub headers: Option<Vec<u8>>,
    pub loggia_toml: Option<Vec<u8>>,
    pub netlify_toml: Option<Vec<u8>>,
    pub has_wrangler: bool,
}

impl Sources {
    /// The place of a file of [`NAMES`].
    pub fn slot(&mut self, name: &str) -> Option<&mut Option<Vec<u8>>> {
        match name {
            REDIRECTS_FILE => Some(&mut self.redirects),
            HEADERS_FILE => Some(&mut self.headers),
            LOGGIA_FILE => Some(&mut self.loggia_toml),
            NETLIFY_FILE => Some(&mut self.netlify_toml),
            _ => None,
        }
    }

    /// Fails when a file is over a limit: the deployment shall not go on without its rules.
    pub fn compile(&self) -> Result<Rules, Refused> {
        let files = SourceFiles {
            redirects: self.redirects.as_deref(),
            headers: self.headers.as_deref(),
            loggia_toml: self.loggia_toml.as_deref(),
            netlify_toml: self.netlify_toml.as_deref(),
            has_wrangler: self.has_wrangler,
        };
        // A project's `not_found` setting is the edge's to apply: it may change without a deployment.
        compile::compile(&files, &Defaults::default())
    }
}
