//! What days have in common.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::options::{BadOptions, Lengths};
use crate::edge::Certificate;
use crate::run::certificate;
use crate::world::World;

/// The S3 server shares the second core with the visitors; the edge may use all there are.
const WORLD_CORE: usize = 1;

#[derive(Debug)]
pub(super) struct Stage {
    pub program: PathBuf,
    pub lengths: Lengths,
    pub certificate: Certificate,
    dir: TempDir,
}

impl Stage {
    pub(super) fn set(options: &BadOptions, name: &str) -> anyhow::Result<Self> {
        let mut folder = tempfile::Builder::new();
        let prefix = format!("loggia-bad-{name}-");
        let folder = folder.prefix(&prefix);
        let dir = options.dir.as_ref().map_or_else(|| folder.tempdir(), |dir| folder.tempdir_in(dir))?;
        // Postgres runs as another user, who has to get to what is its own.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711))?;
        let certificate = certificate(dir.path())?;
        Ok(Self { program: options.program.clone(), lengths: Lengths::of(options), certificate, dir })
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A store, and an api that knows routes.
    pub(super) async fn world(&self) -> anyhow::Result<World> {
        World::start(self.dir(), WORLD_CORE).await
    }
}
