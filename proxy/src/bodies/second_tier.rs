//! The second tier: files on disk, which survive a restart and are more than fit into memory.
//!
//! A file is written when it is asked for a second time, as far as that is remembered: while it is in memory, or when it
//! has to be fetched again. So a crawler that reads every file once writes nothing, and what memory pushes out needs no
//! second look. Whatever is read is compared with the hash that it is named by before anybody gets it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use loggia_types::{ContentHash, ProjectId};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{Body, BodyKey, Meant, Source, Tier};
use crate::disk::{Disk, Name, Purged, Spare, Unchecked};
use crate::metrics::DiskUse;

/// Files that were fetched once and are remembered for it: some 10 MB.
const SEEN_MAX: u64 = 65_536;

pub(super) struct SecondTier {
    disk: Disk<BodyKey>,
    seen: Cache<BodyKey, ()>,
}

impl SecondTier {
    /// Those that `is_in_memory` are the last to leave the disk.
    pub(super) fn open(
        state_dir: &Path,
        bytes_max: u64,
        metrics: Arc<DiskUse>,
        is_in_memory: impl Fn(&BodyKey) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let disk = Disk::open(state_dir.join("files"), bytes_max, Spare::ByFiles, metrics, is_in_memory)?;
        // Not by frequency: what was seen once and lately is all that it has to know.
        let seen = Cache::builder().max_capacity(SEEN_MAX).eviction_policy(EvictionPolicy::lru()).build();
        Ok(Self { disk, seen })
    }

    pub(super) async fn find(&self, source: &Source) -> Option<Body> {
        let (key, size) = (source.key, source.size);
        let check = move |found: Unchecked| {
            let is_right = found.bytes.len() as u64 == size && ContentHash::of(&found.bytes) == key.hash;
            is_right.then(|| Body::new(key, found.bytes.into(), Tier::Disk { is_stale: found.is_stale }))
        };
        self.disk.find(key, size, check).await
    }

    pub(super) async fn has(&self, source: &Source) -> bool {
        self.disk.has(&source.key, source.size).await
    }

    /// Looks at a body that was fetched for somebody who found it nowhere.
    pub(super) fn fetched(&self, body: &Body) {
        if self.seen.contains_key(&body.key) {
            self.asked_again(body);
        } else {
            self.seen.insert(body.key, ());
        }
    }

    /// Writes a body, unless it is there already.
    pub(super) fn asked_again(&self, body: &Body) {
        if !body.is_stale() && !body.begin_keeping() && !self.disk.keep(body.key, body.bytes.clone()) {
            body.keeping_failed();
        }
    }

    /// Blocks.
    pub(super) fn purge(&self, meant: &Meant, purged: Purged) {
        match meant {
            Meant::Project(project_id) => self.disk.purge_project(*project_id, purged),
            Meant::Files(keys) => self.disk.purge_all(keys, purged),
        }
    }

    pub(super) fn hand_over(&self) {
        self.disk.hand_over();
    }
}

impl Name for BodyKey {
    fn project_id(&self) -> ProjectId {
        self.project_id
    }

    fn file_name(&self) -> String {
        self.hash.to_hex()
    }

    fn parse(project_id: ProjectId, file_name: &str) -> Option<Self> {
        Some(Self { project_id, hash: file_name.parse().ok()? })
    }
}
