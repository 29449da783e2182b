//! Finds the files that can be published, in an order that does not depend on the disk.

use std::collections::BTreeMap;
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use loggia_types::manifest::MANIFEST_FILES_MAX;
use loggia_types::publish::{DEPLOYMENT_BYTES_MAX, FILE_BYTES_MAX};
use loggia_types::{Problem, SitePath};
use walkdir::{DirEntry, WalkDir};

use super::{CollectError, io};

/// Enough to see what is wrong; a build can make 100,000 links.
const PROBLEMS_MAX: usize = 100;

/// Five for every file that may be published: folders, links and hidden files count as well.
const ENTRIES_MAX: usize = 5 * MANIFEST_FILES_MAX;

/// Names without a page behind them, when a repository is published as it is.
const REPOSITORY_FILES: [&str; 8] = [
    "loggia.toml",
    "netlify.toml",
    "package.json",
    "package-lock.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
];

#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) path: SitePath,
    pub(super) location: PathBuf,
    pub(super) size: u64,
}

#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<FoundFile>,
    pub(super) problems: Vec<Problem>,
}

#[derive(Default)]
struct Walk {
    /// By path, with the name on disk beside it: two of those can compose to one path.
    files: BTreeMap<SitePath, (String, FoundFile)>,
    problems: Vec<Problem>,
    problems_left_out: usize,
    total_bytes: u64,
}

/// `is_repository`: the folder is the checkout itself, with files in it that were never meant to be published.
pub(super) fn walk(root: &Path, is_repository: bool) -> Result<Found, CollectError> {
    let mut walk = Walk::default();
    let entries = WalkDir::new(root).follow_links(false).sort_by_file_name().min_depth(1).into_iter();
    let published =
        move |entry: &DirEntry| !(is_private(entry) || is_repository && is_repository_file(entry));
    for (count, entry) in entries.filter_entry(published).enumerate() {
        if count >= ENTRIES_MAX {
            return Err(theirs(format!("The output folder has more than {ENTRIES_MAX} files and folders.")));
        }
        match entry {
            Ok(entry) => walk.add(root, &entry)?,
            Err(error) => walk.add_unreadable(root, error)?,
        }
    }
    Ok(walk.finish())
}

/// Hidden files, which would not be served, and packages that a build was made with.
fn is_private(entry: &DirEntry) -> bool {
    let name = entry.file_name().as_encoded_bytes();
    name == b"node_modules" || (name.starts_with(b".") && name != b".well-known")
}

fn is_repository_file(entry: &DirEntry) -> bool {
    entry.depth() == 1 && REPOSITORY_FILES.iter().any(|name| entry.file_name() == *name)
}

impl Walk {
    fn add(&mut self, root: &Path, entry: &DirEntry) -> Result<(), CollectError> {
        if entry.file_type().is_dir() {
            return Ok(());
        }
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let shown = relative.to_string_lossy().into_owned();
        if !entry.file_type().is_file() {
            self.problem(
                shown,
                format!("{} is not published; only regular files are.", kind(entry.file_type())),
            );
            return Ok(());
        }
        let Some(name) = relative.to_str() else {
            self.problem(shown, "A file is not published: its name is not UTF-8.");
            return Ok(());
        };
        match name.parse::<SitePath>() {
            Ok(path) => self.add_file(name, path, entry),
            Err(reason) => {
                self.problem(shown, format!("A file is not published: {reason}."));
                Ok(())
            }
        }
    }

    fn add_file(&mut self, name: &str, path: SitePath, entry: &DirEntry) -> Result<(), CollectError> {
        let metadata = entry.metadata().map_err(|error| io(format!("looking at {name}"), error.into()))?;
        let file = FoundFile { path: path.clone(), location: entry.path().to_owned(), size: metadata.len() };
        self.check_size(&file)?;
        match self.files.get_mut(&path) {
            None => drop(self.files.insert(path, (name.to_owned(), file))),
            Some((_, kept)) => {
                // The composed name wins: it is the one that other programs mean. Otherwise the first does.
                if name == path.as_str() {
                    *kept = file;
                }
                self.problem(
                    name.to_owned(),
                    "Two files have this name, spelled with and without combining characters; only one is published.",
                );
            }
        }
        if self.files.len() > MANIFEST_FILES_MAX {
            return Err(theirs(format!(
                "The output folder has more than {MANIFEST_FILES_MAX} files; a deployment has at most that many."
            )));
        }
        Ok(())
    }

    /// A sparse file counts as what it claims: that is what would be uploaded.
    fn check_size(&mut self, file: &FoundFile) -> Result<(), CollectError> {
        self.total_bytes = self.total_bytes.saturating_add(file.size);
        if file.size > FILE_BYTES_MAX {
            return Err(theirs(format!(
                "`{}` has {} bytes; a file has at most {FILE_BYTES_MAX}.",
                file.path, file.size
            )));
        }
        if self.total_bytes > DEPLOYMENT_BYTES_MAX {
            return Err(theirs(format!(
                "The output folder has more than {DEPLOYMENT_BYTES_MAX} bytes; a deployment has at most that many."
            )));
        }
        Ok(())
    }

    /// A path that is too long for the kernel cannot be a page either; anything else is our own trouble.
    fn add_unreadable(&mut self, root: &Path, error: walkdir::Error) -> Result<(), CollectError> {
        let path = error.path().unwrap_or(root);
        let shown = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        match error.io_error().map(std::io::Error::kind) {
            Some(std::io::ErrorKind::InvalidFilename | std::io::ErrorKind::PermissionDenied) => {
                let start: String = shown.chars().take(200).collect();
                self.problem(start, "A folder cannot be read; nothing in it is published.");
                Ok(())
            }
            _ => Err(io(format!("reading the output folder at {shown}"), error.into())),
        }
    }

    fn problem(&mut self, file: String, message: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem::in_file(file, message));
        } else {
            self.problems_left_out += 1;
        }
    }

    fn finish(mut self) -> Found {
        if self.problems_left_out > 0 {
            let message =
                format!("{} more files are not published for reasons like these.", self.problems_left_out);
            self.problems.push(Problem::in_file("", message));
        }
        let files = self.files.into_values().map(|(_, file)| file).collect();
        Found { files, problems: self.problems }
    }
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_symlink() => "A link",
        kind if kind.is_fifo() => "A pipe",
        kind if kind.is_socket() => "A socket",
        _ => "A device",
    }
}

fn theirs(reason: String) -> CollectError {
    CollectError::Theirs(reason)
}
