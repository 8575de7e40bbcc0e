//! Record linkage for the workers of a site: filters of persons, matching, pseudonyms, encryption.
//!
//! ```text
//! worker --rbf.encode (ids, sealed keys)--> rbf-worker --mpi.find--> mpi-adapter
//!                                           rbf-worker <--sealed persons--
//! worker <--filters--
//! worker --rbf.start, rbf.run.<replica>--> a run: filters of all sites in the memory of one replica
//! worker --rbf.data-set, rbf.data-set.<replica>--> a data set in the memory of one replica
//! ```
//!
//! Invariants: nothing personal and no key is kept beyond its use, written anywhere, or logged; persons
//! and keys come only sealed; a patient index that does not answer is never "patient unknown"; filters
//! made in different ways are never linked. The rules are those of `crates/linkage`.
#![forbid(unsafe_code)]

pub mod client;
mod config;
mod data_sets;
mod encoders;
mod keys;
mod memory;
mod persons;
mod run;
mod runs;
mod serve;
mod steps;

pub use config::{Config, PREFIX};
pub use run::{Error, run};
