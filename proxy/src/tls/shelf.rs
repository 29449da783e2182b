//! All certificates, as the files were when they were last of use.
//!
//! A pair of files that is broken, half written or out of date keeps the certificate that it held before, is named in
//! the log once, and is tried again at each look; the others never notice. A pair whose files are both gone is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, bail};
use loggia_types::Timestamp;
use tracing::{info, warn};

use super::certificate::{Certificate, Sessions};
use super::folder::{self, PAIRS_MAX, Stamp};
use super::index::Index;
use crate::config::{CertificateFiles, HttpsConfig};
use crate::metrics::CertificateCounts;

const REMEDY: &str = "put NAME.crt and NAME.key, or NAME/fullchain.pem and NAME/privkey.pem, into it, \
                      or name a certificate with LOGGIA_PROXY_TLS_CERT and LOGGIA_PROXY_TLS_KEY";

/// The certificates, and what is known of their files.
pub(crate) struct Shelf {
    sessions: Sessions,
    default: Option<(CertificateFiles, Held)>,
    dir: Option<PathBuf>,
    pairs: BTreeMap<CertificateFiles, Held>,
    /// What is wrong with the folder as a whole.
    complaint: Option<String>,
}

/// What came of a pair of files.
#[derive(Default)]
struct Held {
    /// How the files looked that `certificate` is from. `None`: look again.
    stamp: Option<Stamp>,
    /// The last one that was of use.
    certificate: Option<Arc<Certificate>>,
    /// What is wrong with the files as they are now.
    complaint: Option<String>,
}

impl Shelf {
    /// Reads everything.
    ///
    /// # Errors
    /// The default certificate cannot be read, or there is none and the folder holds none that can be used.
    pub(super) fn open(config: &HttpsConfig, now: Timestamp) -> anyhow::Result<Self> {
        let sessions = Sessions::new()?;
        let default = config.default.clone().map(|files| {
            let held = Held::open(&files, &sessions)?;
            anyhow::Ok((files, held))
        });
        let default = default.transpose()?;
        let dir = config.dir.clone();
        let mut shelf = Self { sessions, default, dir, pairs: BTreeMap::new(), complaint: None };
        shelf.look(now);
        match &shelf.dir {
            Some(dir) if shelf.default.is_none() && shelf.counts().used == 0 => bail!(
                "{} (LOGGIA_PROXY_TLS_DIR) holds no certificate that can be used: {}; {REMEDY}",
                dir.display(),
                shelf.first_complaint().unwrap_or("it holds no pair of files at all"),
            ),
            Some(dir) => info!("The edge has read {} certificates of {}", shelf.pairs.len(), dir.display()),
            None => {}
        }
        Ok(shelf)
    }

    fn first_complaint(&self) -> Option<&str> {
        let pairs = self.pairs.values().find_map(|held| held.complaint.as_deref());
        self.complaint.as_deref().or(pairs)
    }

    /// Reads what changed. True if handshakes have to use something else from now on.
    pub(super) fn look(&mut self, now: Timestamp) -> bool {
        let Self { default, sessions, .. } = self;
        let mut has_changed = default.as_mut().is_some_and(|(files, held)| held.look(files, sessions, now));
        let Some(dir) = self.dir.clone() else { return has_changed };
        match self.list(&dir) {
            Ok(found) => {
                has_changed |= self.drop_missing(&found);
                for files in found {
                    let held = self.pairs.entry(files.clone()).or_default();
                    has_changed |= held.look(&files, &self.sessions, now);
                }
            }
            // A disk that fails, or a folder that is being replaced: nothing is dropped.
            Err(complaint) => self.complain(Some(complaint)),
        }
        has_changed
    }

    fn list(&mut self, dir: &Path) -> Result<BTreeSet<CertificateFiles>, String> {
        let dir_shown = dir.display();
        let mut found =
            folder::list(dir).map_err(|cause| format!("the folder {dir_shown} cannot be listed: {cause}"))?;
        let complaint = (found.len() > PAIRS_MAX).then(|| {
            format!("{dir_shown} holds {} certificates, only the first {PAIRS_MAX} are used", found.len())
        });
        self.complain(complaint);
        while found.len() > PAIRS_MAX {
            found.pop_last();
        }
        Ok(found)
    }

    fn complain(&mut self, complaint: Option<String>) {
        if let Some(complaint) =
            complaint.as_ref().filter(|complaint| self.complaint.as_ref() != Some(complaint))
        {
            warn!("Certificates: {complaint}");
        }
        self.complaint = complaint;
    }

    fn drop_missing(&mut self, found: &BTreeSet<CertificateFiles>) -> bool {
        let before = self.pairs.len();
        self.pairs.retain(|files, _| {
            let stays = found.contains(files);
            if !stays {
                info!("The certificate {} is gone, and not used any more", files.cert.display());
            }
            stays
        });
        self.pairs.len() != before
    }

    pub(super) fn index(&self) -> Index {
        let default = self.default.as_ref().and_then(|(_, held)| held.certificate.clone());
        Index::new(self.pairs.values().filter_map(|held| held.certificate.as_ref()), default)
    }

    pub(super) fn counts(&self) -> CertificateCounts {
        let mut counts = CertificateCounts::default();
        for held in self.pairs.values().chain(self.default.as_ref().map(|(_, held)| held)) {
            if let Some(certificate) = &held.certificate {
                counts.used += 1;
                let ends = certificate.ends().unix_secs();
                counts.first_end = Some(counts.first_end.map_or(ends, |first| first.min(ends)));
            }
            counts.faulty += u64::from(held.complaint.is_some());
        }
        counts
    }
}

impl Held {
    /// The default certificate at the start, which may be out of date: an edge that does not start at all is worse.
    fn open(files: &CertificateFiles, sessions: &Sessions) -> anyhow::Result<Self> {
        let certificate = Certificate::read(files, sessions)
            .context("the certificate of LOGGIA_PROXY_TLS_CERT and LOGGIA_PROXY_TLS_KEY cannot be used")?;
        Ok(Self { certificate: Some(Arc::new(certificate)), ..Self::default() })
    }

    /// True if there is another certificate now.
    fn look(&mut self, files: &CertificateFiles, sessions: &Sessions, now: Timestamp) -> bool {
        // Taken before the files are read: what changes meanwhile is seen at the next look.
        let stamp = Stamp::of(files, SystemTime::now());
        if stamp.is_some() && stamp == self.stamp {
            return false;
        }
        match usable(files, sessions, now) {
            Ok(certificate) => {
                (self.stamp, self.complaint) = (stamp, None);
                self.take(certificate, files)
            }
            Err(reason) => {
                self.stamp = None;
                self.complain(files, format!("{reason:#}"));
                false
            }
        }
    }

    fn take(&mut self, certificate: Certificate, files: &CertificateFiles) -> bool {
        if self.certificate.as_ref().is_some_and(|held| held.is_same(&certificate)) {
            return false;
        }
        let (names, ends) = (certificate.names(), certificate.ends().0);
        info!("The certificate {} is used for {names} until {ends}", files.cert.display());
        self.certificate = Some(Arc::new(certificate));
        true
    }

    fn complain(&mut self, files: &CertificateFiles, reason: String) {
        if self.complaint.as_ref() != Some(&reason) {
            let before = if self.certificate.is_some() { ", what it was before stays in use" } else { "" };
            warn!("The certificate {} cannot be used{before}: {reason}", files.cert.display());
        }
        self.complaint = Some(reason);
    }
}

/// A certificate that clients would accept now.
fn usable(files: &CertificateFiles, sessions: &Sessions, now: Timestamp) -> anyhow::Result<Certificate> {
    let certificate = Certificate::read(files, sessions)?;
    certificate.check_time(now).with_context(|| format!("{} is out of date", files.cert.display()))?;
    Ok(certificate)
}

#[cfg(test)]
pub(super) mod tests;
