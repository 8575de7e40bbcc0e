//! Who may do what: roles, read tags, process authorization, rules of Task and other types.
//!
//! Invariants: pure. Facts about the stored world come in through [`Facts`]; a decision is a value
//! with a reason. Used by the gateway, by the engine's second check before a start, by dry runs.
//! Source of the rules: fhir-endpoint contract 3 and 4.
#![forbid(unsafe_code)]

mod decision;
mod facts;
mod identity;
pub mod process_authorization;
pub mod questionnaire_response;
pub mod read_access;
pub mod scope;
pub mod task;
pub mod type_rules;

pub use decision::Decision;
pub use facts::{Facts, Membership, Role};
pub use identity::{DsfRoles, Identity, Interaction, Organization, Practitioner};

#[cfg(test)]
mod tests;
