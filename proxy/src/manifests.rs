//! Deployment to site: its manifest, with the rules indexed. A deployment never changes, so a manifest once read is
//! right for ever: it is kept in memory, and on disk for when this process is started again and the store is away.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use loggia_serve::Site;
use loggia_storage::{Store, StoreError};
use loggia_types::{DeploymentRef, Manifest, ProjectId};
use moka::sync::Cache;

use crate::disk::{Disk, Name, Spare, Unchecked};
use crate::flights::{Flight, Flights};
use crate::metrics::{ManifestRead, Metrics};

/// About 60 manifests of 100,000 files, or some 100,000 usual ones.
const HEAP_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// As the store's: a larger file is not one of ours.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A visitor waits for this; the store's own retries end within it or are of no use to that visitor.
const READ_TIMEOUT: Duration = Duration::from_secs(8);

/// A visitor for whom there is an older page waits no longer than this for the newer one.
const PATIENCE: Duration = Duration::from_secs(1);

/// Long enough that a flood of requests asks the store once, short enough that nobody notices.
const FAILED_TTL: Duration = Duration::from_secs(1);

/// For so long, visitors for whom there is an older page do not wait for a manifest that kept one of them waiting in vain.
/// It is asked for all the same, and used as soon as it is there.
const LATE_TTL: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// A route names it, but the store does not have it.
    #[error("deployment {0} has no manifest in the store")]
    Missing(DeploymentRef),
    #[error("the manifest of {0} did not come within 8 s")]
    Slow(DeploymentRef),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("reading the manifest of {0} was abandoned")]
    Abandoned(DeploymentRef),
}

type Found = Result<Arc<Site>, Arc<ManifestError>>;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Manifests {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    known: Cache<DeploymentRef, Arc<Site>>,
    /// `None`: nothing is to be kept there.
    disk: Option<Disk<DeploymentRef>>,
    flights: Flights<DeploymentRef, Found>,
    failed: Cache<DeploymentRef, Arc<ManifestError>>,
    late: Cache<DeploymentRef, ()>,
    metrics: Arc<Metrics>,
}

/// Neither bounds what a flood can do: there are only as many as routes name deployments.
const TROUBLES_MAX: u64 = 10_000;

impl Manifests {
    /// With `disk_bytes` in the state folder for those that are to outlive this process.
    pub(crate) fn open(
        store: Store,
        state_dir: &Path,
        disk_bytes: u64,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let weight =
            |_: &DeploymentRef, site: &Arc<Site>| u32::try_from(site.heap_bytes()).unwrap_or(u32::MAX);
        let known = Cache::builder().max_capacity(HEAP_BYTES_MAX).weigher(weight).build();
        let in_memory = known.clone();
        let open = || {
            let (root, metrics) = (state_dir.join("manifests"), Arc::clone(&metrics.disk_manifests));
            Disk::open(root, disk_bytes, Spare::ByManifests, metrics, move |name| {
                in_memory.contains_key(name)
            })
        };
        let inner = Inner {
            store,
            known,
            disk: (disk_bytes > 0).then(open).transpose()?,
            flights: Flights::default(),
            failed: Cache::builder().max_capacity(TROUBLES_MAX).time_to_live(FAILED_TTL).build(),
            late: Cache::builder().max_capacity(TROUBLES_MAX).time_to_live(LATE_TTL).build(),
            metrics,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Reads a manifest once, however many requests wait for it. Errors are kept for a second.
    pub(crate) async fn get(&self, deployment: DeploymentRef) -> Found {
        if let Some(site) = self.find_known(&deployment) {
            return Ok(site);
        }
        match self.inner.failed.get(&deployment) {
            Some(error) => Err(error),
            None => self.read(deployment).await,
        }
    }

    /// As [`Manifests::get`], for a visitor who can also be shown something else: `None` when it does not come soon. It is
    /// read on in the background.
    pub(crate) async fn get_soon(&self, deployment: DeploymentRef) -> Option<Found> {
        let is_late = self.inner.late.contains_key(&deployment);
        let get = self.get(deployment);
        if is_late {
            // Begun all the same, if it is not under way.
            return get.now_or_never();
        }
        let found = tokio::time::timeout(PATIENCE, get).await.ok();
        if !matches!(found, Some(Ok(_))) {
            self.inner.late.insert(deployment, ());
        }
        found
    }

    /// A manifest that is in memory. It waits for nothing.
    pub(crate) fn find_known(&self, deployment: &DeploymentRef) -> Option<Arc<Site>> {
        self.inner.known.get(deployment)
    }

    /// A manifest that is here, in memory or on disk. Blocks.
    pub(crate) fn find_kept(&self, deployment: &DeploymentRef) -> Option<Arc<Site>> {
        let on_disk = || {
            let disk = self.inner.disk.as_ref()?;
            disk.find_blocking(deployment, FILE_BYTES_MAX, check(*deployment))
        };
        self.find_known(deployment).or_else(on_disk)
    }

    /// How many are in memory, and the bytes that they use.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.inner.known.run_pending_tasks();
        (self.inner.known.entry_count(), self.inner.known.weighted_size())
    }

    /// Another process writes to the disk from here on.
    pub(crate) fn hand_over(&self) {
        self.inner.disk.iter().for_each(Disk::hand_over);
    }

    /// Reads it, or joins those who already do. Begins at once.
    fn read(&self, deployment: DeploymentRef) -> Flight<Found> {
        let abandoned = Err(Arc::new(ManifestError::Abandoned(deployment)));
        let inner = Arc::clone(&self.inner);
        let read = async move {
            let found = inner.read(deployment).await;
            match &found {
                Ok(site) => inner.known.insert(deployment, Arc::clone(site)),
                Err(error) => inner.failed.insert(deployment, Arc::clone(error)),
            }
            found
        };
        self.inner.flights.join(&deployment, read, abandoned)
    }
}

impl Inner {
    /// From the disk, else from the store.
    async fn read(&self, deployment: DeploymentRef) -> Found {
        // A flight may have ended between our look at the memory and the one at the flights.
        if let Some(site) = self.known.get(&deployment) {
            return Ok(site);
        }
        if let Some(disk) = &self.disk
            && let Some(site) = disk.find(deployment, FILE_BYTES_MAX, check(deployment)).await
        {
            return Ok(site);
        }
        let read = self.fetch(deployment).await;
        self.metrics.manifest_read(match &read {
            Ok(_) => ManifestRead::Found,
            Err(ManifestError::Missing(_)) => ManifestRead::Missing,
            Err(_) => ManifestRead::Failed,
        });
        let site = read.map_err(Arc::new)?;
        if let Some(disk) = &self.disk {
            disk.keep(deployment, Bytes::from_owner(Encoded(Arc::clone(&site))));
        }
        Ok(site)
    }

    async fn fetch(&self, deployment: DeploymentRef) -> Result<Arc<Site>, ManifestError> {
        let read = tokio::time::timeout(READ_TIMEOUT, self.store.find_manifest(deployment));
        let found = read.await.map_err(|_| ManifestError::Slow(deployment))??;
        found.map(|found| Arc::new(Site::open(found))).ok_or(ManifestError::Missing(deployment))
    }
}

/// A manifest has a checksum, and says whose it is. One that another release wrote is no use either.
fn check(deployment: DeploymentRef) -> impl FnOnce(Unchecked) -> Option<Arc<Site>> {
    move |found| {
        let manifest = Manifest::parse(found.bytes).ok()?;
        (manifest.facts().deployment == deployment).then(|| Arc::new(Site::open(manifest)))
    }
}

impl Name for DeploymentRef {
    fn project_id(&self) -> ProjectId {
        self.project_id
    }

    fn file_name(&self) -> String {
        self.deployment_id.to_string()
    }

    fn parse(project_id: ProjectId, file_name: &str) -> Option<Self> {
        let deployment_id = file_name.parse().ok()?;
        Some(Self { project_id, deployment_id })
    }
}

/// The bytes of a manifest that is in memory, for the disk.
struct Encoded(Arc<Site>);

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        self.0.manifest().as_bytes()
    }
}
