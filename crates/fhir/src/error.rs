//! Why a document could not be read. No message contains a value from the document.

/// Why a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The document is not well-formed JSON or XML.
    #[error("not well-formed at byte {offset}: {reason}")]
    Syntax {
        /// Byte offset in the document, as near as it is known.
        offset: usize,
        /// What was expected or found.
        reason: &'static str,
    },
    /// A JSON object has two members of one name.
    #[error("duplicate member at byte {offset}")]
    DuplicateMember {
        /// Byte offset of the second member.
        offset: usize,
    },
    /// There is no resource where one must be: no `resourceType`, or not an object.
    #[error("no resource at {path}")]
    NoResource {
        /// Where.
        path: String,
    },
    /// FHIR R4 has no resource or data type of this name.
    #[error("unknown type at {path}")]
    UnknownType {
        /// Where.
        path: String,
    },
    /// A primitive value is not of its type.
    #[error("not a valid {expected} at {path}")]
    InvalidValue {
        /// Where, for example `Task.authoredOn`.
        path: String,
        /// The FHIR type that was expected.
        expected: &'static str,
    },
    /// An extension has both a value and extensions (forbidden by FHIR, ext-1).
    #[error("extension with value and extensions at {path}")]
    AmbiguousExtension {
        /// Where.
        path: String,
    },
    /// The document is larger than a limit allows.
    #[error("more than {allowed} {what}")]
    LimitExceeded {
        /// Which limit: bytes, levels, elements or digits.
        what: &'static str,
        /// The limit.
        allowed: usize,
    },
    /// The document's encoding is not supported.
    #[error("unsupported character encoding")]
    Encoding,
    /// The document has a document type declaration, which is refused.
    #[error("document type declarations are not accepted")]
    DocumentType,
}
