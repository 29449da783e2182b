//! Takes the files of a site out of a folder that a stranger's programs have written.
//!
//! It runs after every process of the build has ended, so what it looks at holds still. Regular files only, links are
//! never followed, and nothing outside of the workspace is read. Names that cannot be served are problems; sizes and
//! counts over the limits fail the build, before anything is read.

mod hash;
mod sources;
mod walk;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use loggia_publish::sources::Sources;
use loggia_types::publish::SiteFile;
use loggia_types::{Problem, SitePath};
use tokio_util::sync::CancellationToken;

use crate::detect::Output;

/// A site's files, and where each lies on this machine.
#[derive(Debug)]
pub struct Site {
    pub files: Vec<SiteFile>,
    pub locations: HashMap<SitePath, PathBuf>,
    pub problems: Vec<Problem>,
    /// The project's own rules and settings, as they were written.
    pub sources: Sources,
    /// The output folder, relative to the folder where the build ran.
    pub folder: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// What the build left cannot be published; the sentence says what to change.
    #[error("{0}")]
    Theirs(String),
    #[error("{doing}")]
    Io {
        doing: String,
        #[source]
        cause: std::io::Error,
    },
    #[error("collecting was stopped")]
    Stopped,
}

/// `workdir` is the folder where the build ran, relative to `workspace`.
pub async fn collect(
    workspace: PathBuf,
    workdir: PathBuf,
    output: Output,
    stop: CancellationToken,
) -> Result<Site, CollectError> {
    let work = move || {
        let base = find_base(&workspace, &workdir)?;
        let (folder, root) = find_output(&base, &output)?;
        let found = walk::walk(&root, output.is_repository())?;
        if found.files.is_empty() {
            return Err(CollectError::Theirs(format!(
                "The output folder `{folder}` holds no file that can be published. {}",
                siblings(&base)
            )));
        }
        let sources = sources::read(&root, &[&base, &workspace])?;
        let files = hash::hash_all(&found.files, &stop)?;
        let locations = found.files.into_iter().map(|file| (file.path, file.location)).collect();
        Ok(Site { files, locations, problems: found.problems, sources, folder })
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| {
        Err(CollectError::Io { doing: "collecting the files".into(), cause: panic.into() })
    })
}

/// The folder where the build ran.
fn find_base(workspace: &Path, workdir: &Path) -> Result<PathBuf, CollectError> {
    descend(workspace, workdir)?.ok_or_else(|| {
        CollectError::Theirs(format!("The folder `{}` is gone after the build.", workdir.display()))
    })
}

/// The name of the output folder, and where it is.
fn find_output(base: &Path, output: &Output) -> Result<(String, PathBuf), CollectError> {
    let candidates = output.candidates();
    for candidate in candidates {
        if let Some(found) = descend(base, Path::new(candidate))? {
            return Ok((candidate.clone(), found));
        }
    }
    let names: Vec<_> = candidates.iter().map(|name| format!("`{name}`")).collect();
    let looked_for = match names.as_slice() {
        [one] => format!("The output folder {one} is not there after the build."),
        many => format!("None of the usual output folders ({}) is there after the build.", many.join(", ")),
    };
    Err(CollectError::Theirs(format!("{looked_for} {} Set the right one as `output`.", siblings(base))))
}

/// Goes down one folder at a time, so that a link is seen before it could lead anywhere. `None`: not there.
fn descend(from: &Path, relative: &Path) -> Result<Option<PathBuf>, CollectError> {
    let mut at = from.to_owned();
    for part in relative.components() {
        let std::path::Component::Normal(name) = part else {
            // `Output` and the project's root were checked when they were read: what is left is `.`.
            continue;
        };
        at.push(name);
        match at.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(found) => {
                let what = if found.is_symlink() { "a link" } else { "a file" };
                return Err(CollectError::Theirs(format!(
                    "`{}` is {what}; the output has to be a folder inside the repository.",
                    relative.display()
                )));
            }
            Err(cause) if is_absent(&cause) => return Ok(None),
            Err(cause) => return Err(io(format!("looking at {}", at.display()), cause)),
        }
    }
    Ok(Some(at))
}

fn is_absent(cause: &std::io::Error) -> bool {
    matches!(cause.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidFilename)
}

/// The folders that are there, for somebody who looks for the right one.
fn siblings(base: &Path) -> String {
    const SHOWN_MAX: usize = 12;
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<_> = folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "node_modules")
        .collect();
    names.sort();
    names.truncate(SHOWN_MAX);
    match names.is_empty() {
        true => "There are no folders beside it.".to_owned(),
        false => format!("Folders that are there: {}.", names.join(", ")),
    }
}

fn io(doing: String, cause: std::io::Error) -> CollectError {
    CollectError::Io { doing, cause }
}

#[cfg(test)]
mod tests;
