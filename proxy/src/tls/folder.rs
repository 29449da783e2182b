//! Which files of a folder are a certificate and its key, and whether they changed.
//!
//! Two layouts, also mixed: `NAME.crt` with `NAME.key`, and as certbot has it `NAME/fullchain.pem` with
//! `NAME/privkey.pem`. Anything else is left alone.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::config::CertificateFiles;

/// 10,000 chains of three short certificates took 50 MB. Longer ones take more.
pub(super) const PAIRS_MAX: usize = 10_000;

/// The pairs in order. Of a pair that is being written or removed one file may be missing.
pub(super) fn list(dir: &Path) -> io::Result<BTreeSet<CertificateFiles>> {
    let mut pairs = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        // Of editors, of copies under way, and of Kubernetes.
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        pairs.extend(pair_at(&dir.join(name)));
    }
    Ok(pairs)
}

fn pair_at(path: &Path) -> Option<CertificateFiles> {
    if path.extension().is_some_and(|extension| extension == "crt" || extension == "key") {
        return Some(CertificateFiles { cert: path.with_extension("crt"), key: path.with_extension("key") });
    }
    let files = CertificateFiles { cert: path.join("fullchain.pem"), key: path.join("privkey.pem") };
    (files.cert.exists() || files.key.exists()).then_some(files)
}

/// What two files looked like. Equal stamps mean equal files, if both were left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([FileStamp; 2]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    changed: (i64, i64),
    bytes: u64,
    /// A file that was moved into the place of another is another, also with the time of the old one.
    identity: (u64, u64),
}

impl Stamp {
    /// `None` when a file is missing, or was written so lately that a second writing may look the same.
    pub(super) fn of(files: &CertificateFiles, now: SystemTime) -> Option<Self> {
        Some(Self([settled(&files.cert, now)?, settled(&files.key, now)?]))
    }
}

/// File systems keep times in steps of up to two seconds (FAT), most in some milliseconds.
const TIME_STEP_MAX: Duration = Duration::from_secs(2);

fn settled(path: &Path, now: SystemTime) -> Option<FileStamp> {
    let metadata = fs::metadata(path).ok()?;
    let age = now.duration_since(metadata.modified().ok()?).ok()?;
    (age > TIME_STEP_MAX).then(|| stamp(&metadata))
}

fn stamp(metadata: &Metadata) -> FileStamp {
    FileStamp {
        changed: (metadata.mtime(), metadata.mtime_nsec()),
        bytes: metadata.len(),
        identity: (metadata.dev(), metadata.ino()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_are_found_and_other_files_are_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        for path in [
            "shop.example.crt",
            "shop.example.key",
            "lonely.key",
            ".hidden.crt",
            "README",
            "chain.pem",
            "blog.example/fullchain.pem",
            "blog.example/privkey.pem",
            "blog.example/chain.pem",
            "empty/README",
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "").expect("written");
        }
        let found: Vec<String> = list(dir.path())
            .expect("readable")
            .iter()
            .map(|files| files.cert.strip_prefix(dir.path()).expect("within").display().to_string())
            .collect();
        assert_eq!(found, ["blog.example/fullchain.pem", "lonely.crt", "shop.example.crt"]);
    }

    #[test]
    fn what_was_just_written_is_not_trusted_to_stay() {
        let dir = tempfile::tempdir().expect("a folder");
        let files = CertificateFiles { cert: dir.path().join("a.crt"), key: dir.path().join("a.key") };
        let now = SystemTime::now();
        let later = now + Duration::from_secs(10);
        fs::write(&files.cert, "certificate").expect("written");
        assert_eq!(Stamp::of(&files, later), None, "without a key");
        fs::write(&files.key, "key").expect("written");
        assert_eq!(Stamp::of(&files, now), None, "it may be written again at once");
        let first = Stamp::of(&files, later).expect("settled");
        assert_eq!(Stamp::of(&files, later), Some(first));

        let modified = fs::metadata(&files.key).and_then(|metadata| metadata.modified()).expect("a time");
        let other = dir.path().join("other");
        fs::write(&other, "yek").expect("written");
        fs::File::options().write(true).open(&other).expect("open").set_modified(modified).expect("set");
        fs::rename(&other, &files.key).expect("moved");
        assert_ne!(Stamp::of(&files, later), Some(first), "another file, of the same size and time");
    }
}
