//! What a handler that could not finish answers, and short forms of what one did.
use std::collections::BTreeMap;

use messaging::job::{Document, Done, Outcome, Variable};
use serde_json::{Value, json};

/// Why a step is not done. Texts hold no personal data: they end in Tasks and in the operator's list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// A part of our own site is away: the same again later, at no cost.
    Unavailable(String),
    /// Something broke that may work next time.
    Fault(String),
    /// A decision: the Task fails at once with this text.
    Reject(String),
    /// A BPMN error the model catches.
    Bpmn(&'static str),
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(reason) => Self::Fault { reason, unavailable: true },
            Failure::Fault(reason) => Self::Fault { reason, unavailable: false },
            Failure::Reject(reason) => Self::Reject { reason, outputs: Vec::new() },
            Failure::Bpmn(code) => {
                Self::BpmnError { code: code.to_owned(), message: None, variables: BTreeMap::new() }
            }
        }
    }
}

/// The outcome of a handler that ended with `result`.
pub(crate) fn outcome(result: Result<Outcome, Failure>) -> Outcome {
    result.unwrap_or_else(Outcome::from)
}

/// The step is done and has set these variables.
pub(crate) fn done<const N: usize>(variables: [(&str, Variable); N]) -> Outcome {
    Outcome::Done(Done { variables: named(variables), ..Done::default() })
}

/// Variables by name.
pub(crate) fn named<const N: usize>(variables: [(&str, Variable); N]) -> BTreeMap<String, Variable> {
    variables.into_iter().map(|(name, variable)| (name.to_owned(), variable)).collect()
}

/// A text variable.
pub(crate) fn text(value: &str) -> Variable {
    Variable { kind: "string".to_owned(), value: json!(value) }
}

/// A variable that expressions may look into.
pub(crate) fn object(value: Value) -> Variable {
    Variable { kind: "json".to_owned(), value }
}

/// A FHIR resource as a variable.
pub(crate) fn document(document: &Document) -> Variable {
    Variable { kind: "document".to_owned(), value: json!(document) }
}
