//! A deployment, ready to answer: its manifest with the rules indexed.

use loggia_types::Manifest;

use crate::matching::{Headers, Redirects};

/// Made once per deployment, shared by all requests, never changed.
#[derive(Debug)]
pub struct Site {
    manifest: Manifest,
    redirects: Redirects,
    headers: Headers,
}

impl Site {
    pub fn open(mut manifest: Manifest) -> Self {
        let rules = manifest.take_rules();
        let redirects = Redirects::new(rules.redirects, manifest.facts().dialect);
        Self { redirects, headers: Headers::new(rules.headers), manifest }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn redirects(&self) -> &Redirects {
        &self.redirects
    }

    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Bytes on the heap, for cache budgets.
    pub fn heap_bytes(&self) -> usize {
        self.manifest.heap_bytes() + self.redirects.heap_bytes() + self.headers.heap_bytes()
    }
}
