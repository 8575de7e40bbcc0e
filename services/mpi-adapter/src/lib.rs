//! The patient index of a hospital behind one small contract: find a person by identifier, match one
//! by demographics, find other identifiers.
//!
//! Invariants: a person leaves only sealed to a configured recipient; several persons for one
//! identifier are never one of them; an index that does not answer is never "patient unknown";
//! nothing is kept between requests. Contract: hospital-systems.md 1.
#![forbid(unsafe_code)]

mod backend;
mod config;
mod fhir;
mod mllp;
mod run;
mod serve;
mod table;
mod v2;
mod v3;

pub use backend::{Backend, Lookup};
pub use config::{BackendKind, Config, PREFIX};
pub use run::{Error, run};
