//! The XML codec: FHIR's mapping between XML and the element tree, driven by the type table.

mod read;
mod write;

pub(crate) use read::read_resource;
pub(crate) use write::{escape, write_resource};

/// The FHIR namespace.
const NAMESPACE: &str = "http://hl7.org/fhir";
