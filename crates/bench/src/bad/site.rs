//! Sites of which every byte is known.

use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::stage::Stage;
use crate::sites::{self, Files};
use crate::world::World;

/// What is asked for, and what has to come.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub host: Arc<str>,
    pub path: Arc<str>,
    pub bytes: Bytes,
}

impl Page {
    /// Random bytes, of a kind that nobody compresses, which differ from page to page.
    pub(super) fn noise(host: &str, path: &str, bytes: usize) -> Self {
        Self::version(host, path, bytes, 0)
    }

    /// The same page in another deployment.
    pub(super) fn version(host: &str, path: &str, bytes: usize, version: u8) -> Self {
        // FNV-1a: what a page holds follows from its name alone.
        let seed = (host.bytes().chain(path.bytes()).chain([version]))
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let mut random = SmallRng::seed_from_u64(seed);
        let noise: Vec<u8> = (0..bytes).map(|_| random.random()).collect();
        Self { host: host.into(), path: path.into(), bytes: noise.into() }
    }
}

/// Deploys pages of one host and makes the host known to the world's api. Numbers tell projects apart.
pub(super) async fn deploy(stage: &Stage, world: &World, number: u64, pages: &[Page]) -> anyhow::Result<()> {
    let Some(host) = pages.first().map(|page| Arc::clone(&page.host)) else { return Ok(()) };
    let folder = stage.dir().join("sites").join(&*host);
    let mut files = Files::new();
    for page in pages {
        let file = folder.join(page.path.trim_start_matches('/'));
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&file, &page.bytes)?;
        files.push((page.path.to_string(), file));
    }
    sites::publish(world, number, &host, &folder, files).await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
