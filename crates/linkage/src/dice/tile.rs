//! Filters laid out so that eight of them are compared with one at a time: word by word, a word of each of
//! the eight side by side. Their sums stay apart, so that nothing has to be added up across a vector, and a
//! comparison with the threshold takes no division.

use super::Threshold;

/// Filters side by side: 64-bit words in the widest vector.
pub const LANES: usize = 8;

/// A word of each of [`LANES`] filters, or a number for each.
pub type Lanes = [u64; LANES];

/// Binary digits behind the point of a [`Share`].
pub(super) const SHIFT: u32 = 24;
/// A need that no filter meets, far from an overflow when another is added.
const NEVER: u64 = 1 << 62;

/// A threshold as an integer that is at most by 2⁻²⁴ too small: what reaches the threshold reaches it, too.
/// What reaches it is compared again exactly; nearly nothing of that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    /// For a threshold.
    #[must_use]
    pub fn new(threshold: Threshold) -> Share {
        // Exact but for the digits that are cut: a power of two, and at most 2^24.
        Share((threshold.value() * f64::from(1_u32 << SHIFT)).floor() as u64)
    }

    /// The part of a filter with so many bits in what a pair needs.
    #[must_use]
    pub fn need(self, count: u32) -> u64 {
        self.0 * u64::from(count)
    }
}

/// Some filters side by side.
#[derive(Debug, Default, Clone)]
pub struct Tile {
    words: usize,
    lanes: Vec<Lanes>,
    needs: Vec<Lanes>,
}

impl Tile {
    /// Fills the tile anew with filters of `words` words, one after the other, which have `counts` bits.
    pub fn fill(&mut self, words: usize, filters: &[u64], counts: &[u32], share: Share) {
        self.words = words;
        self.lanes.clear();
        self.needs.clear();
        let eight = filters.chunks(LANES * words.max(1)).zip(counts.chunks(LANES));
        for (filters, counts) in eight {
            let start = self.lanes.len();
            self.lanes.resize(start + words, [0; LANES]);
            for (lane, filter) in filters.chunks_exact(words).enumerate() {
                for (to, word) in self.lanes[start..].iter_mut().zip(filter) {
                    to[lane] = *word;
                }
            }
            let mut needs = [NEVER; LANES];
            needs.iter_mut().zip(counts).for_each(|(need, count)| *need = share.need(*count));
            self.needs.push(needs);
        }
    }

    /// Number of groups of [`LANES`] filters; the last one may have empty places.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.needs.len()
    }

    /// Words of a filter.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// The words and needs of each group.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[Lanes], &Lanes)> {
        self.lanes.chunks_exact(self.words.max(1)).zip(&self.needs)
    }
}

/// [`super::Kernel::reach`] without special instructions.
pub(super) fn portable(rows: &[u64], needs: &[u64], tile: &Tile, hits: &mut [u8]) {
    let blocks = tile.blocks().max(1);
    let rows = rows.chunks_exact(tile.words().max(1)).zip(needs);
    for ((row, need), hits) in rows.zip(hits.chunks_exact_mut(blocks)) {
        for ((lanes, others), hit) in tile.iter().zip(hits) {
            let mut sums: Lanes = [0; LANES];
            for (one, many) in row.iter().zip(lanes) {
                for (sum, other) in sums.iter_mut().zip(many) {
                    *sum += u64::from((one & other).count_ones());
                }
            }
            *hit = sums
                .iter()
                .zip(others)
                .enumerate()
                .map(|(lane, (sum, other))| u8::from(sum << (SHIFT + 1) >= need + other) << lane)
                .sum();
        }
    }
}
