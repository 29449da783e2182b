//! The `_headers` blocks that a request meets, and what they do to the answer's headers.

use std::collections::HashMap;

use http::HeaderMap;
use loggia_types::build::Environment;
use loggia_types::rules::{HeaderRule, HeaderScope, PathPattern};

use super::blocks::{Block, Scope};
use super::index::Index;
use super::{Protection, RuleRequest};

/// A manifest's header blocks, indexed.
#[derive(Debug)]
pub struct Headers {
    blocks: Vec<Block>,
    urls: Index,
    files: Index,
    /// The blocks that ask for credentials.
    protecting: HeaderMatches,
    /// How many names the blocks set or remove.
    names: usize,
    /// A block beyond [`BLOCKS_MAX`] asks for credentials, and nobody can tell any more for which paths.
    refuses_all: bool,
}

/// More fail the deployment (`docs/BEHAVIOR.md` §3), so 512 bits are room for all there are.
const BLOCKS_MAX: usize = 512;

/// The blocks that a request meets, by its URL alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeaderMatches {
    bits: [u64; BLOCKS_MAX / 64],
}

/// What is known once there is an answer.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    pub environment: Environment,
    pub status: u16,
    /// The file that is sent, without a leading slash; also that of a 404 page.
    pub file: Option<&'a str>,
    /// The hostname is a subdomain of ours, where `includeSubDomains` would bind other people's sites.
    pub is_platform_host: bool,
}

impl Headers {
    /// `rules` in file order.
    pub fn new(mut rules: Vec<HeaderRule>) -> Self {
        let beyond = rules.split_off(rules.len().min(BLOCKS_MAX));
        let mut names = HashMap::new();
        let mut protecting = HeaderMatches::default();
        for (number, _) in (0..).zip(&rules).filter(|(_, rule)| !rule.credentials.is_empty()) {
            protecting.insert(number);
        }
        Self {
            urls: Index::new(numbered(&rules, |scope| match scope {
                HeaderScope::Url(url) => Some(&url.path),
                HeaderScope::File(_) => None,
            })),
            files: Index::new(numbered(&rules, |scope| match scope {
                HeaderScope::Url(_) => None,
                HeaderScope::File(path) => Some(path),
            })),
            blocks: rules.into_iter().map(|rule| Block::new(rule, &mut names)).collect(),
            protecting,
            names: names.len(),
            refuses_all: beyond.iter().any(|rule| !rule.credentials.is_empty()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// An estimate, for the limit of the manifest cache.
    pub fn heap_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| size_of::<Block>() + block.heap_bytes()).sum();
        blocks + self.urls.heap_bytes() + self.files.heap_bytes()
    }

    /// The blocks whose URL pattern matches. Allocates nothing.
    pub fn matching(&self, request: &RuleRequest<'_>) -> HeaderMatches {
        let mut matches = HeaderMatches::default();
        for number in self.urls.candidates(request.path) {
            if self.block(number).is_some_and(|block| block.matches_url(request)) {
                matches.insert(number);
            }
        }
        matches
    }

    /// Who is let in at this URL. Asked before anything else is done for the request.
    ///
    /// A block that is narrowed by `[status=…]` protects whatever the status will be: it is not known yet.
    pub fn credentials(&self, matches: &HeaderMatches, environment: Environment) -> Protection<'_> {
        let mut protecting = matches.and(&self.protecting);
        for number in protecting.numbers() {
            if !self.block(number).is_some_and(|block| block.is_for(environment)) {
                protecting.remove(number);
            }
        }
        Protection::new(self, protecting)
    }

    /// Who is let in to a file, however it was come by: through a rewrite, as the application's shell, or below
    /// another spelling of its URL. Asked once the file is known, before a byte of it is sent.
    pub fn file_credentials(
        &self,
        request: &RuleRequest<'_>,
        file: &str,
        environment: Environment,
    ) -> Protection<'_> {
        if self.protecting.is_empty() && !self.refuses_all {
            return Protection::new(self, HeaderMatches::default());
        }
        let page = file.strip_suffix(".html").unwrap_or(file);
        let folder = page.strip_suffix("index").filter(|folder| folder.is_empty() || folder.ends_with('/'));
        let mut matches = self.matching_file(file);
        for path in [file, page, folder.unwrap_or(file)] {
            matches = matches.or(&self.matching(&RuleRequest { path, ..*request }));
        }
        self.credentials(&matches, environment)
    }

    /// Does to `headers`, which hold the system's values, what the matching blocks say.
    pub fn apply(
        &self,
        matches: &HeaderMatches,
        answered: &Answered<'_>,
        request: &RuleRequest<'_>,
        headers: &mut HeaderMap,
    ) {
        let files = answered.file.map(|file| self.matching_file(file)).unwrap_or_default();
        let mut written = NameSet::default();
        for number in matches.or(&files).numbers() {
            let Some(block) = self.block(number) else { continue };
            if block.is_for(answered.environment) && block.is_for_status(answered.status) {
                written.make_room(self.names);
                block.apply(answered, request, headers, &mut written);
            }
        }
    }

    pub(super) fn block(&self, number: u32) -> Option<&Block> {
        self.blocks.get(number as usize)
    }

    pub(super) fn refuses_all(&self) -> bool {
        self.refuses_all
    }

    fn matching_file(&self, file: &str) -> HeaderMatches {
        let mut matches = HeaderMatches::default();
        for number in self.files.candidates(file) {
            if let Some(Scope::File(path)) = self.block(number).map(Block::scope)
                && path.matches(file)
            {
                matches.insert(number);
            }
        }
        matches
    }
}

fn numbered<'p>(
    rules: &'p [HeaderRule],
    path: impl Fn(&'p HeaderScope) -> Option<&'p PathPattern>,
) -> impl Iterator<Item = (u32, &'p PathPattern)> {
    (0..).zip(rules).filter_map(move |(number, rule)| Some((number, path(&rule.scope)?)))
}

impl HeaderMatches {
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|word| *word == 0)
    }

    /// In file order.
    pub(super) fn numbers(self) -> BlockNumbers {
        BlockNumbers { bits: self.bits, at: 0 }
    }

    fn insert(&mut self, number: u32) {
        if let Some(word) = self.bits.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn remove(&mut self, number: u32) {
        if let Some(word) = self.bits.get_mut(number as usize / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    fn and(mut self, other: &Self) -> Self {
        self.bits.iter_mut().zip(other.bits).for_each(|(word, other)| *word &= other);
        self
    }

    fn or(mut self, other: &Self) -> Self {
        self.bits.iter_mut().zip(other.bits).for_each(|(word, other)| *word |= other);
        self
    }
}

#[derive(Debug)]
pub(super) struct BlockNumbers {
    bits: [u64; BLOCKS_MAX / 64],
    at: u32,
}

impl Iterator for BlockNumbers {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let word = self.bits.get_mut(self.at as usize)?;
            if *word != 0 {
                let bit = word.trailing_zeros();
                *word &= *word - 1;
                return Some(self.at * 64 + bit);
            }
            self.at += 1;
        }
    }
}

/// The header names that a block has set in this answer and none has removed since.
#[derive(Debug, Default)]
pub(super) struct NameSet(Vec<u64>);

impl NameSet {
    fn make_room(&mut self, names: usize) {
        self.0.resize(names.div_ceil(64), 0);
    }

    /// Whether it was there already.
    pub(super) fn insert(&mut self, name: usize) -> bool {
        let Some(word) = self.0.get_mut(name / 64) else { return false };
        let was_there = *word & (1 << (name % 64)) != 0;
        *word |= 1 << (name % 64);
        was_there
    }

    pub(super) fn remove(&mut self, name: usize) {
        if let Some(word) = self.0.get_mut(name / 64) {
            *word &= !(1 << (name % 64));
        }
    }
}
