//! Files first, manifest last: how a deployment appears whole or not at all.

use std::path::PathBuf;

use futures::stream::{self, StreamExt, TryStreamExt};
use loggia_types::manifest::{Facts, NewEntry};
use loggia_types::publish::{Plan, PublishCounts};
use loggia_types::{DeploymentRef, Manifest};

use crate::store::{ManifestWrite, Store, StoreError};

/// Small files are bound by latency; 32 in flight fill a local network without exhausting descriptors.
const UPLOADS_IN_FLIGHT: usize = 32;

/// Uploads what the plan says is new. `locate` tells where an entry's bytes lie on this machine.
pub async fn upload_files(
    store: &Store,
    deployment: DeploymentRef,
    plan: &Plan,
    locate: impl Fn(&NewEntry) -> PathBuf,
) -> Result<(), StoreError> {
    let put = |at: usize| {
        let entry = &plan.entries[at];
        let file = locate(entry);
        async move { store.put_file(deployment.project_id, entry, &file).await }
    };
    stream::iter(plan.uploads.clone()).map(put).buffer_unordered(UPLOADS_IN_FLIGHT).try_collect::<()>().await
}

/// Writes the manifest: from here on the deployment exists. When another attempt was first, its manifest
/// stands and its counts are not ours to tell.
pub async fn write_manifest(
    store: &Store,
    facts: &Facts,
    entries: Vec<NewEntry>,
) -> Result<ManifestWrite, StoreError> {
    let deployment = facts.deployment;
    let bytes =
        Manifest::encode(facts, entries).map_err(|cause| StoreError::Manifest { deployment, cause })?;
    store.put_manifest(deployment, bytes).await
}

/// Counts of a deployment that is already complete, read from its manifest.
pub fn counts_of(manifest: &Manifest) -> PublishCounts {
    let own = manifest.facts().deployment.deployment_id;
    let mut counts = PublishCounts::default();
    for entry in manifest.entries() {
        counts.files += 1;
        counts.bytes += entry.size();
        if entry.folder().deployment_id() == own {
            counts.uploaded += 1;
            counts.uploaded_bytes += entry.size();
        } else {
            counts.reused += 1;
        }
    }
    counts
}
