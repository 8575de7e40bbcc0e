//! The FHIR interactions against real PostgreSQL and NATS servers, over mutual TLS, as the callers of
//! fhir-endpoint contract 13.1: one module per interaction.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

#[path = "gateway/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "gateway/world.rs"]
#[allow(dead_code)]
mod world;

#[path = "interactions/allow_list.rs"]
mod allow_list;
#[path = "interactions/bundle.rs"]
mod bundle;
#[path = "interactions/delete.rs"]
mod delete;
#[path = "interactions/failing.rs"]
mod failing;
#[path = "interactions/generations.rs"]
mod generations;
#[path = "interactions/history.rs"]
mod history;
#[path = "interactions/java_client.rs"]
mod java_client;
#[path = "interactions/metadata.rs"]
mod metadata;
#[path = "interactions/practitioner_role.rs"]
mod practitioner_role;
#[path = "interactions/questionnaires.rs"]
mod questionnaires;
#[path = "interactions/read.rs"]
mod read;
#[path = "interactions/references.rs"]
mod references;
#[path = "interactions/rights.rs"]
mod rights;
#[path = "interactions/search.rs"]
mod search;
#[path = "interactions/site.rs"]
mod site;
#[path = "interactions/snapshots.rs"]
mod snapshots;
#[path = "interactions/subscriptions.rs"]
mod subscriptions;
#[path = "interactions/write.rs"]
mod write;
