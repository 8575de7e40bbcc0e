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
pub use x86::{avx2, avx512, has_avx2, has_avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm_add_epi64, _mm_cvtsi128_si64, _mm_unpackhi_epi64, _mm256_add_epi8,
        _mm256_add_epi64, _mm256_and_si256, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_sad_epu8,
        _mm256_set1_epi8, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
        _mm256_storeu_si256, _mm512_add_epi64, _mm512_and_si512, _mm512_cvtepi64_epi32, _mm512_loadu_si512,
        _mm512_popcnt_epi64, _mm512_reduce_add_epi64, _mm512_setzero_si512, _mm512_shuffle_i64x2,
        _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
    };

    use super::{portable, whole};

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
        // Bits in every half byte, twice since shuffles stay within 128 bits.
        let bits_of_nibble = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
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
                    let low = _mm256_shuffle_epi8(bits_of_nibble, _mm256_and_si256(common, low_nibbles));
                    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(common), low_nibbles);
                    let high = _mm256_shuffle_epi8(bits_of_nibble, high);
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
