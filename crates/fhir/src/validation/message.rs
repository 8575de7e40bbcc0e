//! What a validation says.

use crate::Resource;
use crate::outcome::{self, Issue, Severity};

/// System of our message ids in `OperationOutcome.issue.details`.
pub const MESSAGE_SYSTEM: &str = "http://dsf.dev/fhir/CodeSystem/validation-message";

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `Error` and worse refuse the resource.
    pub severity: Severity,
    /// Stable id: of a rule of ours, or `<profile or type>#<key of the invariant>`.
    pub id: String,
    /// Path of the element, for example `Task.input[0].value.ofType(string)`.
    pub location: String,
    /// Text for people; never a value of the resource.
    pub text: String,
}

/// Everything found in one resource, in the order of the walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// All messages.
    pub messages: Vec<Message>,
}

impl Report {
    /// Whether the resource may be stored: no error.
    pub fn accepted(&self) -> bool {
        self.messages.iter().all(|message| message.severity < Severity::Error)
    }

    /// The messages as issues of an OperationOutcome (validation contract 5).
    pub fn issues(&self) -> impl Iterator<Item = Issue> {
        self.messages.iter().map(|message| Issue {
            location: Some(message.location.clone()),
            details: Some((MESSAGE_SYSTEM.to_owned(), message.id.clone())),
            ..Issue::new(message.severity, "processing", &message.text)
        })
    }

    /// All messages as an OperationOutcome; one for information if there are none.
    pub fn outcome(&self) -> Resource {
        if self.messages.is_empty() {
            return outcome::one(Severity::Information, "informational", "No issues detected");
        }
        outcome::many(&self.issues().collect::<Vec<_>>())
    }
}
