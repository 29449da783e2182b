//! The end of publishing: the manifest, which makes a deployment appear whole or not at all.
//!
//! What comes before it (files and their compressed forms) is `loggia-publish`'s.

use loggia_types::Manifest;
use loggia_types::manifest::NewManifest;
use loggia_types::publish::PublishCounts;

use crate::store::{ManifestWrite, Store, StoreError};

/// Writes the manifest: from here on the deployment exists. When another attempt was first, its manifest
/// stands and its counts are not ours to tell.
pub async fn write_manifest(store: &Store, new: NewManifest) -> Result<ManifestWrite, StoreError> {
    let deployment = new.facts.deployment;
    let bytes = Manifest::encode(new).map_err(|cause| StoreError::Manifest { deployment, cause })?;
    store.put_manifest(deployment, bytes).await
}

/// Counts of a deployment that is already complete, read from its manifest.
pub fn counts_of(manifest: &Manifest) -> PublishCounts {
    let own = manifest.facts().deployment.deployment_id;
    let mut counts = PublishCounts::default();
    for entry in manifest.entries() {
        counts.add(entry.size(), entry.folder().deployment_id() == own);
    }
    counts
}
