//! A bit vector in 64-bit words; bit `i` is bit `i mod 64` of word `i div 64`.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Bits per word.
pub(crate) const WORD: usize = 64;

/// A vector of a fixed number of bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    length: usize,
}

/// A text or byte string that is no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BitsError {
    /// Not standard Base64.
    #[error("a filter is not standard Base64")]
    NotBase64,
    /// It has more bits than the encoding gives.
    #[error("a filter has bits above its length of {length} bits")]
    TooLong {
        /// Length of the filters in bits.
        length: usize,
    },
}

impl Bits {
    /// `length` bits, all 0.
    #[must_use]
    pub fn new(length: usize) -> Bits {
        Bits { words: vec![0; length.div_ceil(WORD)], length }
    }

    /// Number of bits.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The words; bits above the length are 0.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Appends the words as bytes, the least significant first: what
    /// [`crate::filters::FilterSet::extend_from_bytes`] reads.
    pub fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(self.words.len() * size_of::<u64>());
        for word in &self.words {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// Sets a bit; one above the length is left out.
    pub fn set(&mut self, index: usize) {
        if index < self.length {
            self.words[index / WORD] |= 1 << (index % WORD);
        }
    }

    /// Whether a bit is set.
    #[must_use]
    pub fn get(&self, index: usize) -> bool {
        index < self.length && self.words[index / WORD] >> (index % WORD) & 1 == 1
    }

    /// Number of bits that are set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// The set bits in ascending order.
    pub fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.length).filter(|index| self.get(*index))
    }

    /// Text of a record filter: bit 0 is the **least** significant of byte 0, trailing zero bytes are cut
    /// (record-linkage.md 5).
    #[must_use]
    pub fn to_rbf_text(&self) -> String {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        STANDARD.encode(bytes)
    }

    /// Reads the text of a record filter; missing bytes are 0.
    ///
    /// # Errors
    /// When it is not Base64, or has bits at `length` or above.
    pub fn from_rbf_text(text: &str, length: usize) -> Result<Bits, BitsError> {
        Bits::from_bytes(&STANDARD.decode(text).map_err(|_| BitsError::NotBase64)?, length)
    }

    /// Reads bytes, least significant bit first.
    fn from_bytes(bytes: &[u8], length: usize) -> Result<Bits, BitsError> {
        let mut bits = Bits::new(length);
        for (index, byte) in bytes.iter().enumerate() {
            if *byte == 0 {
                continue;
            }
            let highest = index * 8 + 7 - byte.leading_zeros() as usize;
            if highest >= length {
                return Err(BitsError::TooLong { length });
            }
            bits.words[index / 8] |= u64::from(*byte) << (index % 8 * 8);
        }
        Ok(bits)
    }

    /// Text of a CLK: bit 0 is the **most** significant of byte 0, whole length, filled up with zero bits
    /// (record-linkage.md 10.4).
    #[must_use]
    pub fn to_clk_text(&self) -> String {
        let bytes = self.words.iter().flat_map(|word| word.to_le_bytes().map(u8::reverse_bits));
        STANDARD.encode(bytes.take(self.length.div_ceil(8)).collect::<Vec<_>>())
    }

    /// Reads the text of a CLK.
    ///
    /// # Errors
    /// As [`Bits::from_rbf_text`].
    pub fn from_clk_text(text: &str, length: usize) -> Result<Bits, BitsError> {
        let mut bytes = STANDARD.decode(text).map_err(|_| BitsError::NotBase64)?;
        bytes.iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        Bits::from_bytes(&bytes, length)
    }

    /// The exclusive or of both halves, half as long; an odd last bit is lost.
    #[must_use]
    pub fn fold(&self) -> Bits {
        let half = self.length / 2;
        let mut folded = Bits::new(half);
        for index in (0..half).filter(|index| self.get(*index) != self.get(index + half)) {
            folded.set(index);
        }
        folded
    }
}

impl std::fmt::Debug for Bits {
    /// Filters are personal data: only their length is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bits(length {})", self.length)
    }
}
