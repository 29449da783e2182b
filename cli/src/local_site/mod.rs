//! A folder of this machine as a site: what `loggia rules` and `loggia dev` have in common.
//!
//! Answers come from `loggia_serve`, and everything they are made of from the steps of a deployment, so that they
//! cannot differ from the edge's. Here is only what a bucket does otherwise: finding files, reading them, noticing
//! that they changed.
//!
//! What a deployment knows and a folder does not: earlier deployments (nothing is retired, and every fingerprinted
//! name counts as unchanged), the settings of a project, and the time it is made, for which that of the newest file
//! stands in.

mod answer;
mod folder;
mod snapshot;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use loggia_publish::explore::explore;
use loggia_publish::sources::Rules;
use loggia_publish::{Compressors, Effort};
use loggia_serve::{Policy, RequestHead};
use loggia_types::build::Environment;
use loggia_types::route::ServeSettings;
use loggia_types::{ContentHash, Problem, SitePath};

use self::snapshot::{Known, Snapshot};

pub(crate) use self::answer::{Answer, Piece};
pub(crate) use self::folder::{Folder, hash, open};

/// Requests for a path are asked of this production hostname (RFC 2606 keeps it out of use).
pub(crate) const HOST: &str = "www.example.org";

/// How often a folder is looked at: sooner than a person switches from editor to browser.
const LOOK_AFTER: Duration = Duration::from_millis(300);
/// A folder that takes long to look at, with 100,000 files say, is looked at for a tenth of the time.
const LOOK_SHARE: u32 = 10;

/// Files may change while one is read. Who changes them all the time sees that.
const TRIES_MAX: u32 = 4;

/// Compressed bytes that are kept: all of most sites. They can be made again.
const VARIANT_BYTES_MAX: u64 = 128 * 1024 * 1024;

const SETTINGS: ServeSettings = ServeSettings { not_found: loggia_types::manifest::NotFound::Auto };

/// The policy of a project's own hostname.
pub(crate) fn policy(environment: Environment) -> Policy<'static> {
    let is_primary = environment == Environment::Production;
    Policy { settings: &SETTINGS, environment, is_primary, is_platform_host: false }
}

#[derive(Debug)]
pub(crate) struct LocalSite {
    root: PathBuf,
    /// Folders above it in which `loggia.toml` and `netlify.toml` may lie as well.
    above: Vec<PathBuf>,
    effort: Effort,
    compressors: Compressors,
    /// By their own hash.
    variants: moka::sync::Cache<ContentHash, Bytes>,
    snapshot: RwLock<Arc<Snapshot>>,
    /// Held by whoever looks at the folder; others wait, since they want to see what changed.
    looking: tokio::sync::Mutex<Looked>,
    /// Held by whoever reads files, which can take long; who knows enough already does not wait.
    learning: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Looked {
    /// When the folder is looked at again.
    due: Instant,
}

/// What a look at the folder brought.
#[derive(Debug)]
pub(crate) enum Look {
    Same,
    Changed,
    /// The rules are over a limit, so those before stay in force. The files are the new ones.
    Refused(anyhow::Error),
}

impl LocalSite {
    /// Fails as a deployment would.
    pub(crate) async fn open(root: &Path, above: Vec<PathBuf>, effort: Effort) -> anyhow::Result<Self> {
        let folder = read_folder(root.to_owned()).await?;
        let rules = snapshot::read_rules(&folder, &above)?;
        let snapshot = Snapshot::new(Arc::new(folder), Arc::new(rules), Default::default())?;
        let weigh = |_: &ContentHash, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Ok(Self {
            root: root.to_owned(),
            above,
            effort,
            compressors: Compressors::default(),
            variants: moka::sync::Cache::builder().weigher(weigh).max_capacity(VARIANT_BYTES_MAX).build(),
            snapshot: RwLock::new(Arc::new(snapshot)),
            looking: tokio::sync::Mutex::new(Looked { due: Instant::now() + LOOK_AFTER }),
            learning: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn file_count(&self) -> usize {
        self.current().folder.files.len()
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.current().rules)
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.current().problems()
    }

    /// Looks whether files changed, unless somebody just did.
    pub(crate) async fn look(&self) -> anyhow::Result<Look> {
        let mut looked = self.looking.lock().await;
        if Instant::now() < looked.due {
            return Ok(Look::Same);
        }
        let begun = Instant::now();
        let look = self.look_now().await;
        looked.due = Instant::now() + LOOK_AFTER.max(begun.elapsed() * LOOK_SHARE);
        look
    }

    async fn look_now(&self) -> anyhow::Result<Look> {
        let (folder, before) = (read_folder(self.root.clone()).await?, self.current());
        let rules = snapshot::read_rules(&folder, &self.above);
        let (rules, look) = match rules {
            Ok(rules) if folder == *before.folder && rules == *before.rules => return Ok(Look::Same),
            Ok(rules) => (Arc::new(rules), Look::Changed),
            Err(error) => (Arc::clone(&before.rules), Look::Refused(error)),
        };
        let known = before.known_of(&folder);
        self.replace(Snapshot::new(Arc::new(folder), rules, known)?);
        Ok(look)
    }

    /// What the edge would answer. Finds out about the file first what the answer depends on.
    pub(crate) async fn answer(
        &self,
        policy: &Policy<'_>,
        request: RequestHead<'_>,
    ) -> anyhow::Result<Answer> {
        let with_variants = request.headers.contains_key(ACCEPT_ENCODING);
        let mut failure = None;
        for _ in 0..TRIES_MAX {
            let snapshot = self.current();
            let content = answer::file_of(&snapshot.site, policy, request);
            match content.map(|content| content.entry.path().to_owned()) {
                Some(path) if !snapshot.is_explored(&path, with_variants) => {
                    failure = self.learn(&path, with_variants).await.err();
                }
                _ => return Ok(answer::of(&snapshot.site, policy, request)),
            }
        }
        Err(failure.unwrap_or_else(|| anyhow::anyhow!("the files change faster than they are read")))
    }

    /// A file that changed meanwhile is an error, and the folder is looked at again.
    pub(crate) fn open_file(&self, path: &str) -> anyhow::Result<std::fs::File> {
        let snapshot = self.current();
        let found = snapshot.file(path).with_context(|| format!("{path} is gone"))?;
        let file = open(&self.root, &found.relative).with_context(|| format!("opening {path}"))?;
        let is_same = folder::Stamp::of(&file.metadata()?) == found.stamp;
        is_same.then_some(file).with_context(|| format!("{path} changed just now"))
    }

    /// The bytes of a variant that an answer named.
    pub(crate) async fn variant(&self, path: &str, hash: ContentHash) -> anyhow::Result<Bytes> {
        if let Some(bytes) = self.variants.get(&hash) {
            return Ok(bytes);
        }
        let _learning = self.learning.lock().await;
        let snapshot = self.current();
        self.explore(&snapshot, path, &snapshot.known, true).await?;
        self.variants.get(&hash).with_context(|| format!("{path} changed just now"))
    }

    /// After an error: whatever the clock says, the next look is a real one.
    pub(crate) async fn look_again(&self) -> anyhow::Result<Look> {
        let mut looked = self.looking.lock().await;
        let look = self.look_now().await;
        looked.due = Instant::now() + LOOK_AFTER;
        look
    }

    async fn learn(&self, path: &str, with_variants: bool) -> anyhow::Result<()> {
        let _learning = self.learning.lock().await;
        let snapshot = self.current();
        if snapshot.is_explored(path, with_variants) {
            return Ok(());
        }
        let learnt = self.find_out(&snapshot, path, with_variants).await;
        if learnt.is_err() {
            // It changed while it was read, or is gone.
            self.look_again().await?;
        }
        self.replace_unless_changed(&snapshot, learnt?);
        Ok(())
    }

    async fn find_out(
        &self,
        snapshot: &Arc<Snapshot>,
        path: &str,
        with_variants: bool,
    ) -> anyhow::Result<Snapshot> {
        let mut known = snapshot.known.clone();
        // A deployment explores each content once, at the first file that has it: those of equal size may.
        let hashing = Arc::clone(snapshot);
        let wanted = path.to_owned();
        let hashed = tokio::task::spawn_blocking(move || hash_alike(&hashing, &wanted)).await??;
        for (path, hash) in hashed {
            known.insert(path, Known { hash, findings: None, has_variants: false });
        }
        let (source, findings) = self.explore(snapshot, path, &known, with_variants).await?;
        if let Some(known) = known.get_mut(&source) {
            known.findings = Some(findings);
            known.has_variants = with_variants;
        }
        Snapshot::new(Arc::clone(&snapshot.folder), Arc::clone(&snapshot.rules), known)
    }

    async fn explore(
        &self,
        snapshot: &Snapshot,
        path: &str,
        known: &std::collections::HashMap<SitePath, Known>,
        with_variants: bool,
    ) -> anyhow::Result<(SitePath, loggia_publish::upload::Findings)> {
        let source = snapshot.source_of(path, known).with_context(|| format!("{path} is gone"))?;
        let found = snapshot.file(source.path.as_str()).with_context(|| format!("{path} is gone"))?;
        let file = self.root.join(&found.relative);
        let effort = with_variants.then_some(self.effort);
        let explored = explore(&self.compressors, &source, &file, effort).await?;
        for (variant, bytes) in explored.findings.variants.iter().zip(explored.bytes) {
            self.variants.insert(variant.hash, bytes.into());
        }
        Ok((source.path, explored.findings))
    }

    fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was found out about files that are others now is thrown away.
    fn replace_unless_changed(&self, base: &Arc<Snapshot>, snapshot: Snapshot) {
        let mut current = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, base) {
            *current = Arc::new(snapshot);
        }
    }

    fn replace(&self, snapshot: Snapshot) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }
}

async fn read_folder(root: PathBuf) -> anyhow::Result<Folder> {
    tokio::task::spawn_blocking(move || Folder::read(&root)).await?
}

/// Hashes every file that can have the same content as this one and was not hashed yet.
fn hash_alike(snapshot: &Snapshot, path: &str) -> io::Result<Vec<(SitePath, ContentHash)>> {
    let Some(wanted) = snapshot.file(path) else { return Ok(Vec::new()) };
    let alike = snapshot.folder.files.iter().filter(|file| file.stamp.size == wanted.stamp.size);
    let unknown = alike.filter(|file| !snapshot.known.contains_key(&file.path));
    let hashed = unknown.map(|file| {
        let (hash, size) = hash(open(&snapshot.folder.root, &file.relative)?)?;
        match size == file.stamp.size {
            true => Ok((file.path.clone(), hash)),
            false => Err(io::Error::other(format!("{} changed while it was read", file.path))),
        }
    });
    hashed.collect()
}

#[cfg(test)]
mod tests;
