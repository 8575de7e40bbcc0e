//! stub
use crate::definition::{CompileErrors, CompileOptions, Definition};

/// A parsed model document, not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {}

/// Why a document is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

/// One result of [`lint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the rule, for example `send-task-fields`.
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

/// Parses a model document.
///
/// # Errors
/// When the text is no XML, holds a DTD, exceeds a limit, or has no BPMN definitions.
pub fn parse(_xml: &str) -> Result<Model, ParseError> {
    Err(ParseError { line: 1, message: "not implemented".into() })
}

/// Checks a model against the rules for process plugins (contract 5.3 and 5.4).
pub fn lint(_model: &Model) -> Vec<Finding> {
    Vec::new()
}

/// Compiles the one executable process of a model.
///
/// # Errors
/// Everything that is wrong, each with its line.
pub fn compile(_model: &Model, _options: &CompileOptions) -> Result<Definition, CompileErrors> {
    Err(CompileErrors(Vec::new()))
}
