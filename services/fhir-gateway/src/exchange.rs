//! One FHIR request and its answer, free of HTTP: what the listener's side hands to the interactions.
//!
//! `crate::interactions::handle(&Arc<Site>, Request) -> Answer` is the only way in. It never fails: every
//! outcome, also an outage of the database, is an [`Answer`]. After each commit that wrote
//! resources the interactions call [`crate::changes::Changes::committed`].
use std::sync::Arc;

use access::Identity;
use bytes::Bytes;
use fhir::{Format, Resource, outcome::Severity};
use http::{HeaderName, HeaderValue, StatusCode};
use time::OffsetDateTime;

use crate::data::Blob;

/// The resource types that are served (fhir-endpoint contract 2), in alphabetical order.
pub const TYPES: [&str; 26] = [
    "ActivityDefinition",
    "Binary",
    "Bundle",
    "CodeSystem",
    "DocumentReference",
    "Endpoint",
    "Group",
    "HealthcareService",
    "Library",
    "Location",
    "Measure",
    "MeasureReport",
    "NamingSystem",
    "Organization",
    "OrganizationAffiliation",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "ResearchStudy",
    "StructureDefinition",
    "Subscription",
    "Task",
    "ValueSet",
];

/// What is asked for. `ty` is one of [`TYPES`]; ids and versions are as in the path, not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the ones of the FHIR interaction of the variant's name")]
pub enum Interaction {
    /// `POST /T`
    Create { ty: &'static str },
    /// `GET /T/{id}`
    Read { ty: &'static str, id: String },
    /// `GET /T/{id}/_history/{version}`
    Vread { ty: &'static str, id: String, version: String },
    /// `PUT /T/{id}`
    Update { ty: &'static str, id: String },
    /// `PUT /T?…`
    ConditionalUpdate { ty: &'static str },
    /// `DELETE /T/{id}`
    Delete { ty: &'static str, id: String },
    /// `DELETE /T?…`
    ConditionalDelete { ty: &'static str },
    /// `POST /T/{id}/$permanent-delete`
    PermanentDelete { ty: &'static str, id: String },
    /// `GET /T?…` or `POST /T/_search`
    Search { ty: &'static str },
    /// `GET /_history`
    HistorySystem,
    /// `GET /T/_history`
    HistoryType { ty: &'static str },
    /// `GET /T/{id}/_history`
    HistoryInstance { ty: &'static str, id: String },
    /// `POST /` with a batch or transaction
    Bundle,
    /// `GET /metadata`
    Capabilities,
    /// `POST /T[/{id}]/$validate`; without a body the stored resource is meant
    Validate { ty: &'static str, id: Option<String> },
    /// `GET` or `POST /StructureDefinition[/{id}]/$snapshot`; a GET has an empty body
    Snapshot { id: Option<String> },
}

impl Interaction {
    /// Short name for metrics and traces, as FHIR names the interaction.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Read { .. } => "read",
            Self::Vread { .. } => "vread",
            Self::Update { .. } => "update",
            Self::ConditionalUpdate { .. } => "conditional-update",
            Self::Delete { .. } => "delete",
            Self::ConditionalDelete { .. } => "conditional-delete",
            Self::PermanentDelete { .. } => "permanent-delete",
            Self::Search { .. } => "search",
            Self::HistorySystem => "history-system",
            Self::HistoryType { .. } => "history-type",
            Self::HistoryInstance { .. } => "history-instance",
            Self::Bundle => "bundle",
            Self::Capabilities => "capabilities",
            Self::Validate { .. } => "validate",
            Self::Snapshot { .. } => "snapshot",
        }
    }

    /// The resource type it is about, where there is one.
    pub fn resource_type(&self) -> Option<&'static str> {
        match self {
            Self::Create { ty }
            | Self::Read { ty, .. }
            | Self::Vread { ty, .. }
            | Self::Update { ty, .. }
            | Self::ConditionalUpdate { ty }
            | Self::Delete { ty, .. }
            | Self::ConditionalDelete { ty }
            | Self::PermanentDelete { ty, .. }
            | Self::Search { ty }
            | Self::HistoryType { ty }
            | Self::HistoryInstance { ty, .. }
            | Self::Validate { ty, .. } => Some(ty),
            Self::Snapshot { .. } => Some("StructureDefinition"),
            Self::HistorySystem | Self::Bundle | Self::Capabilities => None,
        }
    }
}

/// `Prefer: return=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Return {
    /// No body.
    Minimal,
    /// The stored resource.
    #[default]
    Representation,
    /// An OperationOutcome.
    OperationOutcome,
}

/// `Prefer: handling=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handling {
    /// What is not understood is an error.
    Strict,
    /// What is not understood is ignored, with a warning.
    #[default]
    Lenient,
}

/// What the client prefers (fhir-endpoint contract 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// Body of an answer to a write.
    pub returns: Return,
    /// Handling of unknown search parameters.
    pub handling: Handling,
}

/// Conditional headers. Strong or unreadable ETags and unreadable dates are absent (contract 1.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match: W/"n"`
    pub if_match: Option<u64>,
    /// `If-None-Match: W/"n"`
    pub if_none_match: Option<u64>,
    /// `If-Modified-Since`, whole seconds
    pub if_modified_since: Option<OffsetDateTime>,
    /// `If-Unmodified-Since`, whole seconds
    pub if_unmodified_since: Option<OffsetDateTime>,
    /// `If-None-Exist` as sent; present and blank is an error of the client
    pub if_none_exist: Option<String>,
    /// `Range` as sent (Binary only)
    pub range: Option<String>,
    /// `If-Range` as sent (Binary only)
    pub if_range: Option<String>,
}

/// What the body is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyFormat {
    /// No `Content-Type`: there should be no body.
    None,
    /// FHIR JSON or XML.
    Fhir(Format),
    /// Any other content type, as sent. Only for Binary; everything else was answered with 415.
    Raw(String),
}

/// The negotiated form of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Format of resources in the answer.
    pub format: Format,
    /// Media type as matched, without parameters.
    pub media_type: &'static str,
    /// `_format` was given.
    pub by_parameter: bool,
    /// The `Accept` header as sent; decides between FHIR and raw form of a Binary.
    pub accept: Option<String>,
}

/// A request: syntax checked, caller known, nothing decided.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked for.
    pub interaction: Interaction,
    /// HEAD: the answer's body is not sent, only its length.
    pub head: bool,
    /// Who asks.
    pub identity: Arc<Identity>,
    /// Query parameters, decoded, in their order; `_format` included.
    pub query: Vec<(String, String)>,
    /// The query as sent.
    pub query_text: String,
    /// Preferences.
    pub prefer: Prefer,
    /// Conditional headers.
    pub conditions: Conditions,
    /// The body, whole.
    pub body: Bytes,
    /// What the body is written in.
    pub body_format: BodyFormat,
    /// Form of the answer.
    pub output: Output,
    /// `X-Security-Context` header lines of a raw Binary, as sent.
    pub security_context: Vec<String>,
    /// W3C trace parent of this request's span, to be stored with what the request causes.
    pub trace_parent: Option<String>,
}

/// Body of an answer.
#[derive(Debug, Clone)]
pub enum Content {
    /// No body.
    Empty,
    /// A resource, to be written in the negotiated format.
    Resource(Arc<Resource>),
    /// A resource as compact FHIR JSON, for example as it was stored: sent as it is where JSON is wanted.
    Stored(Bytes),
    /// Anything else.
    Raw {
        /// Value of `Content-Type`.
        content_type: String,
        /// The bytes.
        bytes: Bytes,
    },
    /// Data of a Binary, sent piece by piece.
    Blob {
        /// Value of `Content-Type`.
        content_type: String,
        /// Which data.
        blob: Box<Blob>,
    },
}

/// An answer. `Content-Type`, `Content-Length`, `Cache-Control` and `Vary` are added by the HTTP side.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Version for `ETag: W/"n"`.
    pub version: Option<u64>,
    /// `Last-Modified`.
    pub last_modified: Option<OffsetDateTime>,
    /// `Location`, absolute.
    pub location: Option<String>,
    /// Further headers; they replace the ones the HTTP side would add.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub content: Content,
}

impl Answer {
    /// An answer without body.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            version: None,
            last_modified: None,
            location: None,
            headers: Vec::new(),
            content: Content::Empty,
        }
    }

    /// An answer with a resource.
    pub fn resource(status: StatusCode, resource: Resource) -> Self {
        Self { content: Content::Resource(Arc::new(resource)), ..Self::empty(status) }
    }

    /// An answer with a resource as compact FHIR JSON.
    pub fn stored(status: StatusCode, json: Bytes) -> Self {
        Self { content: Content::Stored(json), ..Self::empty(status) }
    }

    /// An answer with an OperationOutcome of one issue. The text never contains personal data.
    pub fn outcome(status: StatusCode, severity: Severity, code: &str, diagnostics: &str) -> Self {
        Self::resource(status, fhir::outcome::one(severity, code, diagnostics))
    }

    /// An error with an OperationOutcome.
    pub fn error(status: StatusCode, code: &str, diagnostics: &str) -> Self {
        Self::outcome(status, Severity::Error, code, diagnostics)
    }

    /// Something we need is away: 503 with `Retry-After`.
    pub fn unavailable(diagnostics: &str) -> Self {
        Self::error(StatusCode::SERVICE_UNAVAILABLE, "transient", diagnostics)
            .with_header(http::header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS))
    }

    /// Adds a header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// When a client may ask again after a 503, in seconds.
pub const RETRY_AFTER_SECONDS: &str = "2";
