//! Similarity of filters: exact Dice coefficient, the bound that popcounts give, and counting kernels.

mod simd;
mod tile;

pub use tile::{LANES, Share, Tile};

use std::ops::RangeInclusive;

/// Words per filter in a comparison are a multiple of this: one 512-bit vector.
pub const WORD_MULTIPLE: usize = 8;

/// The Dice coefficient 2c / (a + b) in double arithmetic, as the original computes it. Two empty
/// filters give NaN, which reaches no threshold.
#[must_use]
pub fn dice(common: u32, a: u32, b: u32) -> f64 {
    2.0 * f64::from(common) / (f64::from(a) + f64::from(b))
}

/// A threshold between 0 (not included) and 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Threshold(f64);

/// A number that is no threshold.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a threshold is above 0 and at most 1, not {0}")]
pub struct ThresholdError(pub f64);

impl Threshold {
    /// What both HiGHmed processes use.
    pub const HIGHMED: Threshold = Threshold(0.8);

    /// A threshold, inclusive.
    ///
    /// # Errors
    /// When it is not above 0 and at most 1.
    pub const fn new(value: f64) -> Result<Threshold, ThresholdError> {
        if value > 0.0 && value <= 1.0 { Ok(Threshold(value)) } else { Err(ThresholdError(value)) }
    }

    /// Its value.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }
}

/// Turns the comparison of scores with a threshold into one of integers, without a difference in any bit:
/// for every sum of popcounts the least number of common bits that reaches the threshold.
#[derive(Debug, Clone)]
pub struct Least(Vec<u32>);

impl Least {
    /// For filters of up to `bits` bits.
    #[must_use]
    pub fn new(threshold: Threshold, bits: u32) -> Least {
        let mut least = Vec::with_capacity(2 * bits as usize + 1);
        // Nothing reaches a threshold with an empty partner.
        least.push(u32::MAX);
        let mut common = 0_u32;
        for sum in 1..=2 * bits {
            // The needed number never falls when the sum grows.
            while 2.0 * f64::from(common) / f64::from(sum) < threshold.0 {
                common += 1;
            }
            least.push(common);
        }
        Least(least)
    }

    /// The least number of common bits for two popcounts.
    #[must_use]
    pub fn common(&self, a: u32, b: u32) -> u32 {
        self.0.get((a + b) as usize).copied().unwrap_or(u32::MAX)
    }

    /// The popcounts of partners with which a filter of `count` bits can reach the threshold at all;
    /// `None` for an empty filter. Loses nothing.
    #[must_use]
    pub fn partners(&self, count: u32) -> Option<RangeInclusive<u32>> {
        if count == 0 {
            return None;
        }
        let reaches = |other: &u32| self.common(count, *other) <= count.min(*other);
        let highest = u32::try_from(self.0.len() / 2).unwrap_or(u32::MAX);
        // On both sides of `count` it is reached near `count` and not beyond some point.
        let (mut low, mut high) = (count, count);
        let (mut below, mut above) = (1, highest);
        while below < low {
            let middle = below + (low - below) / 2;
            if reaches(&middle) { low = middle } else { below = middle + 1 }
        }
        while above > high {
            let middle = above - (above - high) / 2;
            if reaches(&middle) { high = middle } else { above = middle - 1 }
        }
        Some(low..=high)
    }
}

/// A way to count common bits. All ways give the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Way);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Kernel {
    /// The reference: no instructions beyond the target's base.
    pub const PORTABLE: Kernel = Kernel(Way::Portable);

    /// Every way that this machine can go, fastest first; the portable one is always last.
    #[must_use]
    pub fn available() -> Vec<Kernel> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if simd::has_avx512() {
                kernels.push(Kernel(Way::Avx512));
            }
            if simd::has_avx2() {
                kernels.push(Kernel(Way::Avx2));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if simd::has_neon() {
            kernels.push(Kernel(Way::Neon));
        }
        kernels.push(Kernel::PORTABLE);
        kernels
    }

    /// The fastest way that this machine can go.
    #[must_use]
    pub fn detect() -> Kernel {
        Kernel::available().first().copied().unwrap_or(Kernel::PORTABLE)
    }

    /// Its name, for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Way::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Way::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Way::Avx512 => "AVX-512 VPOPCNTDQ",
            #[cfg(target_arch = "aarch64")]
            Way::Neon => "NEON",
        }
    }

    /// Counts the common bits of one filter with each of many: `many` holds filters of `one.len()` words
    /// one after the other, `counts` gets a number for each. The shorter of both decides how many.
    pub fn common(self, one: &[u64], many: &[u64], counts: &mut [u32]) {
        match self.0 {
            Way::Portable => portable(one, many, counts),
            #[cfg(target_arch = "x86_64")]
            Way::Avx2 => simd::avx2(one, many, counts),
            #[cfg(target_arch = "x86_64")]
            Way::Avx512 => simd::avx512(one, many, counts),
            #[cfg(target_arch = "aarch64")]
            Way::Neon => simd::neon(one, many, counts),
        }
    }
}

impl Kernel {
    /// Compares filters with all those of a tile: `rows` holds filters as long as the tile's, one after the
    /// other, `needs` the need of each ([`Share::need`]). `hits` gets for each row [`Tile::blocks`] bytes,
    /// one per eight filters, the first filter in the lowest bit: set when the common bits, shifted, are no
    /// fewer than both needs together.
    ///
    /// # Panics
    /// When `hits` does not have a byte per row and block.
    pub fn reach(self, rows: &[u64], needs: &[u64], tile: &Tile, hits: &mut [u8]) {
        let whole = rows.len() == needs.len() * tile.words() && hits.len() == needs.len() * tile.blocks();
        assert!(whole, "rows, needs and hits are of one number of filters");
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::Avx2 => simd::avx2_reach(rows, needs, tile, hits),
            #[cfg(target_arch = "x86_64")]
            Way::Avx512 => simd::avx512_reach(rows, needs, tile, hits),
            // The compiler counts with NEON by itself: it is in the base of that target.
            _ => tile::portable(rows, needs, tile, hits),
        }
    }
}

/// Counts without special instructions.
fn portable(one: &[u64], many: &[u64], counts: &mut [u32]) {
    for (filter, count) in many.chunks_exact(one.len().max(1)).zip(counts) {
        *count = one.iter().zip(filter).map(|(a, b)| (a & b).count_ones()).sum();
    }
}
