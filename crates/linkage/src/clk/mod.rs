//! Cryptographic linkage keys by a clkhash schema, byte for byte (record-linkage.md 10).
//!
//! Values are only encoded, not validated: `case`, `pattern`, lengths, ranges and `values` of a schema
//! have no effect on the bits and are not looked at.

mod encoder;
mod keys;
mod schema;
mod tokens;
mod value;

pub use encoder::{Encoder, EncoderError, ValueError};
pub(crate) use encoder::{Insertion, insert};
pub use keys::{Kdf, KdfHash, KeyError, derive};
pub use schema::{
    Comparison, Encoding, Feature, Folds, Format, Hash, MissingValue, Schema, SchemaError, Strategy,
};
pub use tokens::{NumericError, tokens};
