//! Why a hospital system gave no usable answer: refused, away, or wrong on the wire.

/// What a refusal is about; few values, fit for metrics and decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The index does not know the identifier that was asked.
    IdUnknown,
    /// The domain of the asked identifier is not known there.
    SourceDomainUnknown,
    /// A domain that identifiers were wanted from is not known there.
    TargetDomainUnknown,
    /// The version of the protocol is not supported.
    VersionUnsupported,
    /// The kind of message is not supported.
    EventUnsupported,
    /// The server failed inside.
    Internal,
    /// Addressing headers were not accepted.
    Addressing,
    /// The query is not valid there.
    QueryInvalid,
    /// The decision needs an attribute that was not sent.
    MissingAttribute,
    /// The server does not let us in.
    AccessDenied,
}

impl Class {
    /// Name in metrics and vectors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdUnknown => "id-unknown",
            Self::SourceDomainUnknown => "source-domain-unknown",
            Self::TargetDomainUnknown => "target-domain-unknown",
            Self::VersionUnsupported => "version-unsupported",
            Self::EventUnsupported => "event-unsupported",
            Self::Internal => "internal",
            Self::Addressing => "addressing",
            Self::QueryInvalid => "query-invalid",
            Self::MissingAttribute => "missing-attribute",
            Self::AccessDenied => "access-denied",
        }
    }
}

/// What a server said about its refusal. Texts are the server's: they may hold a person's data and
/// must not be logged.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Code on the wire.
    pub code: Option<String>,
    /// Second code where the protocol has one.
    pub subcode: Option<String>,
    /// Code system of the code.
    pub code_system: Option<String>,
    /// What it is about, if known.
    pub class: Option<Class>,
    /// Severity as sent.
    pub severity: Option<String>,
    /// Where in the request.
    pub location: Option<String>,
    /// The server's text.
    pub text: Option<String>,
    /// Further text.
    pub diagnostics: Option<String>,
    /// Attribute that was missing.
    pub missing: Option<String>,
    /// Number of further errors named.
    pub details: Option<usize>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("class", &self.class).finish_non_exhaustive()
    }
}

/// Why bytes of an answer must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A segment ends with something else than a carriage return.
    SegmentTerminator,
    /// The answer belongs to another request.
    ControlIdMismatch,
    /// The connection ended inside a frame.
    FrameTruncated,
    /// A frame is larger than allowed.
    FrameTooLarge,
    /// Too many bytes outside of frames.
    Noise,
    /// The server repeats a page.
    ContinuationLoop,
    /// XML with a document type declaration.
    DtdForbidden,
    /// Not of the format, at a place that `what` names.
    Malformed(&'static str),
    /// A limit of the reader.
    TooLarge(&'static str),
    /// The character set is not one of ours, or bytes do not belong to it.
    Charset,
    /// The one person does not carry the identifier that was asked.
    IdentifierMissing,
    /// The answer is about somebody who was not asked for.
    PersonMismatch,
    /// Statements outside the place where the protocol puts them.
    Wrapped,
    /// The column with record ids is not there.
    IdColumnMissing,
}

impl Reason {
    /// Name in metrics and vectors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SegmentTerminator => "segment-terminator",
            Self::ControlIdMismatch => "control-id-mismatch",
            Self::FrameTruncated => "frame-truncated",
            Self::FrameTooLarge => "frame-too-large",
            Self::Noise => "noise",
            Self::ContinuationLoop => "continuation-loop",
            Self::DtdForbidden => "dtd-forbidden",
            Self::Malformed(_) => "malformed",
            Self::TooLarge(_) => "too-large",
            Self::Charset => "charset",
            Self::IdentifierMissing => "identifier-missing",
            Self::PersonMismatch => "person-mismatch",
            Self::Wrapped => "statement-wrapped",
            Self::IdColumnMissing => "id-column-missing",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(what) | Self::TooLarge(what) => write!(f, "{}: {what}", self.as_str()),
            other => f.write_str(other.as_str()),
        }
    }
}

/// There is no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server understood and refused: asking again changes nothing.
    #[error("refused by the server{}", class_text(.0))]
    Rejected(Box<Told>),
    /// The server cannot answer now.
    #[error("the server cannot answer now{}", class_text(.0))]
    Unavailable(Box<Told>),
    /// The bytes must not be used. The connection is not used again.
    #[error("unusable answer ({0})")]
    Protocol(Reason),
}

fn class_text(told: &Told) -> String {
    told.class.map(|class| format!(" ({})", class.as_str())).unwrap_or_default()
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::Protocol(reason)
    }
}

impl Failure {
    /// Refused or away, by the class.
    pub fn told(told: Told) -> Self {
        match told.class {
            Some(Class::Internal) => Self::Unavailable(Box::new(told)),
            _ => Self::Rejected(Box::new(told)),
        }
    }

    /// Name in metrics and vectors.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "rejected",
            Self::Unavailable(_) => "unavailable",
            Self::Protocol(_) => "protocol-error",
        }
    }

    /// What an HTTP status alone says; `None` for a status with an answer.
    pub fn of_http(status: u16) -> Option<Self> {
        let told = |class| Box::new(Told { code: Some(status.to_string()), class, ..Told::default() });
        match status {
            200 => None,
            401 | 403 => Some(Self::Rejected(told(Some(Class::AccessDenied)))),
            408 | 425 | 429 | 500..=599 => Some(Self::Unavailable(told(Some(Class::Internal)))),
            _ => Some(Self::Rejected(told(None))),
        }
    }
}
