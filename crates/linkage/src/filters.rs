//! Sets of filters of one site, with a header that says how they were made.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bits::{Bits, WORD};
use crate::profile::ProfileId;

/// Most filters in one set. Keeps indices in 32 bits.
pub const MAX_FILTERS: usize = u32::MAX as usize;

/// How filters were made. Sets are linked only when all of it is equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Normalisation profile, name and version.
    pub profile: ProfileId,
    /// Every parameter of the encoding in one text.
    pub encoding: String,
    /// Length of the filters in bits.
    pub bits: u32,
    /// Short check value of the keys, where the encoder knows them. Filters read from the wire have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_check: Option<String>,
}

/// Two sets that must not be linked with each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the filters of site {first} and site {second} (counted from 1) cannot be linked: {difference}")]
pub struct HeaderMismatch {
    /// Number of the first set, from 1.
    pub first: usize,
    /// Number of the other set, from 1.
    pub second: usize,
    /// What differs.
    pub difference: Difference,
}

/// What differs between two headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Other normalisation: the same person would give other bits.
    #[error("normalisation profile {0} against {1}; agree on one profile and encode again")]
    Profile(ProfileId, ProfileId),
    /// Other parameters.
    #[error("encoding {0} against {1}; agree on one encoding and encode again")]
    Encoding(String, String),
    /// Other length.
    #[error("{0} against {1} bits")]
    Bits(u32, u32),
    /// Other keys.
    #[error("they were made with different keys")]
    Keys,
}

impl Header {
    /// What keeps filters of two headers from being linked.
    #[must_use]
    pub fn difference(&self, other: &Header) -> Option<Difference> {
        if self.profile != other.profile {
            return Some(Difference::Profile(self.profile.clone(), other.profile.clone()));
        }
        if self.encoding != other.encoding {
            return Some(Difference::Encoding(self.encoding.clone(), other.encoding.clone()));
        }
        if self.bits != other.bits {
            return Some(Difference::Bits(self.bits, other.bits));
        }
        match (&self.key_check, &other.key_check) {
            (Some(first), Some(second)) if first != second => Some(Difference::Keys),
            _ => None,
        }
    }
}

/// Filters of one length. Personal data: never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct FilterSet {
    header: Header,
    words: Vec<u64>,
}

/// A set that cannot be read, or a filter that does not fit into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterSetError {
    /// Another length than the header says.
    #[error("a filter has another length than the header says")]
    Length,
    /// Bits above the length of the header.
    #[error("a filter has bits above the length that the header says")]
    BitsAbove,
    /// More than [`MAX_FILTERS`].
    #[error("more than {MAX_FILTERS} filters in one set")]
    TooMany,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    header: Header,
    words: Vec<u64>,
}

impl TryFrom<Unchecked> for FilterSet {
    type Error = FilterSetError;

    fn try_from(unchecked: Unchecked) -> Result<FilterSet, FilterSetError> {
        let set = FilterSet { header: unchecked.header, words: unchecked.words };
        let words = set.words_per_filter();
        if words == 0 || !set.words.len().is_multiple_of(words) {
            return Err(FilterSetError::Length);
        }
        if set.len() > MAX_FILTERS {
            return Err(FilterSetError::TooMany);
        }
        let used = set.header.bits as usize % WORD;
        if used > 0 && set.words.chunks(words).any(|filter| filter[words - 1] >> used != 0) {
            return Err(FilterSetError::BitsAbove);
        }
        Ok(set)
    }
}

impl FilterSet {
    /// A set without filters.
    #[must_use]
    pub fn new(header: Header) -> FilterSet {
        FilterSet { header, words: Vec::new() }
    }

    /// Makes room for so many more filters, so that adding them moves nothing. Where there is none the set
    /// grows as usual.
    pub fn reserve(&mut self, filters: usize) {
        let words = filters.saturating_mul(self.words_per_filter());
        // What is missing is asked for again when it is needed.
        let _ = self.words.try_reserve_exact(words);
    }

    /// How the filters were made.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Number of filters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len() / self.words_per_filter().max(1)
    }

    /// Whether there is no filter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Words of one filter.
    #[must_use]
    pub fn words_per_filter(&self) -> usize {
        (self.header.bits as usize).div_ceil(WORD)
    }

    /// Adds a filter at the end.
    ///
    /// # Errors
    /// When its length is another one, or the set is full.
    pub fn push(&mut self, filter: &Bits) -> Result<(), FilterSetError> {
        if filter.length() != self.header.bits as usize || filter.length() == 0 {
            return Err(FilterSetError::Length);
        }
        if self.len() == MAX_FILTERS {
            return Err(FilterSetError::TooMany);
        }
        self.words.extend_from_slice(filter.words());
        Ok(())
    }

    /// Adds filters at the end, each [`FilterSet::words_per_filter`] words as they lie in memory: eight bytes
    /// each, the least significant first. All of them or none.
    ///
    /// # Errors
    /// When they are no whole number of filters, one has bits above its length, or the set is full.
    pub fn extend_from_bytes(&mut self, bytes: &[u8]) -> Result<(), FilterSetError> {
        let words = self.words_per_filter();
        let (all, rest) = bytes.as_chunks::<{ WORD / 8 }>();
        if words == 0 || !rest.is_empty() || !all.len().is_multiple_of(words) {
            return Err(FilterSetError::Length);
        }
        if self.len() + all.len() / words > MAX_FILTERS {
            return Err(FilterSetError::TooMany);
        }
        let used = self.header.bits as usize % WORD;
        let above = |filter: &[[u8; WORD / 8]]| u64::from_le_bytes(filter[words - 1]) >> used != 0;
        if used > 0 && all.chunks_exact(words).any(above) {
            return Err(FilterSetError::BitsAbove);
        }
        self.words.extend(all.iter().map(|word| u64::from_le_bytes(*word)));
        Ok(())
    }

    /// The words of a filter.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u64]> {
        let words = self.words_per_filter();
        self.words.get(index.checked_mul(words)?..(index + 1).checked_mul(words)?)
    }

    /// The words of all filters in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.words.chunks_exact(self.words_per_filter().max(1))
    }

    /// Whether all sets can be linked with each other.
    ///
    /// # Errors
    /// Names the first that cannot.
    pub fn check(sets: &[FilterSet]) -> Result<(), HeaderMismatch> {
        for (second, set) in sets.iter().enumerate() {
            for (first, other) in sets[..second].iter().enumerate() {
                if let Some(difference) = other.header.difference(&set.header) {
                    return Err(HeaderMismatch { first: first + 1, second: second + 1, difference });
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for FilterSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilterSet({} filters, {:?})", self.len(), self.header)
    }
}
