//! Consent decisions of a hospital behind one small contract: which of these records may be used for
//! this purpose?
//!
//! Invariants: fails closed. Only a permit that was understood keeps a record; no answer, an answer
//! to another question or an undecided record fails the whole check, and the caller gets an error,
//! never a shorter list. Contract: hospital-systems.md 2.
#![forbid(unsafe_code)]

mod backend;
mod cache;
mod config;
mod run;
mod serve;

pub use backend::{Backend, Question, Verdicts};
pub use cache::Cache;
pub use config::{BackendKind, Config, PREFIX};
pub use run::{Error, run};
pub use serve::Service;
