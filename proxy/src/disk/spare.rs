//! What has to stay free on the disk, whatever the budget says.

use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Of a larger disk, what of one of this size has to stay free.
const DISK_BYTES_MAX: u64 = 2560 * 1024 * 1024;

/// A part of the disk that is for others. Each kind of file leaves room for those that are worth more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spare {
    /// For manifests and routes: a tenth, at most 256 MiB.
    ByFiles,
    /// For routes: a fortieth, at most 64 MiB, which is a million of them for once.
    ByManifests,
}

impl Spare {
    /// Whether it is there when a file of this size is written. Where nobody can tell, writing will.
    pub(super) fn is_left(self, root: &Path, file_bytes: u64) -> bool {
        let Ok(disk) = statvfs(root) else { return true };
        let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
        bytes(disk.blocks_available()) >= self.of(bytes(disk.blocks())).saturating_add(file_bytes)
    }

    fn of(self, disk_bytes: u64) -> u64 {
        let one_in = match self {
            Self::ByFiles => 10,
            Self::ByManifests => 40,
        };
        disk_bytes.min(DISK_BYTES_MAX) / one_in
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_leave_more_than_manifests_do() {
        for (disk, by_files, by_manifests) in [(1_000, 100, 25), (1 << 40, 256 << 20, 64 << 20)] {
            assert_eq!((Spare::ByFiles.of(disk), Spare::ByManifests.of(disk)), (by_files, by_manifests));
        }
        let here = Path::new("/");
        assert!(!Spare::ByFiles.is_left(here, u64::MAX));
        assert!(Spare::ByFiles.is_left(Path::new("/nowhere"), 1), "then writing tells");
    }
}
