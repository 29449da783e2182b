//! The files of a checkout, as far as detection looks at them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Configuration is small; a `package.json` of 1 MiB is generated or an attack.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// Folders above are listed first, so a huge repository only loses files that detection does not ask for.
const ENTRIES_MAX: usize = 100_000;

/// What is known by name is at most this far below the project's root (`config/_default/hugo.toml`).
const DEPTH_MAX: usize = 3;

/// Regular files and folders by their path, `/` between segments. Links are not part of it: a `package.json` that
/// leads to `/etc/shadow` is no `package.json`.
#[derive(Debug)]
pub struct FileTree {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    Folder(PathBuf),
    Memory(BTreeMap<String, Vec<u8>>),
}

/// Why a file that is there has no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is larger than {} KiB", TEXT_BYTES_MAX / 1024)]
    TooLarge,
    #[error("it is not UTF-8 text")]
    NotText,
    #[error("{0}")]
    Io(String),
}

impl FileTree {
    /// Lists the folders on the way to `root`, and what is near below it.
    pub fn of_folder(repository: &Path, root: &str) -> io::Result<Self> {
        let contents = Contents::Folder(repository.to_owned());
        let mut tree = Self { files: BTreeSet::new(), folders: BTreeSet::from([String::new()]), contents };
        let mut waiting = VecDeque::from([(String::new(), 0)]);
        let mut seen = 0;
        while let Some((folder, depth)) = waiting.pop_front() {
            for entry in repository.join(&folder).read_dir()? {
                let entry = entry?;
                seen += 1;
                let (Ok(name), kind) = (entry.file_name().into_string(), entry.file_type()?) else {
                    continue;
                };
                if seen > ENTRIES_MAX {
                    return Ok(tree);
                }
                let path = join(&folder, &name);
                if kind.is_file() {
                    tree.files.insert(path);
                } else if kind.is_dir() && !matches!(name.as_str(), ".git" | "node_modules") {
                    let is_above = format!("{root}/").starts_with(&format!("{path}/"));
                    if is_above {
                        waiting.push_front((path.clone(), 0));
                    } else if depth < DEPTH_MAX {
                        waiting.push_back((path.clone(), depth + 1));
                    }
                    tree.folders.insert(path);
                }
            }
        }
        Ok(tree)
    }

    /// A tree in memory, for tests and uploads.
    pub fn of_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let contents: BTreeMap<_, _> = files.into_iter().collect();
        let mut folders = BTreeSet::from([String::new()]);
        for path in contents.keys() {
            folders.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
        }
        Self { files: contents.keys().cloned().collect(), folders, contents: Contents::Memory(contents) }
    }

    pub fn has_file(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    /// The empty path is the repository's root.
    pub fn has_folder(&self, path: &str) -> bool {
        self.folders.contains(path)
    }

    /// A text file; `None` when there is no such regular file.
    pub fn read(&self, path: &str) -> Result<Option<String>, Unreadable> {
        if !self.has_file(path) {
            return Ok(None);
        }
        let bytes =
            self.bytes(path, TEXT_BYTES_MAX + 1).map_err(|cause| Unreadable::Io(cause.to_string()))?;
        if bytes.len() as u64 > TEXT_BYTES_MAX {
            return Err(Unreadable::TooLarge);
        }
        let text = String::from_utf8(bytes).map_err(|_| Unreadable::NotText)?;
        if text.contains('\0') {
            return Err(Unreadable::NotText);
        }
        // Windows editors put a byte order mark first, which no parser expects.
        Ok(Some(text.trim_start_matches('\u{feff}').to_owned()))
    }

    /// The first bytes of a file, however large it is; empty when it cannot be read.
    pub(super) fn start_of(&self, path: &str) -> String {
        let bytes = if self.has_file(path) { self.bytes(path, 1024).unwrap_or_default() } else { Vec::new() };
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// At most so many bytes of a file that is in the tree.
    fn bytes(&self, path: &str, len_max: u64) -> io::Result<Vec<u8>> {
        match &self.contents {
            Contents::Folder(folder) => {
                let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
                let file =
                    OpenOptions::new().read(true).custom_flags(flags.bits()).open(folder.join(path))?;
                let mut bytes = Vec::new();
                file.take(len_max).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            Contents::Memory(files) => Ok(files.get(path).cloned().unwrap_or_default()),
        }
    }
}

/// `folder/name`, for a folder that may be the root.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The folder and all above it, nearest first: `a/b`, `a`, and the root.
pub(super) fn upwards(folder: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(folder);
    std::iter::from_fn(move || {
        let at = next?;
        next = if at.is_empty() { None } else { Some(at.rsplit_once('/').map_or("", |(above, _)| above)) };
        Some(at)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_is_seen_without_following_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/deep/b/c/d/e")).unwrap();
        std::fs::create_dir_all(dir.path().join("node_modules/x")).unwrap();
        std::fs::write(dir.path().join("a/deep/b/c/package.json"), "{}").unwrap();
        std::fs::write(dir.path().join("real.json"), "\u{feff}{}").unwrap();
        std::fs::write(dir.path().join("node_modules/x/package.json"), "{}").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("package.json")).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        let tree = FileTree::of_folder(dir.path(), "a/deep/b/c").unwrap();
        assert_eq!(tree.read("package.json"), Ok(None));
        assert_eq!(tree.read("a/deep/b/c/package.json"), Ok(Some("{}".to_owned())));
        assert_eq!(tree.read("real.json"), Ok(Some("{}".to_owned())));
        assert_eq!(tree.read("link/deep/b/c/package.json"), Ok(None));
        assert!(tree.has_folder("a/deep/b/c/d") && tree.has_folder("") && !tree.has_folder("link"));
        assert!(!tree.has_folder("node_modules"));
    }

    #[test]
    fn folders_above_come_nearest_first() {
        assert_eq!(upwards("a/b").collect::<Vec<_>>(), ["a/b", "a", ""]);
        assert_eq!(upwards("").collect::<Vec<_>>(), [""]);
    }
}
