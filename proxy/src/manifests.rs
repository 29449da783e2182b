//! Deployment to site: its manifest, with the rules indexed. A deployment never changes, so a manifest once read is
//! right for ever.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use loggia_serve::Site;
use loggia_storage::{Store, StoreError};
use loggia_types::DeploymentRef;
use moka::future::Cache;

use crate::metrics::{ManifestRead, Metrics};

/// About 60 manifests of 100,000 files, or some 100,000 usual ones.
const HEAP_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A visitor waits for this; the store's own retries end within it or are of no use to that visitor.
const READ_TIMEOUT: Duration = Duration::from_secs(8);

/// Long enough that a flood of requests asks the store once, short enough that nobody notices.
const MISSING_TTL: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// A route names it, but the store does not have it.
    #[error("deployment {0} has no manifest in the store")]
    Missing(DeploymentRef),
    #[error("the manifest of {0} did not come within 8 s")]
    Slow(DeploymentRef),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Clone)]
pub(crate) struct Manifests {
    store: Store,
    known: Cache<DeploymentRef, Arc<Site>>,
    missing: Cache<DeploymentRef, ()>,
    metrics: Arc<Metrics>,
}

impl Manifests {
    pub(crate) fn new(store: Store, metrics: Arc<Metrics>) -> Self {
        let weight =
            |_: &DeploymentRef, site: &Arc<Site>| u32::try_from(site.heap_bytes()).unwrap_or(u32::MAX);
        Self {
            store,
            known: Cache::builder().max_capacity(HEAP_BYTES_MAX).weigher(weight).build(),
            missing: Cache::builder().max_capacity(10_000).time_to_live(MISSING_TTL).build(),
            metrics,
        }
    }

    /// Reads a manifest once, however many requests wait for it. Errors are not kept.
    pub(crate) async fn get(&self, deployment: DeploymentRef) -> Result<Arc<Site>, Arc<ManifestError>> {
        if let Some(site) = self.known.get(&deployment).await {
            return Ok(site);
        }
        if self.missing.contains_key(&deployment) {
            return Err(Arc::new(ManifestError::Missing(deployment)));
        }
        self.known.try_get_with(deployment, Box::pin(self.read(deployment))).await
    }

    /// A manifest that is in memory. It waits for nothing.
    pub(crate) fn find_known(&self, deployment: &DeploymentRef) -> Option<Arc<Site>> {
        // The cache has no other look-up that does not wait.
        self.known.get(deployment).now_or_never().flatten()
    }

    /// How many are in memory, and the bytes that they use.
    pub(crate) async fn size(&self) -> (u64, u64) {
        self.known.run_pending_tasks().await;
        (self.known.entry_count(), self.known.weighted_size())
    }

    async fn read(&self, deployment: DeploymentRef) -> Result<Arc<Site>, ManifestError> {
        let read = self.find(deployment).await;
        self.metrics.manifest_read(match &read {
            Ok(_) => ManifestRead::Found,
            Err(ManifestError::Missing(_)) => ManifestRead::Missing,
            Err(ManifestError::Slow(_) | ManifestError::Store(_)) => ManifestRead::Failed,
        });
        read
    }

    async fn find(&self, deployment: DeploymentRef) -> Result<Arc<Site>, ManifestError> {
        let read = tokio::time::timeout(READ_TIMEOUT, self.store.find_manifest(deployment));
        let found = read.await.map_err(|_| ManifestError::Slow(deployment))??;
        let Some(manifest) = found else {
            self.missing.insert(deployment, ()).await;
            return Err(ManifestError::Missing(deployment));
        };
        Ok(Arc::new(Site::open(manifest)))
    }
}
