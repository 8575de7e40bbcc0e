//! The service tasks of the bundled processes.
//!
//! Invariants: keeps nothing between jobs (any number of replicas may run, any may die at any time);
//! touches no database and no TLS key: every FHIR request goes through the router's egress; inputs
//! and results of jobs are never logged. A process is a module that lists its job types and their
//! handlers; the same handlers serve our bundled plugin and the published one, whose job types are
//! the class names of its models.
#![forbid(unsafe_code)]

mod allow_list;
pub mod config;
mod endpoint;
mod outcome;
mod ping_pong;
mod run;
mod target;
mod task;

pub use config::Config;
pub use run::{Error, run};
