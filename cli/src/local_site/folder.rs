//! The files of a folder that a deployment of it has: found, told apart when they change, and opened.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use loggia_types::content_hash::ContentHasher;
use loggia_types::{ContentHash, SitePath};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// Large enough that a system call costs nothing beside the hashing.
const PIECE_BYTES: usize = 256 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub root: PathBuf,
    /// In the order of their names, folder by folder.
    pub files: Vec<FoundFile>,
    /// Links are not followed, so these are not part of the site. Relative to the root.
    pub links: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundFile {
    pub path: SitePath,
    /// The name on disk, relative to the root: it may be spelled with combining characters.
    pub relative: PathBuf,
    pub stamp: Stamp,
}

/// What changes when a file's content does. The time of its inode's last change can't be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub size: u64,
    pub modified_secs: i64,
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified_secs: metadata.mtime(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

impl Folder {
    /// Every file that a site may have. Hidden files stay at home, `.well-known` goes along.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        if !root.is_dir() {
            bail!("{} is not a folder; name the one with the built site, for example dist", root.display());
        }
        let mut folder = Self { root: root.to_owned(), files: Vec::new(), links: Vec::new() };
        for entry in walkdir::WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(is_public) {
            let entry = entry.with_context(|| format!("reading {}", root.display()))?;
            let relative = entry.path().strip_prefix(root).context("walked out of the folder")?;
            if entry.depth() > 0 && entry.path_is_symlink() {
                folder.links.push(relative.to_owned());
            } else if entry.file_type().is_file() {
                let path =
                    site_path(relative).with_context(|| format!("the file {}", entry.path().display()))?;
                let metadata =
                    entry.metadata().with_context(|| format!("reading {}", entry.path().display()))?;
                let (relative, stamp) = (relative.to_owned(), Stamp::of(&metadata));
                folder.files.push(FoundFile { path, relative, stamp });
            }
        }
        Ok(folder)
    }
}

fn is_public(entry: &walkdir::DirEntry) -> bool {
    let name = entry.file_name();
    entry.depth() == 0 || !name.as_encoded_bytes().starts_with(b".") || name == OsStr::new(".well-known")
}

fn site_path(relative: &Path) -> anyhow::Result<SitePath> {
    let text = relative.to_str().context("its name is not UTF-8")?;
    Ok(text.parse()?)
}

/// Opens a regular file below `root`, one folder at a time, so that a link that took the place of one leads nowhere.
pub(crate) fn open(root: &Path, relative: &Path) -> io::Result<File> {
    // Without waiting for a pipe's writer.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut at = OwnedFd::from(File::open(root)?);
    for part in relative.components() {
        let Component::Normal(name) = part else {
            return Err(io::Error::other("the path leads out of the folder"));
        };
        at = openat(&at, name, flags, Mode::empty())?;
    }
    let file = File::from(at);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file any more")),
    }
}

/// Of everything that is left to read.
pub(crate) fn hash(mut file: File) -> io::Result<(ContentHash, u64)> {
    let mut hasher = ContentHasher::default();
    let mut piece = vec![0; PIECE_BYTES];
    let mut size = 0;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((hasher.finish(), size));
        }
        hasher.update(&piece[..read]);
        size += read as u64;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails loudly")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(root: &Path, path: &str, content: &str) {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }

    #[test]
    fn links_and_hidden_files_are_not_part_of_a_site() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for path in ["index.html", "a/b.css", ".env", ".git/config", ".well-known/security.txt", "a/.hidden"]
        {
            write(dir.path(), path, path);
        }
        write(outside.path(), "secret", "secret");
        symlink(outside.path().join("secret"), dir.path().join("secret")).unwrap();
        symlink(outside.path(), dir.path().join("a/outside")).unwrap();
        let folder = Folder::read(dir.path()).unwrap();
        let paths: Vec<&str> = folder.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, [".well-known/security.txt", "a/b.css", "index.html"]);
        assert_eq!(folder.links, [Path::new("a/outside"), Path::new("secret")]);
        for path in ["secret", "a/outside/secret", "a/outside", "../secret", "a"] {
            assert!(open(dir.path(), Path::new(path)).is_err(), "{path}");
        }
        assert!(open(dir.path(), Path::new("a/b.css")).is_ok());
    }

    #[test]
    fn a_change_of_a_file_changes_its_stamp() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "index.html", "one");
        let before = Folder::read(dir.path()).unwrap();
        assert_eq!(Folder::read(dir.path()).unwrap(), before);
        write(dir.path(), "next.html", "two");
        std::fs::rename(dir.path().join("next.html"), dir.path().join("index.html")).unwrap();
        assert_ne!(Folder::read(dir.path()).unwrap(), before);
    }
}
