//! Medical data of a hospital behind one small contract: count, ids of records, rows.
//!
//! Invariants: only reading queries of the allowed shapes are sent; a cut-off answer is never a
//! whole one; values pass byte for byte. Contract: hospital-systems.md 3.
#![forbid(unsafe_code)]

mod backend;
mod config;
mod run;

pub use backend::{Repository, Wrong};
pub use config::{Config, PREFIX, Source};
pub use run::{Error, run};
