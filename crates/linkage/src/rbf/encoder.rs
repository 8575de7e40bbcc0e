//! Encodes records for one configuration: layout, hash states and bigrams are computed once.

use std::collections::HashMap;

use zeroize::Zeroize as _;

use super::config::BloomFilterConfig;
use super::field::{HasherPair, Step, bigrams, sampling_length};
use super::record::{Layout, RecordError};
use crate::bits::Bits;
use crate::secret::SecretText;

/// Number of attributes of a record.
pub const FIELD_COUNT: usize = 9;

/// Most bigrams whose hashes are kept. German names use a few thousand; above, the cache starts anew.
const MAX_CACHED_BIGRAMS: usize = 1 << 16;

/// The attributes of one person as they are hashed, in the order of the wire: first name, last name,
/// birthday, sex, street, zip code, city, country, insurance number. `None` is an absent attribute.
pub type Attributes = [Option<SecretText>; FIELD_COUNT];

/// Lengths and weights of a record filter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Requested length of the record filter in bits.
    pub length: i64,
    /// Nominal lengths of the field filters in bits.
    pub field_lengths: [u32; FIELD_COUNT],
    /// Configured weights. **Only the first has an effect**: the original applies it to every field.
    pub weights: [f64; FIELD_COUNT],
}

impl Parameters {
    /// What both HiGHmed processes use on the wire (record-linkage.md 3).
    pub const WIRE: Parameters = Parameters {
        length: 3000,
        field_lengths: [500, 500, 250, 50, 500, 250, 500, 500, 500],
        weights: [0.1, 0.1, 0.1, 0.2, 0.05, 0.1, 0.05, 0.2, 0.1],
    };
}

/// Encodes records. Holds key material; wiped when dropped as far as the hash library allows.
#[derive(Clone)]
pub struct RecordEncoder {
    hashers: HasherPair,
    layout: Layout,
    field_lengths: [u32; FIELD_COUNT],
    /// The distinct field lengths, and for every field which one it is.
    moduli: Vec<u32>,
    modulus_of: [usize; FIELD_COUNT],
    /// By key of the bigram: start and step for every modulus.
    cache: HashMap<u64, Vec<Step>>,
}

impl RecordEncoder {
    /// An encoder for parameters, hash functions and seed.
    ///
    /// # Errors
    /// When the parameters give no filter.
    pub fn new(
        parameters: &Parameters,
        hashers: HasherPair,
        seed: i64,
    ) -> Result<RecordEncoder, RecordError> {
        let field_lengths = parameters.field_lengths;
        // The defect of the original: the first weight for all.
        let shapes = field_lengths.map(|length| (sampling_length(length), parameters.weights[0]));
        let mut moduli = field_lengths.to_vec();
        moduli.sort_unstable();
        moduli.dedup();
        let modulus_of =
            field_lengths.map(|length| moduli.iter().position(|other| *other == length).unwrap_or_default());
        let layout = Layout::new(&shapes, parameters.length, seed)?;
        Ok(RecordEncoder { hashers, layout, field_lengths, moduli, modulus_of, cache: HashMap::new() })
    }

    /// An encoder for the wire profile and the configuration of a request.
    ///
    /// # Errors
    /// Never with [`Parameters::WIRE`]; the type of [`RecordEncoder::new`].
    pub fn wire(config: &BloomFilterConfig) -> Result<RecordEncoder, RecordError> {
        RecordEncoder::new(&Parameters::WIRE, config.hashers(), config.seed)
    }

    /// Length of the filters in bits.
    #[must_use]
    pub fn length(&self) -> usize {
        self.layout.length
    }

    /// The filter of one record. Depends on the record and the configuration only.
    pub fn encode(&mut self, attributes: &Attributes) -> Bits {
        let mut record = Bits::new(self.layout.length);
        let RecordEncoder { hashers, layout, field_lengths, moduli, modulus_of, cache } = self;
        for ((attribute, run), (length, modulus)) in
            attributes.iter().zip(&layout.runs).zip(field_lengths.iter().zip(modulus_of))
        {
            for bigram in bigrams(attribute.as_ref().map(SecretText::expose)) {
                if cache.len() >= MAX_CACHED_BIGRAMS {
                    wipe(cache);
                }
                let steps = cache
                    .entry(bigram.key())
                    .or_insert_with(|| hashers.steps(bigram.as_ref(), moduli).collect());
                steps[*modulus].positions(*length, |_, position| {
                    for destination in layout.destinations_of(*run, position as usize) {
                        record.set(destination);
                    }
                });
            }
        }
        record
    }
}

/// Empties a cache; its values are a function of the keys.
fn wipe(cache: &mut HashMap<u64, Vec<Step>>) {
    for (_, mut steps) in cache.drain() {
        for step in &mut steps {
            step.start.zeroize();
            step.step.zeroize();
        }
    }
}

impl Drop for RecordEncoder {
    fn drop(&mut self) {
        wipe(&mut self.cache);
        self.layout.destinations.zeroize();
    }
}

impl std::fmt::Debug for RecordEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecordEncoder(length {}, keys redacted)", self.layout.length)
    }
}
