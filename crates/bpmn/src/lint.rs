//! stub
use crate::model::Model;
/// One result of [`lint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the rule, for example `send-fields`.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Line in the document, from 1.
    pub line: u32,
    /// Element id.
    pub element: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Will probably surprise.
    Warning,
    /// Will not run.
    Error,
}

/// Checks a model against the rules for process plugins (contract 5.3 and 5.4).
pub fn lint(_model: &Model) -> Vec<Finding> {
    Vec::new()
}
