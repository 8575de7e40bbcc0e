//! Builds OperationOutcome resources.

use crate::{Element, Resource};

/// `OperationOutcome.issue.severity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For information only.
    Information,
    /// Acceptable, but worth a look.
    Warning,
    /// The request cannot be carried out.
    Error,
    /// Nothing further was looked at.
    Fatal,
}

impl Severity {
    /// The code on the wire.
    pub fn code(self) -> &'static str {
        match self {
            Severity::Information => "information",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Fatal => "fatal",
        }
    }
}

/// One issue of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// Code of the FHIR issue-type code system, for example `processing`.
    pub code: String,
    /// Text for people; never contains personal data.
    pub diagnostics: String,
    /// Path of the element, written to `location` and `expression`; empty for none.
    pub location: Option<String>,
    /// System and code of a stable message id in `details.coding`.
    pub details: Option<(String, String)>,
}

impl Issue {
    /// An issue without location and message id.
    pub fn new(severity: Severity, code: &str, diagnostics: &str) -> Issue {
        Issue {
            severity,
            code: code.to_owned(),
            diagnostics: diagnostics.to_owned(),
            location: None,
            details: None,
        }
    }

    fn element(&self) -> Element {
        let mut issue =
            Element::new("issue").with_text("severity", self.severity.code()).with_text("code", &self.code);
        if let Some((system, code)) = &self.details {
            issue.push(
                Element::new("details")
                    .with(Element::new("coding").with_text("system", system).with_text("code", code)),
            );
        }
        issue.push(Element::primitive("diagnostics", &self.diagnostics));
        if let Some(location) = &self.location {
            issue.push(Element::primitive("location", location));
            issue.push(Element::primitive("expression", location));
        }
        issue
    }
}

/// An outcome with one issue.
pub fn one(severity: Severity, code: &str, diagnostics: &str) -> Resource {
    many([&Issue::new(severity, code, diagnostics)])
}

/// An outcome with the given issues in this order.
pub fn many<'a>(issues: impl IntoIterator<Item = &'a Issue>) -> Resource {
    let mut outcome = Resource::new("OperationOutcome");
    for issue in issues {
        outcome.push(issue.element());
    }
    outcome
}
