//! Optional blocking: only records that agree in all bits of some sample are compared (Hamming LSH).
//!
//! It loses pairs, and says how many to expect. Without it everything is compared, which is right up to
//! about 10^11 pairs (record-linkage.md 11).

use super::Watch;
use super::site_unique::{Candidate, Site};
use crate::bits::WORD;
use crate::dice::Threshold;

/// Most bits of a sample: a key is one word.
pub const MAX_SAMPLE: usize = 64;
/// Most tables.
pub const MAX_TABLES: usize = 1000;
/// Bits set in less or more of the filters (in percent) tell little apart and are not sampled.
const DENSITY_PERCENT: std::ops::RangeInclusive<usize> = 5..=95;

/// Tables of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocking {
    /// Number of tables. More find more and cost more.
    pub tables: usize,
    /// Bits of a sample. More make blocks smaller and lose more.
    pub sample: usize,
    /// Seed of the choice of bits. Not a secret.
    pub seed: u64,
}

/// Blocking that cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// Out of bounds.
    #[error("blocking takes 1 to {MAX_TABLES} tables of 1 to {MAX_SAMPLE} bits")]
    Bounds,
    /// Too few bits tell the filters apart.
    #[error("only {0} bits are set in 5 to 95 percent of the filters, fewer than a sample needs")]
    TooFewBits(usize),
    /// Too many pairs share a block.
    #[error("more than {MAX_PAIRS} pairs share a block: take larger samples")]
    TooManyPairs,
}

/// Most pairs that may share a block, over all sites (8 bytes each).
pub const MAX_PAIRS: usize = 200_000_000;

/// What blocking is expected to have lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockingReport {
    /// Pairs that shared a block.
    pub pairs: u64,
    /// Chance to miss a pair just at the threshold, for filters of mean popcount.
    pub loss_at_threshold: f64,
    /// Expected share of pairs at or above the threshold that were missed, estimated from those found.
    pub expected_loss: f64,
}

/// Pairs that share a block, by sites.
pub(super) struct Buckets {
    blocking: Blocking,
    /// Bits that samples are taken from.
    eligible: usize,
    /// Those bits, one flag per bit, as words.
    mask: Vec<u64>,
    pairs: Vec<SitePairs>,
}

/// Two sites, and the pairs of places that share a block.
type SitePairs = ((usize, usize), Vec<(u32, u32)>);

/// A generator for public choices (splitmix64).
struct Choice(u64);

impl Choice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

impl Buckets {
    pub fn new(
        blocking: &Blocking,
        sites: &[Site],
        bits: u32,
        watch: &Watch,
    ) -> Result<Buckets, BlockingError> {
        if !(1..=MAX_TABLES).contains(&blocking.tables) || !(1..=MAX_SAMPLE).contains(&blocking.sample) {
            return Err(BlockingError::Bounds);
        }
        let filters: usize = sites.iter().map(|site| site.filters.counts.len()).sum();
        let set = set_bits(sites, bits as usize);
        let told = |count: usize| filters > 0 && DENSITY_PERCENT.contains(&(count * 100 / filters));
        let eligible: Vec<usize> = (0..set.len()).filter(|bit| told(set[*bit])).collect();
        if filters > 0 && eligible.len() < blocking.sample {
            return Err(BlockingError::TooFewBits(eligible.len()));
        }
        let mut mask = vec![0; (bits as usize).div_ceil(WORD)];
        eligible.iter().for_each(|bit| mask[bit / WORD] |= 1 << (bit % WORD));
        let mut buckets = Buckets { blocking: *blocking, eligible: eligible.len(), mask, pairs: Vec::new() };
        buckets.fill(sites, &eligible, watch)?;
        Ok(buckets)
    }

    fn fill(&mut self, sites: &[Site], eligible: &[usize], watch: &Watch) -> Result<(), BlockingError> {
        let mut choice = Choice(self.blocking.seed);
        let mut total = 0;
        for second in 0..sites.len() {
            for first in 0..second {
                self.pairs.push(((first, second), Vec::new()));
            }
        }
        let records: u64 = sites.iter().map(|site| site.filters.counts.len() as u64).sum();
        watch.expect(records * self.blocking.tables as u64);
        for _ in 0..self.blocking.tables {
            // The caller sees that it was stopped.
            if watch.is_stopped() {
                break;
            }
            let mut left = eligible.to_vec();
            let sample: Vec<usize> = (0..self.blocking.sample.min(left.len()))
                .map(|_| left.swap_remove(choice.below(left.len())))
                .collect();
            let keys: Vec<Vec<(u64, u32)>> = sites.iter().map(|site| keys(site, &sample)).collect();
            for ((first, second), pairs) in &mut self.pairs {
                let known = pairs.len();
                join(&keys[*first], &keys[*second], MAX_PAIRS.saturating_sub(total), pairs)?;
                // A pair often shares more than one block. The stable sort merges what is in order already.
                pairs[known..].sort_unstable();
                pairs.sort();
                pairs.dedup();
                total += pairs.len() - known;
            }
            watch.add(records);
        }
        Ok(())
    }

    /// The pairs of two sites, as places.
    pub fn pairs(&self, first: usize, second: usize) -> &[(u32, u32)] {
        let of = self.pairs.iter().find(|(sites, _)| *sites == (first, second));
        of.map_or(&[], |(_, pairs)| pairs)
    }

    /// Chance that a pair which differs in `distance` of the eligible bits shares no block.
    fn loss(&self, distance: f64) -> f64 {
        let agree = (1.0 - distance / self.eligible.max(1) as f64).clamp(0.0, 1.0);
        let one_table = agree.powi(i32::try_from(self.blocking.sample).unwrap_or(i32::MAX));
        (1.0 - one_table).powi(i32::try_from(self.blocking.tables).unwrap_or(i32::MAX))
    }

    pub fn report(&self, candidates: &[Candidate], sites: &[Site], threshold: Threshold) -> BlockingReport {
        // Each found pair stands for those like it that were missed: 1 / (chance to be found).
        let mut estimated = 0.0;
        for candidate in candidates {
            let of = |(site, place): (u32, u32)| sites[site as usize].filters.get(place as usize);
            let both = of(candidate.first).iter().zip(of(candidate.second)).zip(&self.mask);
            let distance: u32 = both.map(|((a, b), mask)| ((a ^ b) & mask).count_ones()).sum();
            estimated += 1.0 / (1.0 - self.loss(f64::from(distance))).max(f64::EPSILON);
        }
        let counts = || sites.iter().flat_map(|site| site.filters.counts.iter());
        let mean = counts().map(|count| f64::from(*count)).sum::<f64>() / counts().count().max(1) as f64;
        let found = candidates.len() as f64;
        BlockingReport {
            pairs: self.pairs.iter().map(|(_, pairs)| pairs.len() as u64).sum(),
            loss_at_threshold: self.loss(2.0 * mean * (1.0 - threshold.value())),
            expected_loss: if estimated > 0.0 { 1.0 - found / estimated } else { 0.0 },
        }
    }
}

/// For every bit the number of filters in which it is set.
fn set_bits(sites: &[Site], bits: usize) -> Vec<usize> {
    let mut set = vec![0; bits];
    for site in sites {
        let stride = site.filters.stride.max(1);
        for some in site.filters.words.chunks(stride * MOST_IN_PLANES) {
            // Each word has 64 counters beside each other; their binary digits are in one plane each.
            let mut planes = vec![[0_u64; PLANES]; stride];
            for filter in some.chunks_exact(stride) {
                for (planes, word) in planes.iter_mut().zip(filter) {
                    let mut carry = *word;
                    for plane in planes {
                        (*plane, carry) = (*plane ^ carry, *plane & carry);
                    }
                }
            }
            for (bit, count) in set.iter_mut().enumerate() {
                let planes = &planes[bit / WORD];
                let digit = |plane: usize| (planes[plane] >> (bit % WORD) & 1) << plane;
                *count += (0..PLANES).map(digit).sum::<u64>() as usize;
            }
        }
    }
    set
}

/// Digits of a counter, and what it can count.
const PLANES: usize = 8;
const MOST_IN_PLANES: usize = (1 << PLANES) - 1;

/// Sample and place of every filter, in order of samples.
fn keys(site: &Site, sample: &[usize]) -> Vec<(u64, u32)> {
    let mut keys: Vec<(u64, u32)> = (0..site.filters.counts.len())
        .map(|place| {
            let words = site.filters.get(place);
            let key = sample.iter().fold(0, |key, bit| key << 1 | (words[bit / WORD] >> (bit % WORD) & 1));
            (key, place as u32)
        })
        .collect();
    keys.sort_unstable();
    keys
}

/// Pairs with equal keys.
fn join(
    a: &[(u64, u32)],
    b: &[(u64, u32)],
    room: usize,
    pairs: &mut Vec<(u32, u32)>,
) -> Result<(), BlockingError> {
    let before = pairs.len();
    let mut rest = b;
    for block in a.chunk_by(|x, y| x.0 == y.0) {
        let key = block[0].0;
        rest = &rest[rest.partition_point(|other| other.0 < key)..];
        let partners = &rest[..rest.partition_point(|other| other.0 == key)];
        if (pairs.len() - before) + block.len().saturating_mul(partners.len()) > room {
            return Err(BlockingError::TooManyPairs);
        }
        pairs.extend(block.iter().flat_map(|x| partners.iter().map(|y| (x.1, y.1))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use rand::{Rng as _, SeedableRng as _};

    use super::*;
    use crate::encode::wire_header;
    use crate::filters::{FilterSet, Header};
    use crate::profile::WireProfile;

    #[test]
    fn bits_are_counted_over_many_filters() {
        let mut random = rand::rngs::StdRng::seed_from_u64(3);
        let header = Header { bits: 100, ..wire_header(WireProfile::Stub1) };
        // More than a counter holds, less than two of it, and none.
        let sites: Vec<Site> = [600, 300, 0]
            .map(|records| {
                let mut set = FilterSet::new(header.clone());
                for _ in 0..records {
                    let words: [u64; 2] =
                        [u64::MAX - random.random_range(0..3), random.random::<u64>() >> 28];
                    set.extend_from_bytes(&words.map(u64::to_le_bytes).concat()).unwrap();
                }
                Site::new(0, &set)
            })
            .into();
        let is_set =
            |site: &Site, place: usize, bit: usize| site.filters.get(place)[bit / WORD] >> (bit % WORD) & 1;
        let by_hand = |bit: usize| -> u64 {
            let of = |site: &Site| {
                (0..site.filters.counts.len()).map(|place| is_set(site, place, bit)).sum::<u64>()
            };
            sites.iter().map(of).sum()
        };
        let expected: Vec<usize> = (0..100).map(|bit| by_hand(bit) as usize).collect();
        assert_eq!(set_bits(&sites, 100), expected);
        assert_eq!(expected[50], 900);
    }
}
