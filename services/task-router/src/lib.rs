//! The FHIR edge of the inner zone: Tasks in, messages out, status back, requests for workers.
//!
//! Invariants: keeps nothing that is missed when it dies (any number of replicas may run); the only
//! holder of the site's client key inside; sends only to the own endpoint and to active Endpoints
//! of the allow list; acknowledges an event only after the engine has committed; repeats an attempt
//! only where it cannot take effect twice.
#![forbid(unsafe_code)]

mod backoff;
pub mod config;
mod counters;
mod directory;
mod egress;
mod form;
mod gateway;
mod intake;
mod recent;
mod run;
mod send;
mod sweep;
mod translate;
mod write_back;

pub use config::Config;
pub use run::{Error, run};
