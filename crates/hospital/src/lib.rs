//! What hospital systems say on the wire: patient index, consent, medical data, audit.
//!
//! One module per protocol. Each builds requests and reads answers; what an answer *means* comes out
//! in terms that no protocol shows through (`person`, `decision`, `failure`).
//!
//! Invariants: everything here is a pure function of its arguments; no I/O, no clock, no random. Only
//! the runner in [`vectors`] reads the files it is pointed at. Nothing panics on any input. Every
//! reader has limits. No error text and no `Debug` text holds a value of a person.
//! Contract: hospital-systems.md.
#![forbid(unsafe_code)]

pub mod aql;
pub mod audit;
pub mod consent;
pub mod decision;
pub mod failure;
pub mod gics;
pub mod hl7v2;
pub mod json;
pub mod mllp;
pub mod openehr;
pub mod pdqm;
pub mod person;
pub mod pixm;
pub mod ser;
pub mod soap;
pub mod v3;
pub mod vectors;
pub mod xacml;
pub mod xml;
