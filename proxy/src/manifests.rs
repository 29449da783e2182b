//! Deployment to manifest. A deployment never changes, so a manifest once read is right for ever.

use std::sync::Arc;
use std::time::Duration;

use loggia_storage::{Store, StoreError};
use loggia_types::{DeploymentRef, Manifest};
use moka::future::Cache;

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
    known: Cache<DeploymentRef, Arc<Manifest>>,
    missing: Cache<DeploymentRef, ()>,
}

impl Manifests {
    pub(crate) fn new(store: Store) -> Self {
        let weight = |_: &DeploymentRef, manifest: &Arc<Manifest>| {
            u32::try_from(manifest.heap_bytes()).unwrap_or(u32::MAX)
        };
        Self {
            store,
            known: Cache::builder().max_capacity(HEAP_BYTES_MAX).weigher(weight).build(),
            missing: Cache::builder().max_capacity(10_000).time_to_live(MISSING_TTL).build(),
        }
    }

    /// Reads a manifest once, however many requests wait for it. Errors are not kept.
    pub(crate) async fn get(&self, deployment: DeploymentRef) -> Result<Arc<Manifest>, Arc<ManifestError>> {
        if let Some(manifest) = self.known.get(&deployment).await {
            return Ok(manifest);
        }
        if self.missing.contains_key(&deployment) {
            return Err(Arc::new(ManifestError::Missing(deployment)));
        }
        self.known.try_get_with(deployment, Box::pin(self.read(deployment))).await
    }

    async fn read(&self, deployment: DeploymentRef) -> Result<Arc<Manifest>, ManifestError> {
        let read = tokio::time::timeout(READ_TIMEOUT, self.store.find_manifest(deployment));
        let found = read.await.map_err(|_| ManifestError::Slow(deployment))??;
        let Some(manifest) = found else {
            self.missing.insert(deployment, ()).await;
            return Err(ManifestError::Missing(deployment));
        };
        Ok(Arc::new(manifest))
    }
}
