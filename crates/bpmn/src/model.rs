//! A model document: parsed, with its references resolvable, not yet compiled.
use crate::xml::{self, Space, Xml};

/// A parsed model document, not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub(crate) root: Xml,
}

/// Why a document is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

/// Parses a model document.
///
/// # Errors
/// When the text is no XML, holds a DTD, exceeds a limit, or has no BPMN definitions.
pub fn parse(xml: &str) -> Result<Model, ParseError> {
    let root = xml::read(xml)?;
    if root.space != Space::Bpmn || root.name != "definitions" {
        let message = format!("BPMN 2.0 'definitions' expected, '{}' found", root.name);
        return Err(ParseError { line: root.line, message });
    }
    Ok(Model { root })
}

impl Model {
    /// The processes, in document order.
    pub(crate) fn processes(&self) -> impl Iterator<Item = &Xml> {
        self.root.each("process")
    }

    /// Ids of the processes, in document order.
    pub fn process_ids(&self) -> Vec<&str> {
        self.processes().filter_map(|process| process.attribute("id")).collect()
    }

    /// A root element such as a message or an error, by kind and id. References may be written as
    /// qualified names; prefixes do not count.
    pub(crate) fn definition(&self, kind: &str, reference: &str) -> Option<&Xml> {
        let local = reference.rsplit(':').next().unwrap_or(reference);
        let has = |element: &&Xml, id: &str| element.attribute("id") == Some(id);
        let mut found = None;
        for element in self.root.children.iter().filter(|e| e.space == Space::Bpmn && e.name == kind) {
            if has(&element, reference) || has(&element, local) {
                found = Some(element);
                break;
            }
        }
        found
    }
}
