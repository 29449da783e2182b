//! Gives a folder of the builder to the user that the step runs as.

use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use super::ExecutorFault;

/// Changes the owner of everything below `folder` that belongs to somebody else. Links are changed themselves,
/// never what they point at. Only root can do this: without root, steps run as the builder's own user.
pub(super) async fn give(folder: &Path, uid: u32, gid: u32) -> Result<(), ExecutorFault> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let root = folder.to_owned();
    run_blocking(move || give_tree(&root, uid, gid), folder).await
}

/// As `give`, but looks into the folder only when the folder itself changes hands: a cache has 100,000 files, and
/// whatever a step wrote there is the build user's already.
pub(super) async fn give_once(folder: &Path, uid: u32, gid: u32) -> Result<(), ExecutorFault> {
    let metadata = folder.symlink_metadata().map_err(|cause| fault(folder, cause))?;
    if (metadata.uid(), metadata.gid()) == (uid, gid) {
        return Ok(());
    }
    give(folder, uid, gid).await
}

fn give_tree(root: &PathBuf, uid: u32, gid: u32) -> io::Result<()> {
    // The folder itself comes last, so that a run which was cut short is done again by `give_once`.
    for entry in walkdir::WalkDir::new(root).follow_links(false).contents_first(true) {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if (metadata.uid(), metadata.gid()) != (uid, gid) {
            lchown(entry.path(), Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

async fn run_blocking(
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
    folder: &Path,
) -> Result<(), ExecutorFault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other).flatten().map_err(|cause| fault(folder, cause))
}

fn fault(folder: &Path, cause: io::Error) -> ExecutorFault {
    ExecutorFault::Io { doing: format!("giving {} to the build user", folder.display()), cause }
}
