//! New contents on their way into the store.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use loggia_serve::links;
use loggia_storage::{Store, StoreError};
use loggia_types::manifest::{Coding, NewEntry, NewVariant};
use loggia_types::publish::Plan;
use loggia_types::{ContentHash, ProjectId, media_type};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::compress::{AbandonOnDrop, Abandoned, Content, compress};
use crate::levels::Effort;
use crate::sources;

/// Small files are bound by latency; 32 in flight fill a local network without exhausting descriptors.
const UPLOADS_IN_FLIGHT: usize = 32;

/// Below it there is nothing to gain: an answer's head is as long, and both fit into one packet.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// 64 MiB: its three codings take ten seconds of a core, and a larger text is a download, not a page.
const COMPRESSED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Compressed bytes that wait for the store, of all files at once: one of the largest files, or 64 of a megabyte.
const WAITING_BYTES_MAX: u64 = COMPRESSED_BYTES_MAX;

/// Beside [`WAITING_BYTES_MAX`] each thread holds an encoder of up to 100 MiB (zstd 19 of 8 MiB and more), so all of
/// it stays below 900 MiB; on two cores, below 300.
const THREADS_MAX: usize = 8;

/// Permits are counted in 32 bits, so bytes are counted by the KiB.
const PERMIT_BYTES: u64 = 1024;

/// The threads and the memory that a process spends on compressing, whatever it has under way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Compressors {
    threads: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// What was found out about a content while it was uploaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// In the order of [`Coding`].
    pub variants: Vec<NewVariant>,
    pub link: Option<Box<str>>,
}

impl Default for Compressors {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let waiting = usize::try_from(WAITING_BYTES_MAX / PERMIT_BYTES).unwrap_or(Semaphore::MAX_PERMITS);
        Self { threads: Arc::new(Semaphore::new(threads)), waiting: Arc::new(Semaphore::new(waiting)) }
    }
}

/// Whether compressed forms of a file are made.
pub fn is_compressed(entry: &NewEntry) -> bool {
    media_type::is_compressible(&entry.content_type)
        && entry.size > COMPRESSED_BYTES_MIN
        && entry.size <= COMPRESSED_BYTES_MAX
        && !sources::is_configuration(entry.path.as_str())
}

/// Whether a file can say what shall be loaded with it.
pub(crate) fn is_page(entry: &NewEntry) -> bool {
    entry.content_type.starts_with("text/html")
}

/// Uploads what the plan says is new, and writes down in its entries what was found out. `locate` tells where an
/// entry's bytes lie on this machine; `progress` is called with the number of contents that are done.
pub async fn upload_all(
    store: &Store,
    compressors: &Compressors,
    project_id: ProjectId,
    plan: &mut Plan,
    locate: impl Fn(&NewEntry) -> PathBuf,
    mut progress: impl FnMut(usize),
) -> Result<(), StoreError> {
    let mut found = Vec::with_capacity(plan.uploads.len());
    {
        let entries = &plan.entries;
        let put = |at: usize| {
            let file = locate(&entries[at]);
            async move { Ok((at, upload(store, compressors, project_id, &entries[at], &file).await?)) }
        };
        let mut uploads = stream::iter(plan.uploads.clone()).map(put).buffer_unordered(UPLOADS_IN_FLIGHT);
        while let Some(done) = uploads.try_next().await? {
            found.push(done);
            progress(found.len());
        }
    }
    for (at, findings) in found {
        plan.entries[at].variants = findings.variants;
        plan.entries[at].link = findings.link;
    }
    Ok(())
}

/// Uploads one content with everything that is made of it. Nothing of it is optional: what cannot be made or stored
/// fails all of it, to be tried again.
pub async fn upload(
    store: &Store,
    compressors: &Compressors,
    project_id: ProjectId,
    entry: &NewEntry,
    file: &Path,
) -> Result<Findings, StoreError> {
    let codings: &[Coding] = if is_compressed(entry) { &Coding::ALL } else { &[] };
    let variants =
        codings.iter().map(|coding| upload_variant(store, compressors, project_id, entry, file, *coding));
    let ((), variants, link) = futures::try_join!(
        store.put_file(project_id, entry, file),
        try_join_all(variants),
        find_link(compressors, entry, file)
    )?;
    Ok(Findings { variants: variants.into_iter().flatten().collect(), link })
}

async fn upload_variant(
    store: &Store,
    compressors: &Compressors,
    project_id: ProjectId,
    entry: &NewEntry,
    file: &Path,
    coding: Coding,
) -> Result<Option<NewVariant>, StoreError> {
    // Held until the bytes are stored.
    let _waiting = compressors.memory_for(entry.size).await;
    let made = make_variant(compressors, entry, file, coding, Effort::Deployment).await?;
    let Some(bytes) = made else { return Ok(None) };
    let Ok(size) = u32::try_from(bytes.len()) else { return Ok(None) };
    let variant = NewVariant { coding, size, hash: ContentHash::of(&bytes) };
    store.put_variant(project_id, entry, &variant, bytes).await?;
    Ok(Some(variant))
}

/// The bytes of a variant, if it is worth keeping.
pub(crate) async fn make_variant(
    compressors: &Compressors,
    entry: &NewEntry,
    file: &Path,
    coding: Coding,
    effort: Effort,
) -> Result<Option<Vec<u8>>, StoreError> {
    let (path, size, hash) = (file.to_owned(), entry.size, entry.hash);
    let work = move |abandoned| compress(Content { file: &path, size, hash }, coding, effort, abandoned);
    compressors.run(file, work).await
}

pub(crate) async fn find_link(
    compressors: &Compressors,
    entry: &NewEntry,
    file: &Path,
) -> Result<Option<Box<str>>, StoreError> {
    if !is_page(entry) || entry.size > links::PAGE_BYTES_MAX {
        return Ok(None);
    }
    let path = file.to_owned();
    let read = move |_| {
        let mut page = Vec::new();
        std::fs::File::open(path)?.take(links::PAGE_BYTES_MAX).read_to_end(&mut page)?;
        Ok(links::of_page(&page))
    };
    compressors.run(file, read).await
}

impl Compressors {
    async fn memory_for(&self, size: u64) -> Option<OwnedSemaphorePermit> {
        let permits = size.min(WAITING_BYTES_MAX).div_ceil(PERMIT_BYTES);
        // Never closed, so there always is one.
        self.waiting.clone().acquire_many_owned(u32::try_from(permits).unwrap_or(u32::MAX)).await.ok()
    }

    /// Runs work on one of the threads. When the caller is dropped, the work ends soon.
    async fn run<T: Send + 'static>(
        &self,
        file: &Path,
        work: impl FnOnce(Abandoned) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let thread = self.threads.clone().acquire_owned().await;
        let abandoned = Abandoned::default();
        let _guard = AbandonOnDrop(abandoned.clone());
        let work = move || {
            let done = work(abandoned);
            drop(thread);
            done
        };
        let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(panic.into()));
        let path = file.display().to_string();
        done.map_err(|cause| StoreError::LocalFile { path, cause: cause.to_string() })
    }
}
