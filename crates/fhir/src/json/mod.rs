//! The JSON codec: FHIR's mapping between JSON and the element tree, driven by the type table.

mod read;
pub mod syntax;
mod write;

pub(crate) use read::{read_fragment, read_resource};
pub(crate) use write::{write_fragment, write_resource};
