//! Finds out how a repository becomes a site: which framework, which commands, which output folder. Pure: it looks at
//! a [`FileTree`] and runs nothing.
//!
//! What the project's owner fixed wins over everything that is found here.

mod frameworks;
mod manager;
mod package;
mod plan;
mod script_text;
mod tree;

use loggia_types::Problem;

pub use plan::plan;
pub use tree::FileTree;

/// How a repository is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildPlan {
    /// For people and statistics: `Vite`, or `plain files`.
    pub framework: String,
    /// Makes the package manager available in the version that the project asks for.
    pub setup: Option<String>,
    pub install: Option<String>,
    /// What installs all the same when the lock file does not match `package.json`.
    pub unfrozen_install: Option<String>,
    pub build: Option<String>,
    pub output: Output,
    /// Where the build runs, relative to the repository; empty for its root.
    pub workdir: String,
    /// Where the install runs: the folder with the lock file, which may be above.
    pub install_workdir: String,
    /// Why all this, in a sentence.
    pub explanation: String,
    pub problems: Vec<Problem>,
}

/// Why there is no plan, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DetectError(pub String);

/// The folders in which a site may lie after the build, relative to where it ran; the first that exists is it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output(Vec<String>);

impl Output {
    pub fn folder(name: impl Into<String>) -> Self {
        Self(vec![name.into()])
    }

    pub fn first_of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    pub fn candidates(&self) -> &[String] {
        &self.0
    }

    /// The checkout itself is published.
    pub fn is_repository(&self) -> bool {
        self.0 == ["."]
    }
}

#[cfg(test)]
mod tests;
