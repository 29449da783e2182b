//! What an upload would find out about one content, kept on this machine: for looking at a site before it is
//! deployed.

use std::path::Path;

use futures::future::try_join_all;
use loggia_storage::StoreError;
use loggia_types::ContentHash;
use loggia_types::manifest::{Coding, NewEntry, NewVariant};

use crate::levels::Effort;
use crate::upload::{Compressors, Findings, find_link, is_compressed, make_variant};

/// Findings, and the bytes of the variants in their order.
#[derive(Debug, Default)]
pub struct Explored {
    pub findings: Findings,
    pub bytes: Vec<Vec<u8>>,
}

/// Finds out what an upload would. `entry` is the one whose content would be sent: the first of its content.
///
/// With [`Effort::Quick`] variants are larger than a deployment's, but there are the same ones. `None`: none are made.
pub async fn explore(
    compressors: &Compressors,
    entry: &NewEntry,
    file: &Path,
    effort: Option<Effort>,
) -> Result<Explored, StoreError> {
    let effort = effort.filter(|_| is_compressed(entry));
    let jobs = effort.into_iter().flat_map(|effort| Coding::ALL.map(|coding| (coding, effort)));
    let variants = jobs.map(async |(coding, effort)| {
        let made = make_variant(compressors, entry, file, coding, effort).await?;
        Ok(made.map(|bytes| (coding, bytes)))
    });
    let (variants, link) = futures::try_join!(try_join_all(variants), find_link(compressors, entry, file))?;
    let mut explored = Explored { findings: Findings { variants: Vec::new(), link }, bytes: Vec::new() };
    for (coding, bytes) in variants.into_iter().flatten() {
        let Ok(size) = u32::try_from(bytes.len()) else { continue };
        explored.findings.variants.push(NewVariant { coding, size, hash: ContentHash::of(&bytes) });
        explored.bytes.push(bytes);
    }
    Ok(explored)
}
