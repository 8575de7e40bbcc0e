//! The audit trail of a FHIR endpoint: events, the hash chain they are kept in, and their FHIR form.
//!
//! Invariants: [`event`], [`chain`] and [`export`] are pure; [`table`] knows the tables of the gateway's
//! schema step `audit` and nothing else. An event holds no personal data beyond the identifier of the
//! caller, and neither values of resources nor of queries (fhir-endpoint contract 10).
#![forbid(unsafe_code)]

pub mod chain;
pub mod event;
pub mod export;
pub mod table;

pub use chain::{Fault, Hash, Key, Verifier};
pub use event::{Event, Who};

#[cfg(test)]
mod tests;
