//! Record Bloom filters, bit for bit as the HiGHmed 0.9 programs make them (record-linkage.md 2 to 5).
//!
//! Encoding reproduces every quirk of the original, since all sites must agree on every bit. Two
//! defects are worth knowing: the first-name weight is applied to all nine fields, and an absent
//! attribute is encoded as the word `null`.

mod config;
mod encoder;
mod field;
mod record;

pub use config::{BloomFilterConfig, ConfigError};
pub use encoder::{Attributes, FIELD_COUNT, Parameters, RecordEncoder};
pub use field::{HASHES, HasherPair, bigrams, field_filter, sampling_length};
pub use record::{Field, MAX_RECORD_BITS, RecordError, compose};
