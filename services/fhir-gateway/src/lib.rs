//! The FHIR endpoint of a site: TLS, identity, the FHIR REST contract, storage, subscriptions, events.
//!
//! Invariants: knows no BPMN and no job; calls no hospital system; every caller is known by its
//! client certificate before anything of its request is looked at; nothing accepted is held in
//! memory only (what a client got a 201 for is committed in PostgreSQL).
#![forbid(unsafe_code)]

pub mod audit;
pub mod changes;
pub mod config;
pub mod data;
pub mod exchange;
pub mod freshness;
pub mod http;
pub mod identity;
pub mod initial;
pub mod interactions;
pub mod listener;
pub mod oidc;
mod pages;
pub mod partners;
pub mod relay;
mod report;
pub mod retention;
mod run;
pub mod site;
pub mod store;
pub mod validation;
pub mod websocket;

pub use config::Config;
pub use identity::SnapshotFacts;
pub use run::{Error, run};
