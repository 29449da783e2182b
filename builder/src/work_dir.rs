//! The builder's folders: one per running build, which goes, and one cache per project, which stays.
//!
//! ```text
//! {work_dir}/lock                            held by the one builder that uses the folder
//! {work_dir}/builds/{build}-{attempt}/source the checkout, given to the build user
//! {work_dir}/cache/{project}/{environment}   package managers' caches; previews never write production's
//! ```

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use loggia_types::build::{BuildAssignment, Environment};
use loggia_types::{BuildId, ProjectId};

/// The build user has to walk through our folders to its own, and needs to see nothing on the way.
const TRAVERSABLE: u32 = 0o711;

#[derive(Debug)]
pub(crate) struct WorkDir {
    root: PathBuf,
    /// Held for as long as the builder runs: the leftovers of a second one would be this one's running builds.
    _lock: File,
}

/// The folder of one running build.
#[derive(Debug)]
pub(crate) struct Workspace {
    folder: PathBuf,
}

impl WorkDir {
    /// Creates what is missing, and removes what a builder that was killed left behind.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        create(root).with_context(|| format!("creating the work folder {}", root.display()))?;
        // The engine is told of absolute paths only.
        let root = root.canonicalize().with_context(|| format!("finding {}", root.display()))?;
        let lock_path = root.join("lock");
        let lock = File::create(&lock_path).with_context(|| format!("opening {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another builder is using {}", root.display()),
            Err(TryLockError::Error(cause)) => return Err(cause).context("locking the work folder"),
        }
        let builds = root.join("builds");
        remove_tree(&builds).with_context(|| format!("removing old builds in {}", builds.display()))?;
        for folder in [builds, root.join("cache")] {
            create(&folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        Ok(Self { root, _lock: lock })
    }

    pub(crate) fn create_workspace(&self, build_id: BuildId, attempt: u16) -> io::Result<Workspace> {
        let folder = self.root.join("builds").join(format!("{build_id}-{attempt}"));
        remove_tree(&folder)?;
        create(&folder)?;
        create(&folder.join("source"))?;
        Ok(Workspace { folder })
    }

    /// The cache of a project and environment, created when missing.
    pub(crate) fn cache(&self, project_id: ProjectId, environment: Environment) -> io::Result<PathBuf> {
        let project = self.root.join("cache").join(project_id.as_str());
        let cache = project.join(environment.as_str());
        create(&project)?;
        create(&cache)?;
        Ok(cache)
    }

    pub(crate) fn cache_of(&self, build: &BuildAssignment) -> io::Result<PathBuf> {
        self.cache(build.project_id, build.environment)
    }
}

impl Workspace {
    pub(crate) fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    pub(crate) async fn remove(self) -> io::Result<()> {
        let removed = tokio::task::spawn_blocking(move || remove_tree(&self.folder)).await;
        removed.map_err(io::Error::other).flatten()
    }
}

/// Not recursive below the root: a missing parent of ours means that somebody removed it.
fn create(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(TRAVERSABLE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        // The process' umask may have taken the bit by which the build user walks through.
        _ if folder.symlink_metadata()?.permissions().mode() & 0o1 == 0 => {
            std::fs::set_permissions(folder, PermissionsExt::from_mode(TRAVERSABLE))
        }
        _ => Ok(()),
    }
}

/// Paths longer than this are shortened by moving: the kernel takes 4,096 bytes, and a name has up to 255.
const PATH_LEN_MAX: usize = 3000;

/// Removes a tree that a stranger wrote: never through links, also when folders in it are read-only, and however
/// deep it is (`std::fs::remove_dir_all` recurses, and 10,000 nested folders would end the process).
///
/// Nobody else may be writing to it.
pub(crate) fn remove_tree(root: &Path) -> io::Result<()> {
    match root.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let mut moved = 0_u64;
    let mut waiting = vec![root.to_owned()];
    let mut emptied = Vec::new();
    while let Some(folder) = waiting.pop() {
        // What still cannot be removed is reported by the removal that follows.
        let _ = std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700));
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                std::fs::remove_file(entry.path())?;
            } else if entry.path().as_os_str().len() > PATH_LEN_MAX {
                waiting.push(move_up(&entry.path(), root, &mut moved)?);
            } else {
                waiting.push(entry.path());
            }
        }
        emptied.push(folder);
    }
    // A folder was visited before everything inside it.
    emptied.iter().rev().try_for_each(std::fs::remove_dir)
}

fn move_up(folder: &Path, root: &Path, moved: &mut u64) -> io::Result<PathBuf> {
    loop {
        *moved += 1;
        let target = root.join(format!("moved-{moved}"));
        if target.symlink_metadata().is_err() {
            std::fs::rename(folder, &target)?;
            return Ok(target);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_folder_belongs_to_one_builder_and_loses_the_builds_of_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("work");
        let first = WorkDir::open(&root).unwrap();
        let build = BuildId::from_parts(1, 1);
        let workspace = first.create_workspace(build, 1).unwrap();
        let cache = first.cache(ProjectId::from_parts(1, 1), Environment::Preview).unwrap();
        std::fs::write(cache.join("kept"), "x").unwrap();
        assert!(WorkDir::open(&root).unwrap_err().to_string().contains("another builder"));
        drop(first);
        WorkDir::open(&root).unwrap();
        assert!(!workspace.source().exists());
        assert!(cache.join("kept").exists());
    }

    #[test]
    fn read_only_folders_and_links_to_elsewhere_are_removed_without_harm() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::write(elsewhere.join("precious"), "x").unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        std::fs::write(tree.join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink(&elsewhere, tree.join("a/link")).unwrap();
        for folder in [tree.join("a/b"), tree.join("a")] {
            std::fs::set_permissions(folder, PermissionsExt::from_mode(0o500)).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && elsewhere.join("precious").exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        let level = "x".repeat(200);
        // A folder is put into the next one, again and again: no path is ever long.
        std::fs::create_dir(&tree).unwrap();
        for _ in 0..50 {
            let above = dir.path().join("above");
            std::fs::create_dir(&above).unwrap();
            std::fs::rename(&tree, above.join(&level)).unwrap();
            std::fs::rename(&above, &tree).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
