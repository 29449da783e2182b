//! Buckets and objects in a directory. All calls block; callers bring a blocking thread.
//!
//! ```text
//! lock             held while a server runs on this directory
//! tmp/             bodies that are still arriving; emptied at start
//! uploads/<id>/    multipart uploads that are not complete
//! buckets/<name>/  objects; `keys` says how they are named, `object` what is in a file
//! ```

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::digest::Algorithm;
use super::error::StoreError;
use super::folders::{Folders, create_durably};
use super::incoming::{Incoming, Sealed, TempFile};
use super::keys::{self, KEY_LEN_MAX, ROOT_LEN_MAX};
use super::listing::{self, ListPage, ListRequest};
use super::object::{self, ObjectHeaders, ObjectMeta, OpenObject};
use super::{EmbeddedS3Error, uploads};

/// Writers of one key take turns; two keys share a lock once in 256 times, and wait a few milliseconds then.
const KEY_LOCKS: usize = 256;

/// What must hold for a write to happen; checked and done as one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Condition {
    #[default]
    None,
    Absent,
    Present,
    Etag(String),
}

/// What became of one key of many.
#[derive(Debug)]
pub(super) struct Deleted {
    pub(super) key: String,
    pub(super) result: Result<(), StoreError>,
}

#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    buckets: PathBuf,
    folders: Folders,
    key_locks: Vec<Mutex<()>>,
    hasher: RandomState,
    temp_names: AtomicU64,
    /// Held for its lock, which the kernel releases even after a `kill -9`.
    _lock: File,
}

impl Store {
    pub(super) fn open(root: &Path, buckets: &[String], now: SystemTime) -> Result<Self, EmbeddedS3Error> {
        let failed = |source| EmbeddedS3Error::Root { root: root.to_owned(), source };
        if let Some(name) = buckets.iter().find(|name| !keys::is_bucket_name(name)) {
            return Err(EmbeddedS3Error::InvalidBucketName(name.clone()));
        }
        fs::create_dir_all(root).map_err(failed)?;
        // An absolute path, so that a later change of the working directory moves nothing.
        let root = root.canonicalize().map_err(failed)?;
        let len_bytes = root.as_os_str().len();
        if len_bytes > ROOT_LEN_MAX {
            return Err(EmbeddedS3Error::RootTooLong { len_bytes, max_bytes: ROOT_LEN_MAX });
        }
        let lock = lock(&root)?;
        let store = Self {
            buckets: root.join("buckets"),
            folders: Folders::new(root.join("buckets")),
            key_locks: (0..KEY_LOCKS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            temp_names: AtomicU64::new(0),
            _lock: lock,
            root,
        };
        store.prepare(buckets, now).map_err(failed)?;
        Ok(store)
    }

    fn prepare(&self, buckets: &[String], now: SystemTime) -> io::Result<()> {
        if let Some(parent) = self.root.parent() {
            super::folders::sync_directory(parent)?;
        }
        for directory in [self.root.join("tmp"), self.uploads(), self.buckets.clone()] {
            create_durably(&directory)?;
        }
        for entry in fs::read_dir(self.root.join("tmp"))? {
            fs::remove_file(entry?.path())?;
        }
        uploads::remove_abandoned(&self.uploads(), now)?;
        buckets.iter().try_for_each(|name| create_durably(&self.buckets.join(name)))
    }

    pub(super) fn create_bucket(&self, name: &str) -> Result<(), StoreError> {
        if !keys::is_bucket_name(name) {
            return Err(StoreError::InvalidBucketName);
        }
        let path = self.buckets.join(name);
        if path.is_dir() {
            return Err(StoreError::BucketExists);
        }
        Ok(create_durably(&path)?)
    }

    pub(super) fn check_bucket(&self, name: &str) -> Result<(), StoreError> {
        self.bucket_path(name).map(drop)
    }

    /// In order of their names, with the time of their creation.
    pub(super) fn list_buckets(&self) -> Result<Vec<(String, Option<SystemTime>)>, StoreError> {
        let mut buckets = Vec::new();
        for entry in fs::read_dir(&self.buckets)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().filter(|name| keys::is_bucket_name(name)) {
                buckets.push((name.to_owned(), entry.metadata()?.created().ok()));
            }
        }
        buckets.sort();
        Ok(buckets)
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> Result<OpenObject, StoreError> {
        object::open(&self.object_path(bucket, key)?)?.ok_or_else(|| self.missing(bucket))
    }

    pub(super) fn head(&self, bucket: &str, key: &str) -> Result<ObjectMeta, StoreError> {
        object::read_meta(&self.object_path(bucket, key)?)?.ok_or_else(|| self.missing(bucket))
    }

    pub(super) fn incoming(&self, algorithms: &[Algorithm]) -> Result<Incoming, StoreError> {
        Ok(Incoming::new(self.temp_file()?, algorithms))
    }

    /// Makes a sealed object visible under its key. When this returns, it is durable.
    pub(super) fn commit(
        &self,
        bucket: &str,
        key: &str,
        sealed: Sealed,
        condition: &Condition,
    ) -> Result<ObjectMeta, StoreError> {
        self.check_bucket(bucket)?;
        let path = self.object_path(bucket, key)?;
        let _turn = self.lock_key(&path);
        check(condition, &path)?;
        self.folders.place(sealed.temp.path(), &path)?;
        Ok(sealed.meta)
    }

    /// Copies an object; with `headers`, those replace the source's.
    pub(super) fn copy(
        &self,
        source: (&str, &str),
        headers: Option<ObjectHeaders>,
        modified_ms: u64,
        is_wanted: impl FnOnce(&ObjectMeta) -> bool,
    ) -> Result<Sealed, StoreError> {
        let (bucket, key) = source;
        let (mut meta, file) =
            object::open_for_copy(&self.object_path(bucket, key)?)?.ok_or_else(|| self.missing(bucket))?;
        if !is_wanted(&meta) {
            return Err(StoreError::PreconditionFailed);
        }
        let temp = self.temp_file()?;
        copy_body(&file, &meta, &temp)?;
        meta.headers = headers.unwrap_or(meta.headers);
        meta.modified_ms = modified_ms;
        Sealed::new(temp, meta)
    }

    /// Deleting what is not there succeeds, as in S3, unless a condition names what must be there.
    pub(super) fn delete(&self, bucket: &str, key: &str, condition: &Condition) -> Result<(), StoreError> {
        let removed = self.unlink(bucket, key, condition)?;
        Ok(self.folders.tidy(removed.as_slice(), &self.bucket_path(bucket)?)?)
    }

    /// Deletes many with one sync per directory instead of one per object.
    pub(super) fn delete_many(&self, bucket: &str, keys: Vec<String>) -> Result<Vec<Deleted>, StoreError> {
        let keep = self.bucket_path(bucket)?;
        let mut folders = Vec::new();
        let mut results = Vec::with_capacity(keys.len());
        for key in keys {
            let removed = self.unlink(bucket, &key, &Condition::None);
            results.push(Deleted { key, result: removed.map(|folder| folders.extend(folder)) });
        }
        folders.sort();
        folders.dedup();
        self.folders.tidy(&folders, &keep)?;
        Ok(results)
    }

    pub(super) fn list(&self, bucket: &str, request: &ListRequest) -> Result<ListPage, StoreError> {
        listing::list(&self.bucket_path(bucket)?, request)
    }

    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub(super) fn temp_file(&self) -> Result<TempFile, StoreError> {
        let number = self.temp_names.fetch_add(1, Ordering::Relaxed);
        Ok(TempFile::create(self.root.join("tmp").join(number.to_string()))?)
    }

    pub(super) fn lock_key(&self, path: &Path) -> MutexGuard<'_, ()> {
        let slot = self.hasher.hash_one(path) % KEY_LOCKS as u64;
        // A panic in another writer leaves the files whole: each switches by one rename.
        self.key_locks[usize::try_from(slot).unwrap_or(0)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the directory that has one file less now.
    fn unlink(&self, bucket: &str, key: &str, condition: &Condition) -> Result<Option<PathBuf>, StoreError> {
        self.check_bucket(bucket)?;
        let path = self.object_path(bucket, key)?;
        let _turn = self.lock_key(&path);
        check(condition, &path)?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(path.parent().map(Path::to_owned)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn object_path(&self, bucket: &str, key: &str) -> Result<PathBuf, StoreError> {
        if !keys::is_bucket_name(bucket) {
            return Err(StoreError::InvalidBucketName);
        }
        if key.is_empty() || key.len() > KEY_LEN_MAX {
            return Err(StoreError::KeyTooLong);
        }
        Ok(self.buckets.join(bucket).join(keys::object_path(key)))
    }

    fn bucket_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.buckets.join(name);
        if keys::is_bucket_name(name) && path.is_dir() { Ok(path) } else { Err(StoreError::NoSuchBucket) }
    }

    /// Asked only when an object is missing, so that a hit costs no look at the bucket.
    fn missing(&self, bucket: &str) -> StoreError {
        self.check_bucket(bucket).err().unwrap_or(StoreError::NoSuchKey)
    }
}

pub(super) fn copy_body(from: &File, meta: &ObjectMeta, to: &TempFile) -> Result<(), StoreError> {
    // On Linux this is copy_file_range: the bytes do not pass through this process.
    let copied = io::copy(&mut io::Read::take(from, meta.size_bytes), &mut to.file())?;
    if copied == meta.size_bytes {
        return Ok(());
    }
    Err(StoreError::IncompleteBody { expected: meta.size_bytes, received: copied })
}

fn check(condition: &Condition, path: &Path) -> Result<(), StoreError> {
    let etag = match condition {
        Condition::None => return Ok(()),
        Condition::Absent => {
            return if path.try_exists()? { Err(StoreError::PreconditionFailed) } else { Ok(()) };
        }
        Condition::Present => None,
        Condition::Etag(etag) => Some(etag),
    };
    let meta = object::read_meta(path)?.ok_or(StoreError::NoSuchKey)?;
    if etag.is_none_or(|etag| *etag == meta.etag) { Ok(()) } else { Err(StoreError::PreconditionFailed) }
}

/// Two servers on one directory would each remove what the other is receiving.
fn lock(root: &Path) -> Result<File, EmbeddedS3Error> {
    let failed = |source| EmbeddedS3Error::Root { root: root.to_owned(), source };
    let file =
        File::options().create(true).truncate(false).write(true).open(root.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EmbeddedS3Error::RootInUse(root.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
