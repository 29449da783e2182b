//! Multipart uploads: `uploads/<id>/` holds a description and one object file per part. Both are durable when
//! acknowledged, so an upload goes on after a restart.

use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::digest::{self, Algorithm, Checksums, Digests};
use super::error::StoreError;
use super::folders::{create_durably, sync_directory};
use super::incoming::{Sealed, TempFile};
use super::object::{self, ObjectHeaders, ObjectMeta};
use super::store::{Condition, Store, copy_body};

/// S3's limits.
pub(super) const PART_NUMBER_MAX: u16 = 10_000;
const PART_SIZE_MIN: u64 = 5 * 1024 * 1024;

/// An upload that nobody completed for a week belongs to a client that is gone; no build runs that long.
const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const DESCRIPTION: &str = "upload.json";

#[derive(Debug, Serialize, Deserialize)]
struct Description {
    bucket: String,
    key: String,
    headers: ObjectHeaders,
}

/// A part that the client lists when it completes an upload.
#[derive(Debug)]
pub(super) struct ListedPart {
    pub(super) number: u16,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) checksums: Checksums,
}

/// What the client says about the whole object when it completes an upload.
#[derive(Debug, Default)]
pub(super) struct ExpectedWhole {
    pub(super) size_bytes: Option<u64>,
    /// Over the whole object, or (`…-N`) over the checksums of its N parts.
    pub(super) checksums: Checksums,
}

impl Store {
    /// `id` must be new and pass [`is_upload_id`]; it becomes a directory's name.
    pub(super) fn create_upload(
        &self,
        id: &str,
        bucket: &str,
        key: &str,
        headers: ObjectHeaders,
    ) -> Result<(), StoreError> {
        self.check_bucket(bucket)?;
        let directory = self.uploads().join(id);
        create_durably(&directory)?;
        let description = Description { bucket: bucket.to_owned(), key: key.to_owned(), headers };
        let temp = self.temp_file()?;
        serde_json::to_writer(temp.file(), &description).map_err(io::Error::from)?;
        temp.file().sync_all()?;
        place_in_upload(&temp, &directory.join(DESCRIPTION))
    }

    pub(super) fn put_part(
        &self,
        upload: &UploadRef<'_>,
        number: u16,
        sealed: Sealed,
    ) -> Result<ObjectMeta, StoreError> {
        let (directory, _) = self.find_upload(upload)?;
        place_in_upload(&sealed.temp, &directory.join(part_name(number)))?;
        Ok(sealed.meta)
    }

    pub(super) fn complete_upload(
        &self,
        upload: &UploadRef<'_>,
        listed: &[ListedPart],
        expected: &ExpectedWhole,
        condition: &Condition,
        modified_ms: u64,
    ) -> Result<ObjectMeta, StoreError> {
        let (directory, description) = self.find_upload(upload)?;
        let parts = find_parts(&directory, listed)?;
        let sealed = self.join_parts(&parts, expected, description.headers, modified_ms)?;
        // A client that completes twice at once writes the same object twice, or is told that there is no such
        // upload any more; neither harms the object.
        let meta = self.commit(upload.bucket, upload.key, sealed, condition)?;
        remove_upload(&directory)?;
        Ok(meta)
    }

    pub(super) fn abort_upload(&self, upload: &UploadRef<'_>) -> Result<(), StoreError> {
        let (directory, _) = self.find_upload(upload)?;
        Ok(remove_upload(&directory)?)
    }

    fn find_upload(&self, upload: &UploadRef<'_>) -> Result<(PathBuf, Description), StoreError> {
        let directory = self.uploads().join(upload.id);
        let description = match fs::read(directory.join(DESCRIPTION)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::NoSuchUpload),
            description => description?,
        };
        let description: Description =
            serde_json::from_slice(&description).map_err(|_| StoreError::Damaged(directory.clone()))?;
        if description.bucket != upload.bucket || description.key != upload.key {
            return Err(StoreError::NoSuchUpload);
        }
        Ok((directory, description))
    }

    fn join_parts(
        &self,
        parts: &[FoundPart],
        expected: &ExpectedWhole,
        headers: ObjectHeaders,
        modified_ms: u64,
    ) -> Result<Sealed, StoreError> {
        let temp = self.temp_file()?;
        let mut size_bytes = 0;
        for part in parts {
            let (meta, file) = object::open_for_copy(&part.path)?.ok_or(StoreError::NoSuchUpload)?;
            if meta != part.meta {
                // Uploaded again since it was checked.
                return Err(StoreError::InvalidPart(part.number));
            }
            copy_body(&file, &meta, &temp)?;
            size_bytes += meta.size_bytes;
        }
        if let Some(expected) = expected.size_bytes.filter(|expected| *expected != size_bytes) {
            return Err(StoreError::IncompleteBody { expected, received: size_bytes });
        }
        let checksums = check_whole(&temp, parts, &expected.checksums)?;
        let etags: Vec<String> = parts.iter().map(|part| part.meta.etag.clone()).collect();
        let etag = digest::multipart_etag(&etags).ok_or(StoreError::InvalidPartOrder)?;
        Sealed::new(temp, ObjectMeta { size_bytes, etag, modified_ms, headers, checksums })
    }
}

/// Names an upload as requests do: all three must agree.
#[derive(Debug)]
pub(super) struct UploadRef<'a> {
    pub(super) id: &'a str,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
}

/// Whether a client's upload id can be one of ours, and so is safe as a directory's name.
pub(super) fn is_upload_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

pub(super) fn remove_abandoned(uploads: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(uploads)? {
        let entry = entry?;
        let age = now.duration_since(entry.metadata()?.modified()?).unwrap_or_default();
        // One without a description was cut at its creation, or in the middle of its removal.
        if age > AGE_MAX || !entry.path().join(DESCRIPTION).try_exists()? {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn part_name(number: u16) -> String {
    format!("part-{number}")
}

fn place_in_upload(temp: &TempFile, to: &Path) -> Result<(), StoreError> {
    match fs::rename(temp.path(), to) {
        // The upload was completed or aborted while this part was arriving.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::NoSuchUpload),
        renamed => renamed?,
    }
    match to.parent().map(sync_directory) {
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NoSuchUpload),
        Some(synced) => Ok(synced?),
        None => Ok(()),
    }
}

/// The description goes first: without it there is no upload, however far the removal of the rest gets.
fn remove_upload(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(DESCRIPTION)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::remove_dir_all(directory) {
        // A part arrived meanwhile: the next start removes it.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

struct FoundPart {
    number: u16,
    path: PathBuf,
    meta: ObjectMeta,
}

fn find_parts(directory: &Path, listed: &[ListedPart]) -> Result<Vec<FoundPart>, StoreError> {
    if listed.is_empty() || listed.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return Err(StoreError::InvalidPartOrder);
    }
    let mut parts = Vec::with_capacity(listed.len());
    for (index, part) in listed.iter().enumerate() {
        let path = directory.join(part_name(part.number));
        let meta = object::read_meta(&path)?.ok_or(StoreError::InvalidPart(part.number))?;
        let checksums_agree = part
            .checksums
            .iter()
            .all(|(name, sum)| meta.checksums.get(name).is_none_or(|stored| stored == sum));
        if meta.etag != part.etag || !checksums_agree {
            return Err(StoreError::InvalidPart(part.number));
        }
        if meta.size_bytes < PART_SIZE_MIN && index + 1 < listed.len() {
            return Err(StoreError::PartTooSmall(part.number));
        }
        parts.push(FoundPart { number: part.number, path, meta });
    }
    Ok(parts)
}

/// Returns those checksums that hold for the object as a whole.
fn check_whole(temp: &TempFile, parts: &[FoundPart], expected: &Checksums) -> Result<Checksums, StoreError> {
    let (composite, whole): (Checksums, Checksums) =
        expected.clone().into_iter().partition(|(_, sum)| sum.contains('-'));
    for (algorithm, sum) in composite {
        let sums: Option<Vec<&str>> =
            parts.iter().map(|part| part.meta.checksums.get(&algorithm).map(String::as_str)).collect();
        if sums.and_then(|sums| digest::composite_checksum(algorithm, &sums)) != Some(sum) {
            return Err(StoreError::BadDigest(algorithm.header()));
        }
    }
    if whole.is_empty() {
        return Ok(whole);
    }
    let computed = digest_file(temp, &whole.keys().copied().collect::<Vec<_>>())?;
    match whole.iter().find(|(algorithm, sum)| computed.get(algorithm) != Some(sum)) {
        Some((algorithm, _)) => Err(StoreError::BadDigest(algorithm.header())),
        None => Ok(whole),
    }
}

/// Reads the file from its start, and leaves it at its end.
fn digest_file(temp: &TempFile, algorithms: &[Algorithm]) -> io::Result<Checksums> {
    let mut digests = Digests::new(algorithms);
    let mut file = temp.file();
    file.rewind()?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digests.finish().checksums),
            len => digests.update(&buffer[..len]),
        }
    }
}
