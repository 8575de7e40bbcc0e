//! What must hold for any input; shared by the targets of cargo-fuzz and by the tests that replay the corpora.
#![forbid(unsafe_code)]

pub mod codecs;
pub mod edges;
