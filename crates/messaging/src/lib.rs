//! What services say to each other: subjects, permissions, envelopes and the job protocol.
//!
//! This crate defines shapes and addresses. It must never know what a message *means*: it does not
//! parse FHIR or BPMN, and it makes no decision about delivery beyond limits and versions.
#![forbid(unsafe_code)]

pub mod connect;
pub mod egress;
pub mod engine;
pub mod event;
pub mod health;
pub mod hospital;
pub mod job;
pub mod linkage;
pub mod operate;
pub mod permissions;
pub mod recipient;
pub mod seal;
pub mod streams;
pub mod subject;
