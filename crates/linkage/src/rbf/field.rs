//! The filter of one attribute (record-linkage.md 2).

use crate::bits::{Bits, WORD};
use crate::digest::{Function, Hasher, signed_modulo};

/// Positions per bigram (rule 7).
pub const HASHES: usize = 15;

/// How an absent attribute is written (rule 2).
const ABSENT: &str = "null";
/// What a half of a surrogate pair becomes (rule 5).
const HALF_PAIR: char = '?';

/// The two hash functions of a filter.
#[derive(Debug, Clone)]
pub struct HasherPair {
    first: Hasher,
    second: Hasher,
}

impl HasherPair {
    /// Two functions without keys.
    #[must_use]
    pub fn plain(first: Function, second: Function) -> HasherPair {
        HasherPair { first: Hasher::plain(first), second: Hasher::plain(second) }
    }

    /// Two functions as HMAC.
    #[must_use]
    pub fn keyed(first: (Function, &[u8]), second: (Function, &[u8])) -> HasherPair {
        HasherPair { first: Hasher::keyed(first.0, first.1), second: Hasher::keyed(second.0, second.1) }
    }

    /// Start and step of the positions of a bigram for every modulus.
    pub(crate) fn steps<'a>(&self, bigram: &[u8], moduli: &'a [u32]) -> impl Iterator<Item = Step> + use<'a> {
        let (first, second) = (self.first.digest(bigram), self.second.digest(bigram));
        moduli.iter().map(move |modulus| Step {
            start: signed_modulo(first.as_ref(), *modulus),
            step: signed_modulo(second.as_ref(), *modulus),
        })
    }

    /// The positions of a bigram in a filter of nominal length `length` (not 0), in the order i = 0 to 14.
    #[must_use]
    pub fn positions(&self, bigram: &[u8], length: u32) -> [u32; HASHES] {
        let mut positions = [0; HASHES];
        for step in self.steps(bigram, &[length]) {
            step.positions(length, |index, position| positions[index] = position);
        }
        positions
    }
}

/// Start and step of positions, both below the modulus.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Step {
    pub start: u32,
    pub step: u32,
}

impl Step {
    /// Calls `each` with index and position.
    pub fn positions(self, modulus: u32, mut each: impl FnMut(usize, u32)) {
        let mut position = self.start;
        for index in 0..HASHES {
            each(index, position);
            position += self.step;
            if position >= modulus {
                position -= modulus;
            }
        }
    }
}

/// The UTF-8 bytes of one bigram, at most six.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bigram {
    bytes: [u8; 6],
    length: usize,
}

impl AsRef<[u8]> for Bigram {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Bigram {
    fn new(first: u16, second: u16) -> Bigram {
        let mut bigram = Bigram { bytes: [0; 6], length: 0 };
        // A complete surrogate pair gives one character of four bytes, anything else two of up to three.
        for character in char::decode_utf16([first, second]) {
            let character = character.unwrap_or(HALF_PAIR);
            bigram.length += character.encode_utf8(&mut bigram.bytes[bigram.length..]).len();
        }
        bigram
    }

    /// A number that tells bigrams apart.
    pub(crate) fn key(&self) -> u64 {
        self.as_ref().iter().fold(1, |key, byte| key << 8 | u64::from(*byte))
    }
}

/// The bigrams of an attribute: windows of two UTF-16 units over the text between two blanks
/// (rules 1 to 5).
pub fn bigrams(attribute: Option<&str>) -> impl Iterator<Item = Bigram> {
    let blank = u16::from(b' ');
    let mut last = blank;
    attribute.unwrap_or(ABSENT).encode_utf16().chain([blank]).map(move |unit| {
        let bigram = Bigram::new(last, unit);
        last = unit;
        bigram
    })
}

/// The filter of an attribute. It has [`sampling_length`] bits, those from `length` on are 0.
#[must_use]
pub fn field_filter(hashers: &HasherPair, attribute: Option<&str>, length: u32) -> Bits {
    let mut filter = Bits::new(sampling_length(length));
    if length > 0 {
        for bigram in bigrams(attribute) {
            for position in hashers.positions(bigram.as_ref(), length) {
                filter.set(position as usize);
            }
        }
    }
    filter
}

/// The length that sampling wraps at: the nominal one rounded up to whole words (rule 9).
#[must_use]
pub fn sampling_length(length: u32) -> usize {
    (length as usize).next_multiple_of(WORD)
}
