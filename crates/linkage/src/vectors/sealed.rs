//! Vectors of encryption, pseudonyms and result sets.

use std::path::Path;

use serde_json::Value;

use super::{Outcome, Tally};

/// `crypto.json`.
pub fn crypto(_tally: &mut Tally<'_>, _value: &Value) -> Outcome {
    Ok(())
}

/// `pseudonyms-deployed-mapper.json`.
pub fn pseudonym_sets(_tally: &mut Tally<'_>, _value: &Value, _name: &str) -> Outcome {
    Ok(())
}

/// `resultset-pipeline.json`.
pub fn pipeline(_tally: &mut Tally<'_>, _value: &Value, _folder: &Path) -> Outcome {
    Ok(())
}
