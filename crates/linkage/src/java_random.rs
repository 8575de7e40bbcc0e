//! The linear congruential generator and shuffle that fix the bit order of record filters
//! (record-linkage.md 4). Not a source of secrets: the seed is one.

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const MASK: u64 = (1 << 48) - 1;

/// A generator with 48 bits of state.
#[derive(Debug, Clone)]
pub struct JavaRandom {
    state: u64,
}

impl JavaRandom {
    /// A generator for a seed.
    #[must_use]
    pub fn new(seed: i64) -> JavaRandom {
        JavaRandom { state: (seed.cast_unsigned() ^ MULTIPLIER) & MASK }
    }

    /// The next `bits` bits (1 to 32), as the top of the state.
    fn next(&mut self, bits: u32) -> u32 {
        self.state = (self.state.wrapping_mul(MULTIPLIER).wrapping_add(0xB)) & MASK;
        // At most 32 bits remain after the shift.
        (self.state >> (48 - bits)) as u32
    }

    /// The next signed 32-bit number.
    pub fn next_int(&mut self) -> i32 {
        self.next(32).cast_signed()
    }

    /// The next number below `bound`; 0 for a bound of 0, which the original refuses.
    pub fn next_below(&mut self, bound: u32) -> u32 {
        if bound == 0 {
            return 0;
        }
        let random = self.next(31);
        if bound.is_power_of_two() {
            return ((u64::from(bound) * u64::from(random)) >> 31) as u32;
        }
        let mut candidate = random;
        loop {
            let value = candidate % bound;
            // Below 2^31: no overflow of a signed 32-bit number in the original.
            if u64::from(candidate - value) + u64::from(bound - 1) < 1 << 31 {
                return value;
            }
            candidate = self.next(31);
        }
    }

    /// Shuffles a list as `Collections.shuffle` does.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (2..=list.len()).rev() {
            let other = self.next_below(u32::try_from(end).unwrap_or(u32::MAX));
            list.swap(end - 1, other as usize);
        }
    }
}
