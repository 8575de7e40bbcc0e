//! Everything that can go wrong with an interaction, and the one place where it gets its status and
//! outcome (fhir-endpoint contract 1.14). 403 stands in for invalid, duplicate and dangling.
use access::Interaction;
use fhir::{Resource, outcome::Severity};
use http::StatusCode;
use time::OffsetDateTime;

use crate::{exchange::Answer, partners::External, site::Site, store::WriteError};

/// Why an interaction did not happen. Texts never hold contents of resources.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A rule denies; the word is the contract's.
    Forbidden(&'static str),
    /// The body is not a readable resource of the expected type.
    Unparsable,
    /// A reference cannot be resolved, or a profile is not met.
    Invalid(String),
    /// The validation found errors.
    NotValid(fhir::validation::Report),
    /// A unique key is taken.
    Duplicate,
    /// Another create under the same condition was first: look again.
    Raced,
    /// The request contradicts itself or cannot be understood.
    BadRequest(String),
    /// The body did not come in time.
    BodyTimeout,
    /// The content type is none the interaction takes.
    UnsupportedMediaType,
    /// No such resource, told without a word.
    NotFound,
    /// The id is no UUID, or there is no such resource to delete.
    NotFoundOutcome(String),
    /// The resource was deleted.
    Gone {
        /// Logical id.
        id: String,
        /// Version after the last stored one.
        version: u64,
        /// When it was deleted, milliseconds.
        deleted: i64,
    },
    /// Resources are not created by an update.
    UpdateAsCreate,
    /// A condition met several resources.
    MultipleMatches,
    /// `If-Match` names another version.
    VersionConflict {
        /// Version the client named; absent where a concurrent write was in the way.
        expected: Option<u64>,
        /// Latest version.
        latest: u64,
    },
    /// References that other sites must be asked for first; never reaches a client.
    Unverified(Vec<External>),
    /// Too much in one request.
    TooLarge(String),
    /// The database is away or failed.
    Database(database::Error),
    /// A defect: something stored cannot be read.
    Internal(&'static str),
}

impl Failure {
    /// A denied interaction.
    pub(crate) fn forbidden(interaction: Interaction) -> Self {
        Self::Forbidden(interaction.word())
    }

    /// Status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Forbidden(_)
            | Self::Unparsable
            | Self::Invalid(_)
            | Self::NotValid(_)
            | Self::Duplicate
            | Self::Raced
            | Self::Unverified(_) => StatusCode::FORBIDDEN,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotFound | Self::NotFoundOutcome(_) => StatusCode::NOT_FOUND,
            Self::Gone { .. } => StatusCode::GONE,
            Self::UpdateAsCreate => StatusCode::METHOD_NOT_ALLOWED,
            Self::MultipleMatches | Self::VersionConflict { .. } => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Database(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Outcome of the answer; none where the contract wants an empty body.
    pub(crate) fn outcome(&self, resource_type: &str) -> Option<Resource> {
        let (code, text) = match self {
            Self::Forbidden(word) => ("forbidden", format!("Operation {word} forbidden")),
            Self::Unparsable => ("structure", "Unable to parse resource".to_owned()),
            Self::Invalid(text)
            | Self::BadRequest(text)
            | Self::NotFoundOutcome(text)
            | Self::TooLarge(text) => ("processing", text.clone()),
            Self::Duplicate | Self::Raced => {
                ("duplicate", format!("Duplicate {resource_type} resources exist"))
            }
            Self::Gone { .. } => ("deleted", format!("{resource_type} is marked as deleted")),
            Self::UpdateAsCreate => {
                ("processing", format!("{resource_type} does not exist and is not created by an update"))
            }
            Self::MultipleMatches => {
                ("multiple-matches", format!("the condition matches several {resource_type} resources"))
            }
            Self::VersionConflict { expected: Some(expected), latest } => (
                "processing",
                format!("expected version {expected}, latest version is {latest}: read it and try again"),
            ),
            Self::VersionConflict { expected: None, latest } => (
                "processing",
                format!("changed meanwhile, latest version is {latest}: read it and try again"),
            ),
            Self::Database(error) if error.is_transient() => {
                ("transient", "the database is not available: try again later".to_owned())
            }
            Self::Database(_) => ("exception", "Error while accessing DB".to_owned()),
            Self::Unverified(_) => ("processing", "references to other sites were not checked".to_owned()),
            Self::Internal(what) => ("exception", (*what).to_owned()),
            // All messages, also warnings (validation contract 1).
            Self::NotValid(report) => return Some(report.outcome()),
            Self::BodyTimeout | Self::UnsupportedMediaType | Self::NotFound => return None,
        };
        Some(fhir::outcome::one(Severity::Error, code, &text))
    }

    /// The answer.
    pub(crate) fn answer(&self, site: &Site, resource_type: &str) -> Answer {
        if let Self::Database(error) = self {
            tracing::error!(%error, "the database failed");
            if error.is_transient() {
                return Answer::unavailable("the database is not available: try again later");
            }
        }
        let mut answer = match self.outcome(resource_type) {
            Some(outcome) => Answer::resource(self.status(), outcome),
            None => Answer::empty(self.status()),
        };
        if let Self::Gone { id, version, deleted } = self {
            answer.version = Some(*version);
            answer.location = Some(format!("{}/{resource_type}/{id}/_history/{version}", site.base_url));
            answer.last_modified = OffsetDateTime::from_unix_timestamp(deleted.div_euclid(1000)).ok();
        }
        answer
    }
}

impl From<database::Error> for Failure {
    fn from(error: database::Error) -> Self {
        Self::Database(error)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Duplicate => Self::Duplicate,
            WriteError::Changed => Self::VersionConflict { expected: None, latest: 0 },
            WriteError::Database(error) => Self::Database(error),
        }
    }
}
