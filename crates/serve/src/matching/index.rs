//! Which patterns may match a path at all, in their order.
//!
//! A pattern without names is found by hashing the path. The others stand in buckets by the whole segments they
//! begin with (`blog/2024` for `/blog/2024/:slug`), so a path looks only into the buckets of its own ancestors.

use std::collections::HashMap;

use foldhash::quality::RandomState;
use loggia_types::rules::{Part, PathPattern};

use super::gate::{Gate, Probe};

/// A pattern has at most 25 segments, and every depth may hold one bucket to look at.
const DEPTH_MAX: usize = 25;
/// The buckets of all depths, the one without a prefix, and the two of patterns that are found by their hash.
const CHAINS_MAX: usize = DEPTH_MAX + 3;
const END: u32 = u32::MAX;

/// Chains of pattern numbers, each in rising order. Hashes are seeded: tenants choose keys.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: Chains,
    /// By the path without a slash at its end.
    lenient: Chains,
    prefixes: Chains,
    /// The patterns that begin with a name, a splat, or a part of a segment.
    open: Option<Chain>,
    /// Bit `n`: some prefix has `n` segments.
    depths: u32,
    prefix_len_max: usize,
    /// By pattern number.
    links: Vec<Link>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    /// In the chain.
    next: u32,
    gate: Gate,
}

type Chains = HashMap<Box<str>, Chain, RandomState>;

#[derive(Debug, Clone, Copy)]
struct Chain {
    first: u32,
    last: u32,
}

impl Index {
    /// `patterns` with their numbers, which rise.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = (u32, &'p PathPattern)>) -> Self {
        let mut index = Self::default();
        for (number, pattern) in patterns {
            index.links.resize(number as usize + 1, Link { next: END, gate: Gate::OPEN });
            index.insert(number, pattern);
        }
        index
    }

    fn insert(&mut self, number: u32, pattern: &PathPattern) {
        if let (false, Some(link)) = (is_literal(pattern), self.links.last_mut()) {
            link.gate = Gate::new(pattern, &self.hasher);
        }
        let links = &mut self.links;
        match literal(pattern) {
            Some(path) if pattern.lenient => {
                append(self.lenient.entry(without_last_slash(&path).into()), number, links);
            }
            Some(path) => append(self.exact.entry(path.into()), number, links),
            None => match first_segments(pattern) {
                Some(prefix) => {
                    self.depths |= 1 << depth(&prefix);
                    self.prefix_len_max = self.prefix_len_max.max(prefix.len());
                    append(self.prefixes.entry(prefix.into()), number, links);
                }
                None => {
                    let chain = self.open.get_or_insert(Chain { first: number, last: number });
                    chain.push(number, links);
                }
            },
        }
    }

    /// The patterns to look at, in rising order. Those of [`is_literal`] need no second look.
    pub(super) fn candidates(&self, path: &str) -> Candidates<'_> {
        let mut candidates = Candidates { links: &self.links, probe: None, heads: [END; CHAINS_MAX], len: 0 };
        candidates.add(self.open);
        if self.depths != 0 {
            self.add_prefixes(path, &mut candidates);
        }
        if candidates.len > 0 {
            candidates.probe = Some(Probe::new(path, &self.hasher));
        }
        if !self.exact.is_empty() {
            candidates.add(self.exact.get(path).copied());
        }
        if !self.lenient.is_empty() {
            candidates.add(self.lenient.get(without_last_slash(path)).copied());
        }
        candidates
    }

    fn add_prefixes(&self, path: &str, candidates: &mut Candidates<'_>) {
        let slashes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at);
        let ends = slashes.chain([path.len()]).take_while(|end| *end <= self.prefix_len_max);
        for (end, depth) in ends.zip(1..=DEPTH_MAX) {
            if self.depths & (1 << depth) != 0 {
                candidates.add(self.prefixes.get(&path[..end]).copied());
            }
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let keys: usize = [&self.exact, &self.lenient, &self.prefixes]
            .iter()
            .flat_map(|chains| chains.keys())
            .map(|key| key.len() + size_of::<(Box<str>, Chain)>() * 2)
            .sum();
        keys + self.links.len() * size_of::<Link>()
    }
}

impl Chain {
    fn push(&mut self, number: u32, links: &mut [Link]) {
        if let (true, Some(link)) = (self.last != number, links.get_mut(self.last as usize)) {
            link.next = number;
            self.last = number;
        }
    }
}

fn append(entry: std::collections::hash_map::Entry<'_, Box<str>, Chain>, number: u32, links: &mut [Link]) {
    entry.or_insert(Chain { first: number, last: number }).push(number, links);
}

/// Merges the chains that a path leads to, without what their gates turn away.
#[derive(Debug)]
pub(super) struct Candidates<'x> {
    links: &'x [Link],
    /// Only made when there is a pattern with a gate.
    probe: Option<Probe>,
    heads: [u32; CHAINS_MAX],
    len: usize,
}

impl Candidates<'_> {
    fn add(&mut self, chain: Option<Chain>) {
        if let (Some(chain), Some(head)) = (chain, self.heads.get_mut(self.len)) {
            *head = chain.first;
            self.len += 1;
        }
    }

    fn admits(&self, link: &Link) -> bool {
        self.probe.as_ref().is_none_or(|probe| link.gate.admits(probe))
    }
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let heads = self.heads.get(..self.len)?;
            let (at, number) = heads.iter().copied().enumerate().min_by_key(|(_, head)| *head)?;
            let link = self.links.get(number as usize)?;
            self.heads[at] = link.next;
            if link.next == END {
                self.len -= 1;
                self.heads.swap(at, self.len);
            }
            if self.admits(link) {
                return Some(number);
            }
        }
    }
}

/// Whether the index alone decides that such a pattern matches.
pub(super) fn is_literal(pattern: &PathPattern) -> bool {
    pattern.parts.iter().all(|part| matches!(part, Part::Text(_)))
}

fn literal(pattern: &PathPattern) -> Option<String> {
    is_literal(pattern).then(|| leading_text(pattern))
}

fn leading_text(pattern: &PathPattern) -> String {
    let texts = pattern.parts.iter().map_while(|part| match part {
        Part::Text(text) => Some(&**text),
        Part::Name(_) | Part::Splat => None,
    });
    texts.collect()
}

/// The whole segments, at most [`DEPTH_MAX`], before the first name or splat.
fn first_segments(pattern: &PathPattern) -> Option<String> {
    let mut text = leading_text(pattern);
    let end = text.match_indices('/').take(DEPTH_MAX).last()?.0;
    text.truncate(end);
    Some(text)
}

fn depth(prefix: &str) -> usize {
    prefix.split('/').count()
}

fn without_last_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}
