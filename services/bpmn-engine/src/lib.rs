//! The process engine of a site: definitions, instances, inbox, jobs, timers, held messages, desired
//! Task status, incidents and history, on PostgreSQL, spoken to over NATS.
//!
//! Every change is one transaction: inputs are batched (`stepper`), a `unit` locks and loads what they
//! need (`load`), runs the pure `bpmn` step in memory (`intake`, `results`, `instance`) and writes
//! everything in one pipeline (`write`). Replicas share nothing but the database; any replica may take
//! any input. Invariants: no HTTP; FHIR only as opaque text; nothing accepted lives in memory alone.
#![forbid(unsafe_code)]

mod calls;
mod claim;
mod definitions;
mod error;
mod export;
mod fuse;
mod hints;
mod instance;
mod intake;
mod load;
mod message;
mod metrics;
mod operate;
mod pace;
mod results;
mod service;
mod settings;
mod start_timers;
mod stepper;
mod store;
mod sweep;
mod unit;
mod user_tasks;
mod views;
mod warnings;
mod write;

pub use error::Error;
pub use service::run;
pub use settings::{Config, PREFIX};

use database::Migration;

/// The schema of the engine database.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "engine", sql: include_str!("../migrations/0001_engine.sql") },
    Migration { version: 2, name: "operations", sql: include_str!("../migrations/0002_operations.sql") },
    Migration { version: 3, name: "start timers", sql: include_str!("../migrations/0003_start_timers.sql") },
];
