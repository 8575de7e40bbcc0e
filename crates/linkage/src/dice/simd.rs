//! Counting kernels with vector instructions, chosen at run time. The only module with `unsafe`.
//!
//! Each public function is safe: it checks for its instructions itself (the check is a cached load) and
//! falls back to the portable kernel without them, and it hands only whole vectors inside the given
//! slices to the kernels.
#![allow(unsafe_code, reason = "vector loads, and calls of functions that need CPU features")]

use super::portable;

/// Whole filters in `many` that have a place in `counts`, or `None` when `one` is not a whole number of
/// vectors of `lanes` words.
fn whole(one: &[u64], many: &[u64], counts: &[u32], lanes: usize) -> Option<usize> {
    if one.is_empty() || !one.len().is_multiple_of(lanes) {
        return None;
    }
    Some((many.len() / one.len()).min(counts.len()))
}

#[cfg(target_arch = "x86_64")]
pub use x86::{avx2, avx2_reach, avx512, avx512_reach, has_avx2, has_avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm_add_epi64, _mm_cvtsi128_si64, _mm_unpackhi_epi64, _mm256_add_epi8,
        _mm256_add_epi64, _mm256_and_si256, _mm256_castsi256_pd, _mm256_cmpgt_epi64,
        _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_movemask_pd, _mm256_sad_epu8, _mm256_set1_epi8,
        _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi64,
        _mm256_srli_epi16, _mm256_storeu_si256, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpge_epu64_mask,
        _mm512_cvtepi64_epi32, _mm512_loadu_si512, _mm512_popcnt_epi64, _mm512_reduce_add_epi64,
        _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_slli_epi64,
        _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
    };

    use super::{portable, whole};
    use crate::dice::tile::{self, Lanes, SHIFT, Tile};

    /// Words in a 512-bit vector.
    const LANES_512: usize = 8;
    /// Words in a 256-bit vector.
    const LANES_256: usize = 4;

    /// Vectors whose bits can be added up in bytes: each adds up to 8, and 31 times 8 is below 256.
    const BYTE_SUMS: usize = 31;

    /// Whether the machine counts bits in 512-bit vectors.
    pub fn has_avx512() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq")
    }

    /// Whether the machine has 256-bit vectors.
    pub fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
    }

    /// [`super::portable`] with 512-bit vectors.
    pub fn avx512(one: &[u64], many: &[u64], counts: &mut [u32]) {
        match whole(one, many, counts, LANES_512) {
            Some(filters) if has_avx512() => {
                // SAFETY: the features of the function were detected just now.
                unsafe { avx512_kernel(one, &many[..filters * one.len()], &mut counts[..filters]) }
            }
            _ => portable(one, many, counts),
        }
    }

    /// [`super::portable`] with 256-bit vectors.
    pub fn avx2(one: &[u64], many: &[u64], counts: &mut [u32]) {
        match whole(one, many, counts, LANES_256) {
            Some(filters) if has_avx2() => {
                // SAFETY: the feature of the function was detected just now.
                unsafe { avx2_kernel(one, &many[..filters * one.len()], &mut counts[..filters]) }
            }
            _ => portable(one, many, counts),
        }
    }

    /// Rows that share each load of a tile with 512-bit vectors.
    const ROWS_512: usize = 4;
    /// The same with 256-bit vectors, of which there are fewer.
    const ROWS_256: usize = 2;

    /// [`tile::portable`] with 512-bit vectors.
    pub fn avx512_reach(rows: &[u64], needs: &[u64], tile: &Tile, hits: &mut [u8]) {
        if has_avx512() {
            // SAFETY: the features of the function were detected just now.
            unsafe { avx512_tile(rows, needs, tile, hits) }
        } else {
            tile::portable(rows, needs, tile, hits);
        }
    }

    /// [`tile::portable`] with 256-bit vectors.
    pub fn avx2_reach(rows: &[u64], needs: &[u64], tile: &Tile, hits: &mut [u8]) {
        if has_avx2() {
            // SAFETY: the feature of the function was detected just now.
            unsafe { avx2_tile(rows, needs, tile, hits) }
        } else {
            tile::portable(rows, needs, tile, hits);
        }
    }

    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    fn avx512_tile(rows: &[u64], needs: &[u64], tile: &Tile, hits: &mut [u8]) {
        let (words, blocks) = (tile.words(), tile.blocks());
        if words == 0 || blocks == 0 {
            return;
        }
        let (four, last) = needs.as_chunks::<ROWS_512>();
        let (rows, last_rows) = rows.split_at(four.len() * ROWS_512 * words);
        let (hits, last_hits) = hits.split_at_mut(four.len() * ROWS_512 * blocks);
        let several = rows.chunks_exact(ROWS_512 * words).zip(hits.chunks_exact_mut(ROWS_512 * blocks));
        for ((rows, hits), needs) in several.zip(four) {
            avx512_rows(rows, needs, tile, hits);
        }
        let each = last_rows.chunks_exact(words).zip(last_hits.chunks_exact_mut(blocks));
        for ((row, hits), need) in each.zip(last) {
            avx512_rows(row, &[*need], tile, hits);
        }
    }

    /// `R` rows: each vector of the tile is loaded once for all of them, each word of a row comes to all
    /// lanes with the load.
    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    fn avx512_rows<const R: usize>(rows: &[u64], needs: &[u64; R], tile: &Tile, hits: &mut [u8]) {
        let (words, blocks) = (tile.words(), tile.blocks());
        let rows: [&[u64]; R] = std::array::from_fn(|row| &rows[row * words..][..words]);
        for (block, (lanes, others)) in tile.iter().enumerate() {
            let lanes = &lanes[..words];
            let mut sums = [_mm512_setzero_si512(); R];
            for word in 0..words {
                let many = load_512(&lanes[word]);
                for (row, sum) in rows.iter().zip(&mut sums) {
                    let common = _mm512_and_si512(_mm512_set1_epi64(row[word] as i64), many);
                    *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(common));
                }
            }
            let others = load_512(others);
            for (row, (sum, need)) in sums.iter().zip(needs).enumerate() {
                let need = _mm512_add_epi64(others, _mm512_set1_epi64(*need as i64));
                let has = _mm512_slli_epi64::<{ SHIFT + 1 }>(*sum);
                hits[row * blocks + block] = _mm512_cmpge_epu64_mask(has, need);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    fn avx2_tile(rows: &[u64], needs: &[u64], tile: &Tile, hits: &mut [u8]) {
        let (words, blocks) = (tile.words(), tile.blocks());
        if words == 0 || blocks == 0 {
            return;
        }
        let (two, last) = needs.as_chunks::<ROWS_256>();
        let (rows, last_rows) = rows.split_at(two.len() * ROWS_256 * words);
        let (hits, last_hits) = hits.split_at_mut(two.len() * ROWS_256 * blocks);
        let several = rows.chunks_exact(ROWS_256 * words).zip(hits.chunks_exact_mut(ROWS_256 * blocks));
        for ((rows, hits), needs) in several.zip(two) {
            avx2_rows(rows, needs, tile, hits);
        }
        let each = last_rows.chunks_exact(words).zip(last_hits.chunks_exact_mut(blocks));
        for ((row, hits), need) in each.zip(last) {
            avx2_rows(row, &[*need], tile, hits);
        }
    }

    /// `R` rows, half of the lanes at a time. Bits are added up in bytes, which hold those of 31 words.
    #[target_feature(enable = "avx2")]
    fn avx2_rows<const R: usize>(rows: &[u64], needs: &[u64; R], tile: &Tile, hits: &mut [u8]) {
        let (words, blocks) = (tile.words(), tile.blocks());
        let rows: [&[u64]; R] = std::array::from_fn(|row| &rows[row * words..][..words]);
        let (low_nibbles, zero) = (_mm256_set1_epi8(0x0f), _mm256_setzero_si256());
        for (block, (lanes, others)) in tile.iter().enumerate() {
            let lanes = &lanes[..words];
            for half in 0..LANES_512 / LANES_256 {
                let mut sums = [zero; R];
                for start in (0..words).step_by(BYTE_SUMS) {
                    let mut bytes = [zero; R];
                    for word in start..words.min(start + BYTE_SUMS) {
                        let many = load_half(&lanes[word], half);
                        for (row, bytes) in rows.iter().zip(&mut bytes) {
                            let common = _mm256_and_si256(_mm256_set1_epi64x(row[word] as i64), many);
                            let low = _mm256_and_si256(common, low_nibbles);
                            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(common), low_nibbles);
                            let (low, high) = (bits_of_nibbles(low), bits_of_nibbles(high));
                            *bytes = _mm256_add_epi8(*bytes, _mm256_add_epi8(low, high));
                        }
                    }
                    for (sum, bytes) in sums.iter_mut().zip(bytes) {
                        *sum = _mm256_add_epi64(*sum, _mm256_sad_epu8(bytes, zero));
                    }
                }
                let others = load_half(others, half);
                for (row, (sum, need)) in sums.iter().zip(needs).enumerate() {
                    let need = _mm256_add_epi64(others, _mm256_set1_epi64x(*need as i64));
                    let has = _mm256_slli_epi64::<{ SHIFT as i32 + 1 }>(*sum);
                    // Both are far below 2^63, so that signs do not matter.
                    let less = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(need, has)));
                    let reached = !(less as u8) & 0x0f;
                    let hit = &mut hits[row * blocks + block];
                    *hit = if half == 0 { reached } else { *hit | reached << LANES_256 };
                }
            }
        }
    }

    /// Bits in every half byte.
    #[target_feature(enable = "avx2")]
    fn bits_of_nibbles(nibbles: __m256i) -> __m256i {
        // Twice, since shuffles stay within 128 bits.
        let bits = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
        _mm256_shuffle_epi8(bits, nibbles)
    }

    #[target_feature(enable = "avx2")]
    fn load_half(lanes: &Lanes, half: usize) -> __m256i {
        let (halves, _) = lanes.as_chunks::<LANES_256>();
        load_256(&halves[half % 2])
    }

    #[target_feature(enable = "avx512f")]
    fn load_512(words: &[u64; LANES_512]) -> __m512i {
        // SAFETY: the reference covers 64 readable bytes; the load asks for no alignment.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    fn load_256(words: &[u64; LANES_256]) -> __m256i {
        // SAFETY: the reference covers 32 readable bytes; the load asks for no alignment.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx512f")]
    fn store_512(counts: &mut [u32; LANES_512], sums: __m512i) {
        let sums = _mm512_cvtepi64_epi32(sums);
        // SAFETY: the reference covers 32 writable bytes; the store asks for no alignment.
        unsafe { _mm256_storeu_si256(counts.as_mut_ptr().cast(), sums) }
    }

    /// Adds up each of eight vectors: the sums in the order of the vectors. One after the other would take
    /// three times as many instructions, more than the counting itself.
    #[target_feature(enable = "avx512f")]
    fn sum_each(s: [__m512i; 8]) -> __m512i {
        // Two vectors whose sums alternate; then two lanes of 128 bits per pair; then one.
        let pair = |a, b| _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
        let halve =
            |a, b| _mm512_add_epi64(_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xdd>(a, b));
        let (first, second) =
            (halve(pair(s[0], s[1]), pair(s[2], s[3])), halve(pair(s[4], s[5]), pair(s[6], s[7])));
        halve(first, second)
    }

    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    fn avx512_kernel(one: &[u64], many: &[u64], counts: &mut [u32]) {
        let (one, _) = one.as_chunks::<LANES_512>();
        let (many, _) = many.as_chunks::<LANES_512>();
        match one.len() {
            // The lengths of the profiles, 1024 and 3072 bits, with all loops unrolled.
            2 => avx512_filters::<2>(one, many, counts),
            6 => avx512_filters::<6>(one, many, counts),
            _ => avx512_filters::<0>(one, many, counts),
        }
    }

    /// `V` is the length of `one` in vectors, or 0 where it is not known before.
    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    fn avx512_filters<const V: usize>(
        one: &[[u64; LANES_512]],
        many: &[[u64; LANES_512]],
        counts: &mut [u32],
    ) {
        let vectors = if V == 0 { one.len() } else { V };
        let one = &one[..vectors];
        // Eight filters at a time share each load of `one` and the additions at the end.
        let (eights, rest) = counts.as_chunks_mut::<LANES_512>();
        let done = eights.len() * LANES_512;
        for (filters, eight) in many.chunks_exact(LANES_512 * vectors).zip(eights) {
            let mut sums = [_mm512_setzero_si512(); LANES_512];
            for (filter, sum) in filters.chunks_exact(vectors).zip(&mut sums) {
                for (a, b) in one.iter().zip(filter) {
                    let common = _mm512_and_si512(load_512(a), load_512(b));
                    *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(common));
                }
            }
            store_512(eight, sum_each(sums));
        }
        for (filter, count) in many[done * vectors..].chunks_exact(vectors).zip(rest) {
            let mut sum = _mm512_setzero_si512();
            for (a, b) in one.iter().zip(filter) {
                sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_and_si512(load_512(a), load_512(b))));
            }
            *count = _mm512_reduce_add_epi64(sum) as u32;
        }
    }

    #[target_feature(enable = "avx2")]
    fn avx2_kernel(one: &[u64], many: &[u64], counts: &mut [u32]) {
        let low_nibbles = _mm256_set1_epi8(0x0f);
        let zero = _mm256_setzero_si256();
        let (one, _) = one.as_chunks::<LANES_256>();
        let (many, _) = many.as_chunks::<LANES_256>();
        for (filter, count) in many.chunks_exact(one.len()).zip(counts) {
            let mut sum = zero;
            for (one, filter) in one.chunks(BYTE_SUMS).zip(filter.chunks(BYTE_SUMS)) {
                let mut bytes = zero;
                for (a, b) in one.iter().zip(filter) {
                    let common = _mm256_and_si256(load_256(a), load_256(b));
                    let low = bits_of_nibbles(_mm256_and_si256(common, low_nibbles));
                    let high = bits_of_nibbles(_mm256_and_si256(_mm256_srli_epi16::<4>(common), low_nibbles));
                    bytes = _mm256_add_epi8(bytes, _mm256_add_epi8(low, high));
                }
                sum = _mm256_add_epi64(sum, _mm256_sad_epu8(bytes, zero));
            }
            let halves =
                _mm_add_epi64(_mm256_extracti128_si256::<0>(sum), _mm256_extracti128_si256::<1>(sum));
            let total = _mm_add_epi64(halves, _mm_unpackhi_epi64(halves, halves));
            *count = _mm_cvtsi128_si64(total) as u32;
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub use arm::{has_neon, neon};

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::{vaddlvq_u8, vandq_u8, vcntq_u8, vld1q_u8};

    use super::{portable, whole};

    /// Words in a 128-bit vector.
    const LANES: usize = 2;

    /// Whether the machine has 128-bit vectors.
    pub fn has_neon() -> bool {
        std::arch::is_aarch64_feature_detected!("neon")
    }

    /// [`super::portable`] with 128-bit vectors.
    pub fn neon(one: &[u64], many: &[u64], counts: &mut [u32]) {
        match whole(one, many, counts, LANES) {
            Some(filters) if has_neon() => {
                // SAFETY: the feature of the function was detected just now.
                unsafe { neon_kernel(one, &many[..filters * one.len()], &mut counts[..filters]) }
            }
            _ => portable(one, many, counts),
        }
    }

    #[target_feature(enable = "neon")]
    fn neon_kernel(one: &[u64], many: &[u64], counts: &mut [u32]) {
        let (vectors, _) = one.as_chunks::<LANES>();
        let (many, _) = many.as_chunks::<LANES>();
        for (filter, count) in many.chunks_exact(vectors.len()).zip(counts) {
            let mut total = 0;
            for (a, b) in vectors.iter().zip(filter) {
                // SAFETY: each reference covers 16 readable bytes.
                let (a, b) = unsafe { (vld1q_u8(a.as_ptr().cast()), vld1q_u8(b.as_ptr().cast())) };
                total += u32::from(vaddlvq_u8(vcntq_u8(vandq_u8(a, b))));
            }
            *count = total;
        }
    }
}
