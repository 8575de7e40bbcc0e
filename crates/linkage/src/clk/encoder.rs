//! Encodes records by a schema (record-linkage.md 10.2, rules 1, 4 and 5; 10.3).

use zeroize::Zeroizing;

use super::keys::{KeyError, derive};
use super::schema::{Encoding, Feature, Format, Hash, Schema, Strategy};
use super::tokens::{NumericError, tokens};
use super::value;
use crate::bits::Bits;
use crate::digest::{BlakeKeyError, Function, Hasher, blake2b, unsigned_modulo};

/// Numbers of 16 bits in one BLAKE2b digest.
const PER_BLOCK: usize = 32;
/// Largest code point that is tried against a step of 0.
const LAST_CODE_POINT: u32 = 0x10_FFFF;

/// A schema and a secret that give no encoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncoderError {
    /// Too many or too long keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Keys too long for blakeHash.
    #[error("blakeHash needs a `keySize` of up to 64: {0}")]
    BlakeKey(#[from] BlakeKeyError),
}

/// A value that cannot be encoded. Names the column, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {cause}")]
pub struct ValueError {
    /// Number of the column, from 0.
    pub column: usize,
    /// What is wrong with its value.
    pub cause: Cause,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The record has fewer columns than the schema.
    #[error("is missing")]
    Missing,
    /// Not an integer.
    #[error("is no integer")]
    Integer,
    /// Not a date in the pattern of the schema.
    #[error("is no date of the schema's pattern")]
    Date,
    /// Not a number.
    #[error("is {0}")]
    Numeric(#[from] NumericError),
    /// A character that the encoding has not.
    #[error("is not ASCII")]
    NotAscii,
    /// The key is too long for the hash.
    #[error("{0}")]
    Key(#[from] BlakeKeyError),
}

/// Encodes records. Holds keys, which are wiped when it is dropped.
#[derive(Clone)]
pub struct Encoder {
    schema: Schema,
    keys: Vec<[Zeroizing<Vec<u8>>; 2]>,
    insertions: Vec<Option<Insertion>>,
}

/// The keyed hash functions of one feature.
#[derive(Clone)]
pub(crate) enum Insertion {
    Blake(Zeroizing<Vec<u8>>),
    Double { hashers: Box<[Hasher; 2]>, prevent_singularity: bool },
}

impl Insertion {
    pub fn new(hash: Hash, first: &[u8], second: &[u8]) -> Result<Insertion, BlakeKeyError> {
        Ok(match hash {
            Hash::Blake => {
                // Refuses a key of the wrong length here and not at the first record.
                blake2b(first, 0, &[])?;
                Insertion::Blake(Zeroizing::new(first.to_vec()))
            }
            Hash::Double { prevent_singularity } => Insertion::Double {
                hashers: Box::new([
                    Hasher::keyed(Function::Sha1, first),
                    Hasher::keyed(Function::Md5, second),
                ]),
                prevent_singularity,
            },
        })
    }

    /// Calls `each` with the `count` positions of a token below `length`.
    pub fn positions(
        &self,
        token: &[u8],
        count: usize,
        length: usize,
        mut each: impl FnMut(usize),
    ) -> Result<(), BlakeKeyError> {
        match self {
            Insertion::Blake(key) => {
                for block in 0..count.div_ceil(PER_BLOCK) {
                    let digest = blake2b(key, block, token)?;
                    let numbers = digest.chunks_exact(2).take(count - block * PER_BLOCK);
                    numbers
                        .for_each(|pair| each(usize::from(u16::from_le_bytes([pair[0], pair[1]])) % length));
                }
            }
            Insertion::Double { hashers, prevent_singularity } => {
                let [first, second] = hashers.as_ref();
                // Lengths are bounded far below 32 bits.
                let modulus = u32::try_from(length).unwrap_or(u32::MAX);
                let start = unsigned_modulo(first.digest(token).as_ref(), modulus);
                let mut step = unsigned_modulo(second.digest(token).as_ref(), modulus);
                if *prevent_singularity {
                    let mut characters = (0..=LAST_CODE_POINT).filter_map(char::from_u32);
                    while step == 0
                        && let Some(character) = characters.next()
                    {
                        let extended = [token, character.encode_utf8(&mut [0; 4]).as_bytes()].concat();
                        step = unsigned_modulo(second.digest(&extended).as_ref(), modulus);
                    }
                }
                for index in 0..count {
                    each((start as usize + index * step as usize) % length);
                }
            }
        }
        Ok(())
    }
}

/// Inserts the tokens of one feature into a filter.
pub(crate) fn insert<T: AsRef<[u8]>>(
    filter: &mut Bits,
    tokens: &[T],
    strategy: Strategy,
    insertion: &Insertion,
) -> Result<(), BlakeKeyError> {
    for (token, count) in tokens.iter().zip(strategy.counts(tokens.len())) {
        insertion.positions(token.as_ref(), count, filter.length(), |position| filter.set(position))?;
    }
    Ok(())
}

impl Encoder {
    /// An encoder for a schema and a secret.
    ///
    /// # Errors
    /// When the keys cannot be derived, or are too long for blakeHash.
    pub fn new(schema: Schema, secret: &[u8]) -> Result<Encoder, EncoderError> {
        let mut derived = derive(&schema.kdf, secret, 2 * schema.features.len())?.into_iter();
        let mut keys = Vec::new();
        while let (Some(first), Some(second)) = (derived.next(), derived.next()) {
            keys.push([first, second]);
        }
        let insertions = schema.features.iter().zip(&keys).map(|(feature, [first, second])| match feature {
            None => Ok(None),
            Some(feature) => Insertion::new(feature.hash, first, second).map(Some),
        });
        let insertions = insertions.collect::<Result<_, _>>()?;
        Ok(Encoder { schema, keys, insertions })
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Both keys of a feature, ignored ones included. Secret.
    #[must_use]
    pub fn keys(&self, feature: usize) -> Option<(&[u8], &[u8])> {
        self.keys.get(feature).map(|[first, second]| (first.as_slice(), second.as_slice()))
    }

    /// The tokens of a record by feature; none for an ignored one.
    ///
    /// # Errors
    /// When a value cannot be read.
    pub fn tokens(&self, record: &[&str]) -> Result<Vec<Vec<String>>, ValueError> {
        let features = self.schema.features.iter().enumerate();
        let all = features.map(|(column, feature)| {
            let Some(feature) = feature else { return Ok(Vec::new()) };
            let tokens =
                record.get(column).ok_or(Cause::Missing).and_then(|value| feature_tokens(feature, value));
            tokens.map_err(|cause| ValueError { column, cause })
        });
        all.collect()
    }

    /// The filter of a record. Depends on the record, the schema and the secret only.
    ///
    /// # Errors
    /// When a value cannot be read.
    pub fn encode(&self, record: &[&str]) -> Result<Bits, ValueError> {
        let mut filter = Bits::new(self.schema.working_length());
        for (column, tokens) in self.tokens(record)?.iter().enumerate() {
            let (Some(feature), Some(insertion)) = (&self.schema.features[column], &self.insertions[column])
            else {
                continue;
            };
            let encoded = tokens.iter().map(|token| encode_token(feature.encoding, token));
            encoded
                .collect::<Result<Vec<_>, _>>()
                .and_then(|tokens| Ok(insert(&mut filter, &tokens, feature.strategy, insertion)?))
                .map_err(|cause| ValueError { column, cause })?;
        }
        for _ in 0..self.schema.folds {
            filter = filter.fold();
        }
        Ok(filter)
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoder({} features, keys redacted)", self.schema.features.len())
    }
}

fn feature_tokens(feature: &Feature, value: &str) -> Result<Vec<String>, Cause> {
    let read;
    let value = match &feature.missing {
        Some(missing) if missing.sentinel == value => {
            missing.replacement.as_ref().unwrap_or(&missing.sentinel)
        }
        _ => {
            read = match &feature.format {
                Format::Text => value.to_owned(),
                Format::Integer => value::integer(value).ok_or(Cause::Integer)?,
                Format::Date(pattern) => pattern.read(value).ok_or(Cause::Date)?,
            };
            &read
        }
    };
    Ok(tokens(&feature.comparison, value)?)
}

/// Bytes of a token. UTF-16 and UTF-32 start with a byte-order mark in every token (rule 5).
fn encode_token(encoding: Encoding, token: &str) -> Result<Vec<u8>, Cause> {
    match encoding {
        Encoding::Utf8 => Ok(token.as_bytes().to_vec()),
        Encoding::Ascii if token.is_ascii() => Ok(token.as_bytes().to_vec()),
        Encoding::Ascii => Err(Cause::NotAscii),
        Encoding::Utf16 => {
            Ok([0xFEFF].into_iter().chain(token.encode_utf16()).flat_map(u16::to_le_bytes).collect())
        }
        Encoding::Utf32 => Ok(['\u{FEFF}']
            .into_iter()
            .chain(token.chars())
            .flat_map(|c| u32::from(c).to_le_bytes())
            .collect()),
    }
}
