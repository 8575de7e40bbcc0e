//! Runs folders of vectors recorded from the public implementation.
//!
//! This module reads files, which nothing else in the crate does: tests and `dsf vectors` share it.

mod codec;
mod validation;

pub use codec::run_codec;
pub use validation::{plugin_definitions, plugin_resources, run_validation};
