//! A set of filters laid out for comparison: whole vectors, with popcounts.

use crate::dice::{LANES, WORD_MULTIPLE};
use crate::filters::FilterSet;

/// Filters one after the other, each a whole number of vectors long.
pub struct Prepared {
    /// Words of one filter.
    pub stride: usize,
    /// All words.
    pub words: Vec<u64>,
    /// Bits set in each filter.
    pub counts: Vec<u32>,
}

impl Prepared {
    /// Those of a set in the given order.
    pub fn new(set: &FilterSet, order: impl Iterator<Item = usize>) -> Prepared {
        let stride = set.words_per_filter().next_multiple_of(WORD_MULTIPLE);
        let mut prepared =
            Prepared { stride, words: Vec::with_capacity(stride * set.len()), counts: Vec::new() };
        for filter in order.filter_map(|index| set.get(index)) {
            prepared.push(filter);
        }
        prepared
    }

    /// Adds a filter at the end.
    pub fn push(&mut self, filter: &[u64]) {
        self.words.extend_from_slice(filter);
        self.words.resize(self.words.len().next_multiple_of(self.stride.max(1)), 0);
        self.counts.push(filter.iter().map(|word| word.count_ones()).sum());
    }

    /// Words of a filter.
    pub fn get(&self, index: usize) -> &[u64] {
        &self.words[index * self.stride..(index + 1) * self.stride]
    }

    /// Words of several filters.
    pub fn slice(&self, range: std::ops::Range<usize>) -> &[u64] {
        &self.words[range.start * self.stride..range.end * self.stride]
    }
}

/// The places that are set in a row of hits of a tile, in ascending order.
pub fn places(hits: &[u8]) -> impl Iterator<Item = usize> {
    // Nearly all bytes are 0.
    hits.iter().enumerate().filter(|(_, hit)| **hit != 0).flat_map(|(block, hit)| {
        (0..LANES).filter(move |lane| hit >> lane & 1 == 1).map(move |lane| block * LANES + lane)
    })
}
